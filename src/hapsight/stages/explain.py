"""The stage that says what each variant does to a prediction: one unit is a block of genes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.effect_fit import LEANS, sign_check
from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.matching import genes_of_cohort
from hapsight.cohort.nouns import Gene, Variants
from hapsight.cohort.reference import Reference
from hapsight.engine.views import window_of
from hapsight.errors import IncompleteError, plural
from hapsight.explain.drivers import additivity, depends_on_background, spread
from hapsight.explain.tables import (
    BACKGROUND_DEPENDENT,
    EXPLAIN_ADDITIVITY,
    EXPLAIN_EFFECTS,
    EXPLAIN_ELEMENTS,
)
from hapsight.files import file_name
from hapsight.run.blocks import (
    Block,
    KeyedBlock,
    VariantReader,
    WholeTables,
    blocks_of_size,
    even_blocks,
    keyed_blocks,
    model_target,
)
from hapsight.run.crew import SetAside, compute_here, work_in_words
from hapsight.run.effects import EffectsRun, laid_effects
from hapsight.run.models import ModelCard
from hapsight.run.opened import Opened, Progress, dropped_table, gene_keys
from hapsight.run.store import StoredUnit, UnitStore, run_first
from hapsight.stages.predict import ModelRun, sequence_models
from hapsight.stages.saturation import saturation_unit, tss_centre
from hapsight.stages.valued_units import ValuedUnit, ValuerSource, compute_values, gradient_unit

if TYPE_CHECKING:
    from hapsight.engine.engine import Valuer
    from hapsight.explain.element_ism import ElementIsm
    from hapsight.explain.ism import GeneIsm
    from hapsight.models.protocol import SequenceModel

__all__ = [
    "SINGLE_BASES",
    "ExplainUnit",
    "chosen_genes",
    "effect_rows",
    "explain",
    "explain_bases",
    "explain_blocks",
    "explain_store",
    "explain_units",
    "variant_rows",
]


_SCHEMAS = {
    "effects": EXPLAIN_EFFECTS,
    "background_dependent": BACKGROUND_DEPENDENT,
    "additivity": EXPLAIN_ADDITIVITY,
}
_ELEMENT_SCHEMAS = _SCHEMAS | {"elements": EXPLAIN_ELEMENTS}

SINGLE_BASES: Final = "What single bases are worth ([explain] saturation, gradients)"
"""What a table of effects cannot tell."""

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ExplainUnit(StoredUnit):
    """All that a process needs to toggle the variants of some genes, whose effects are saved together.

    Attributes
    ----------
    tracks
        Of the read-out, in its order.
    backgrounds
        Distinct haplotypes in which variants are toggled; else all.
    """

    name: str
    key: str
    store: UnitStore
    genes: tuple[Gene, ...]
    genotypes: Genotypes
    reference: Reference
    values: ValuerSource
    tracks: tuple[str, ...]
    backgrounds: int | None

    def save(self, valuer: Valuer) -> None:
        """Toggle the variants and store their effects."""
        self.store.write(self.name, self.key, _unit_tables(self, valuer))


_Units = Sequence[ExplainUnit | KeyedBlock]


def explain(
    opened: Opened, runs: Sequence[ModelRun | EffectsRun], progress: Progress, genes: Sequence[str] = ()
) -> None:
    """Effects of every variant on every model's prediction, and what is configured of single bases.

    Of a table of effects, these are its effects. Finished units and arrays are not computed again.
    Saturation mutagenesis around drivers waits for these: `hapsight.stages.drivers`.

    Parameters
    ----------
    genes
        Identifiers of genes that are asked for by name: each is a unit of its own, and the tables of the
        whole stage stay as they are. Without them, those that the configuration chooses.

    Raises
    ------
    ConfigError, IncompleteError
        As `chosen_genes`; or single bases are asked for, and no model reads sequences.
    IncompleteError
        Some units were set aside, after all others of all models were finished.
    """
    if opened.config.explain.saturation is not None or opened.config.explain.gradients:
        sequence_models(runs, SINGLE_BASES)
    aside = SetAside()
    for run in runs:
        with aside.later():
            if isinstance(run, EffectsRun):
                _explain_effects(opened, run, progress, genes)
            else:
                _explain(opened, run, progress, genes)
    aside.report()


def _explain_effects(opened: Opened, run: EffectsRun, progress: Progress, genes: Sequence[str]) -> None:
    """The effects of a table as they are laid on the cohort's variants."""
    label = f"explain {run.label}"
    with opened.folder.stage(f"{label} ({run.read_out.name})") as stage:
        store, units = explain_store(opened, run), explain_blocks(opened, run, genes)
        computed = compute_here(store, units, partial(_given_tables, opened, run), label, progress)
        tables = WholeTables(opened, store, units, _SCHEMAS)
        if not genes:
            tables.write()
            _note_signs(opened, run, tables)
        if opened.config.explain.saturation is not None or opened.config.explain.gradients:
            opened.folder.note(
                f"{run.label} is a table of effects: what single bases are worth is not known."
            )
        stage["computed"] = computed
        stage["detail"] = (
            f"{plural(tables.rows('effects'), 'effect')} on "
            f"{plural(tables.scan('additivity').collect()['gene_id'].n_unique(), 'gene')}, as "
            f"the table has them; {work_in_words(computed, len(units))}"
        )


def _explain(opened: Opened, run: ModelRun, progress: Progress, genes: Sequence[str]) -> None:
    label, aside = f"explain {run.label}", SetAside()
    with opened.folder.stage(f"{label} ({run.read_out.name})") as stage:
        store, units = explain_store(opened, run), explain_units(opened, run, genes)
        with aside.later():
            computed = compute_values(opened, run, label, units, progress)
            tables = WholeTables(opened, store, units, _schemas(run.model))
            if not genes:
                tables.write()
                _note_signs(opened, run, tables)
        with aside.later():
            arrays = explain_bases(opened, run, [gene for unit in units for gene in unit.genes], progress)
        aside.report()
        stage["computed"] = computed + arrays
        effects, additivity = tables.rows("effects"), tables.scan("additivity").collect()
        stage["detail"] = _in_words(effects, additivity, computed, len(units) - computed, arrays)


def _note_signs(opened: Opened, run: ModelCard, tables: WholeTables) -> None:
    """Say in the report where most effects of all variants have one sign, as the check says it of some."""
    sign, own = pl.col("effect").sign(), [pl.col("track") == track for track in run.track_names]
    signs = [tables.scan("effects").filter(one).select(sign).collect()["effect"].to_numpy() for one in own]
    by_track = {track: found for track, found in zip(run.track_names, signs, strict=True) if len(found)}
    found = sign_check(run.label, by_track, "effects of ALT on the reference", LEANS)
    if found.status == "warn":
        opened.folder.note(f"{run.label}: {found.message}; {', '.join(found.details)}.")


def explain_bases(opened: Opened, run: ModelRun, genes: Sequence[Gene], progress: Progress) -> int:
    """The configured numbers of single bases, of genes that have not got them; gives how many were computed.

    Raises
    ------
    IncompleteError
        Some were set aside.
    """
    return compute_values(opened, run, f"bases {run.label}", _array_units(opened, run, genes), progress)


def explain_store(opened: Opened, card: ModelCard) -> UnitStore:
    """Where a model's effects are."""
    return opened.folder.explain(card.label, card.read_out.name)


def explain_blocks(opened: Opened, card: ModelCard, asked: Sequence[str] = ()) -> list[KeyedBlock]:
    """Name, key and genes of `explain_units`.

    Raises
    ------
    ConfigError, IncompleteError
        As `chosen_genes`.
    """
    chosen = chosen_genes(opened, card, asked)
    blocks: list[Block] = [("gene-" + file_name(gene.gene_id), [gene]) for gene in chosen]
    blocks = blocks if asked else _blocks(opened, card, chosen)
    return keyed_blocks(explain_store(opened, card), blocks, _keys(opened, card, chosen))


def explain_units(opened: Opened, run: ModelRun, asked: Sequence[str] = ()) -> list[ExplainUnit]:
    """The units of one model: a gene each of those `asked` for, else blocks of the configuration's.

    Raises
    ------
    ConfigError, IncompleteError
        As `chosen_genes`.
    """
    return [_unit(opened, run, block) for block in explain_blocks(opened, run, asked)]


def _blocks(opened: Opened, card: ModelCard, genes: Sequence[Gene]) -> list[Block]:
    """As many genes as are asked for, else of about equal predicted work."""
    cohort, options = opened.cohort, opened.config.explain
    if options.genes_per_unit is not None:
        return blocks_of_size(genes, options.genes_per_unit)

    def cost(gene: Gene) -> float:
        variants = cohort.genotypes.expected_records(card.reads(gene))
        return card.toggled.toggled(variants, len(cohort.samples), options.backgrounds)

    return even_blocks(genes, cost, model_target(card.source.device))


def _unit(opened: Opened, run: ModelRun, block: KeyedBlock) -> ExplainUnit:
    return ExplainUnit(
        name=block.name,
        key=block.key,
        store=explain_store(opened, run),
        genes=block.genes,
        genotypes=opened.cohort.genotypes,
        reference=opened.cohort.reference,
        values=ValuerSource.of(opened, run),
        tracks=run.track_names,
        backgrounds=opened.config.explain.backgrounds,
    )


def chosen_genes(opened: Opened, run: ModelCard, asked: Sequence[str] = ()) -> list[Gene]:
    """Genes by identifier or name, as asked or configured; else all, or those with a large R.

    Raises
    ------
    ConfigError
        A gene is not one of the cohort's, or a name is several genes'.
    IncompleteError
        Genes are to be chosen by R, which is not known yet.
    """
    config, genes = opened.config.explain, opened.cohort.genes
    names = asked or config.genes
    chosen = genes_of_cohort(genes, names, "to explain") if names else list(genes)
    if asked or config.min_abs_r == 0:
        return chosen
    strong = _strong(opened, run, config.min_abs_r)
    return [gene for gene in chosen if gene.gene_id in strong]


def _strong(opened: Opened, run: ModelCard, least: float) -> set[str]:
    """Genes whose prediction by this model, of any track, has at least this abs(R)."""
    opened.require_current("evaluate")
    path = opened.folder.path / "evaluation" / "per_gene.parquet"
    if not path.exists():
        raise IncompleteError(
            "Genes are to be explained by their R across people, which is not known yet.",
            where=path,
            expected=f"the table, for [explain] min_abs_r = {least:g}",
            fix=f"{run_first('evaluate')}; or set min_abs_r = 0",
        )
    table = pl.read_parquet(path).filter(
        (pl.col("model") == run.label)
        & (pl.col("read_out").str.split(":").list.first() == run.read_out.name)
        & (pl.col("pearson_r").abs() >= least)
    )
    return set(table["gene_id"])


def _keys(opened: Opened, run: ModelCard, genes: Sequence[Gene]) -> dict[str, str]:
    """By ``gene_id``: digest of all that the effects on the gene depend on."""
    options = opened.config.explain.model_dump(mode="json", include={"backgrounds"})
    return gene_keys("explain", genes, {"options": options}, run.gene_keys(opened, genes))


def _schemas(model: SequenceModel) -> dict[str, Any]:
    from hapsight.models.elements import ElementSum

    return _ELEMENT_SCHEMAS if isinstance(model, ElementSum) else _SCHEMAS


def _unit_tables(unit: ExplainUnit, valuer: Valuer) -> dict[str, pl.DataFrame]:
    windows = [window_of(gene, valuer.model.window, valuer.beyond).interval for gene in unit.genes]
    reader = VariantReader(unit.genotypes, unit.reference, windows)
    schemas = _schemas(valuer.model)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in schemas}
    for gene, (found, within) in zip(unit.genes, _found(unit, valuer, reader), strict=True):
        for t, track in enumerate(unit.tracks):
            _add_rows(rows, gene, track, found, t)
            if within is not None:
                rows["elements"] += [
                    {"gene_id": gene.gene_id, "track": track, **row, **within.row(gene, v, t)}
                    for v, row in enumerate(variant_rows(gene, found.variants))
                ]
    return {
        **{name: pl.DataFrame(rows[name], schema=schema) for name, schema in schemas.items()},
        "dropped": dropped_table(reader.dropped),
    }


def _given_tables(opened: Opened, run: EffectsRun, unit: KeyedBlock) -> dict[str, pl.DataFrame]:
    """The same tables of effects that are given: no sequence is computed, and no background is looked at."""
    cohort, windows = opened.cohort, [run.near(gene) for gene in unit.genes]
    reader = VariantReader(cohort.genotypes, cohort.reference, windows)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _SCHEMAS}
    for gene, window in zip(unit.genes, windows, strict=True):
        variants = reader(window)
        for track in run.track_names:
            laid = laid_effects(run, gene, track, variants)
            own = variants.take(laid.aligned.used)
            effect, people = laid.aligned.weights[laid.aligned.used], laid.haplotypes(variants)
            for row, size, af in zip(variant_rows(gene, own), effect.tolist(), own.af.tolist(), strict=True):
                rows["effects"].append(
                    {
                        "gene_id": gene.gene_id,
                        "track": track,
                        **row,
                        "af": af,
                        "effect": size,
                        "n_backgrounds": 0,
                    }
                )
            rows["additivity"].append(
                _sums(gene, track, effect, own, people.reshape(-1, 2).mean(axis=1))
                | {"n_dependent": 0, "asked": 0, "distinct": 0, "gflop": 0.0}
            )
    return {
        **{name: pl.DataFrame(rows[name], schema=schema) for name, schema in _SCHEMAS.items()},
        "dropped": dropped_table(reader.dropped),
    }


def _found(
    unit: ExplainUnit, valuer: Valuer, reader: VariantReader
) -> Iterator[tuple[GeneIsm, ElementIsm | None]]:
    from hapsight.explain.element_ism import elements_ism
    from hapsight.explain.ism import gene_ism

    if "elements" in _schemas(valuer.model):
        every = elements_ism(unit.genes, valuer, reader, unit.reference.fetch)
        yield from ((one.ism, one) for one in every)
        return
    for gene in unit.genes:
        yield gene_ism(gene, valuer, reader, unit.reference.fetch, unit.backgrounds), None


def _array_units(opened: Opened, run: ModelRun, genes: Sequence[Gene]) -> list[ValuedUnit]:
    """The configured numbers of single bases that need no drivers."""
    options, units = opened.config.explain, list[ValuedUnit]()
    around_tss = options.saturation is not None and options.saturation_around == "tss"
    for gene in genes:
        if around_tss:
            units.append(saturation_unit(opened, run, gene, [tss_centre(run, gene)]))
        if options.gradients:
            units.append(gradient_unit(opened, run, gene))
    return units


def _add_rows(rows: dict[str, list[dict[str, Any]]], gene: Gene, track: str, found: GeneIsm, t: int) -> None:
    """One track's rows of the three tables."""
    effect, sd = found.effect[:, t], found.effect_sd[:, t]
    dependent = depends_on_background(effect, sd, found.n_backgrounds, float(found.reference[t]))
    relative = spread(effect, sd)
    for v, row in enumerate(effect_rows(gene, track, found, t)):
        rows["effects"].append(row)
        if dependent[v]:
            more = {"spread": _known(relative[v]), "share_opposite": _known(found.share_opposite[v, t])}
            rows["background_dependent"].append(row | more)
    rows["additivity"].append(
        _sums(gene, track, effect, found.variants, found.predicted[..., t].mean(axis=1))
        | {"n_dependent": int(dependent.sum()), "asked": found.asked, "distinct": found.distinct}
        | {"gflop": found.flop / 1e9}
    )


def _sums(gene: Gene, track: str, effect: Float, variants: Variants, people: Float) -> dict[str, Any]:
    """Whether the prediction (N,) is the sum of the effects (V,)."""
    sums = additivity(effect, variants.dosage, people)
    return {
        "gene_id": gene.gene_id,
        "track": track,
        "status": sums.status if len(effect) else "no_variants",
        "n": sums.n,
        "n_variants": len(effect),
        "pearson_r": sums.pearson_r,
    }


def effect_rows(gene: Gene, track: str, found: GeneIsm, t: int) -> Iterator[dict[str, Any]]:
    """The rows of `EXPLAIN_EFFECTS` of one gene and of the t-th track."""
    af = found.variants.af
    for v, row in enumerate(variant_rows(gene, found.variants)):
        yield {
            "gene_id": gene.gene_id,
            "track": track,
            **row,
            "af": float(af[v]),
            "effect": float(found.effect[v, t]),
            "effect_mean": _known(found.effect_mean[v, t]),
            "effect_sd": _known(found.effect_sd[v, t]),
            "n_backgrounds": int(found.n_backgrounds[v]),
        }


def variant_rows(gene: Gene, variants: Variants) -> Iterator[dict[str, Any]]:
    """Each variant: its name, place, alleles, and distance from the TSS in the direction of transcription."""
    sign = gene.direction
    for v, position in enumerate(variants.position.tolist()):
        yield {
            "variant_id": variants.variant_id[v],
            "contig": variants.contig,
            "position": position,
            "ref": variants.ref[v],
            "alt": variants.alt[v],
            "tss_distance": None if sign is None else sign * (position - gene.tss),
        }


def _known(value: float) -> float | None:
    """Null where there is no number."""
    return None if np.isnan(value) else float(value)


def _in_words(effects: int, additivity: pl.DataFrame, computed: int, kept: int, arrays: int) -> str:
    genes = additivity.unique("gene_id")
    asked, distinct = int(genes["asked"].sum()), int(genes["distinct"].sum())
    saved = f"{asked / max(distinct, 1):.1f}x fewer" if distinct <= asked else "with people's own haplotypes"
    r = additivity["pearson_r"].median()
    additive = f"median additivity r {r:.3f}" if isinstance(r, float) else "no additivity r"
    return (
        f"{plural(effects, 'effect')} on {plural(len(genes), 'gene')}, {asked:,} sequences, "
        f"{distinct:,} distinct ({saved}); {additive}; "
        f"{plural(computed, 'unit')} computed, {kept} kept"
        + (f"; {plural(arrays, 'array')} of single bases" if arrays else "")
    )
