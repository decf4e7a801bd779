"""The stage that asks why a sign is wrong: drivers, their support and motifs, and reliability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import WeightRow
from hapsight.cohort.effect_fit import SAMPLE, require_fit
from hapsight.cohort.nouns import Dropped, Gene, Variants
from hapsight.engine.views import margin, window_of
from hapsight.errors import IncompleteError, InputError, plural
from hapsight.explain.driver_summary import driver_summary
from hapsight.explain.motifs import Motif
from hapsight.explain.support import GivenEffects
from hapsight.explain.tables import (
    DRIVER_SUMMARY,
    DRIVER_VARIANTS,
    DRIVERS,
    EXPLAIN_ELEMENTS,
    RELIABILITY,
    RELIABILITY_SUMMARY,
)
from hapsight.least_squares import residuals
from hapsight.priors.sign_table import SignPriors, read_sign_priors
from hapsight.run.arms import Arm, cards_in, results_of
from hapsight.run.blocks import VariantReader
from hapsight.run.crew import SetAside
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened, Progress, add_dropped, dropped_table
from hapsight.seeds import stream
from hapsight.stages.driver_context import (
    add_conservation,
    add_motifs,
    configured_motifs,
    features,
    neighbourhood_columns,
    reliability,
    replicate_table,
    why_no_motifs,
)
from hapsight.stages.driver_rows import KEY, GeneEffects, driver_rows, reach_of
from hapsight.stages.eqtl import eqtl_blocks
from hapsight.stages.explain import chosen_genes, explain_blocks, explain_store
from hapsight.stages.predict import ModelRun, sequence_models
from hapsight.stages.saturation import (
    Centre,
    centres,
    has_saturation,
    main_drivers,
    saturation_unit,
    stored_around_tss,
    stretch_around,
)
from hapsight.stages.valued_units import compute_values
from hapsight.tables import HALVES

__all__ = ["drivers", "saturate_drivers"]

Float = NDArray[np.float64]

_SLOPES = ("slope", "slope_half2")
_NO_EQTL = "No eQTLs were mapped (eqtl.run = false), so no driver could be compared with one."


def drivers(
    opened: Opened,
    arms: Sequence[Arm],
    progress: Progress,
    motifs: Sequence[Motif] | None = None,
    given: GivenEffects | None = None,
) -> None:
    """Write ``explain/{drivers,driver_variants,driver_summary,reliability,reliability_summary}.parquet``.

    After ``explain``.

    Parameters
    ----------
    arms
        Those of models are looked at.
    motifs
        Matrices to look for at drivers; without any, motifs are not looked for, and a note says so. ``None``:
        as ``[explain] motifs`` has it.
    given
        Measured effects to compare drivers with.

    Raises
    ------
    IncompleteError
        A model is not evaluated or explained, or eQTLs are wanted and not mapped.
    InputError
        The table of sign priors cannot be read.
    MissingExtraError
        The configuration wants motifs, and pyjaspar or memelite is not installed.
    """
    if motifs is None:
        motifs = configured_motifs(opened.config.explain.motifs)
    path = opened.config.explain.sign_priors
    priors = None if path is None else read_sign_priors(path)
    own = opened.cohort.genes, opened.cohort.reference.contigs
    given, priors = given and given.for_genes(*own), priors and priors.for_genes(*own)
    with opened.folder.stage("drivers") as stage:
        rows: list[dict[str, Any]] = []
        effects = _effects(opened, arms)
        results = results_of(opened, list(effects))
        if given is not None:
            samples = _samples(opened, next(iter(effects.values()), {}), given)
            require_fit(given.path, "effects", samples, opened.cohort.reference, given.given.elsewhere)
        half1, predicted = _half1(opened), dict[Arm, NDArray[np.float32]]()
        for number, (arm, own_effects) in enumerate(effects.items()):
            kept: list[NDArray[np.float32]] = []
            rng = stream(opened.config.seed, "controls of drivers", number)
            genes = _genes(opened, arm, results[arm], own_effects, half1, kept, progress)
            rows += _arm_rows(opened, arm, genes, given, priors, rng)
            predicted[arm] = np.array(kept)
        if opened.config.explain.conservation is not None:
            add_conservation(rows, opened.config.explain.conservation)
        if motifs:
            add_motifs(rows, opened.cohort.reference, motifs)
        plain = [{name: row.get(name) for name in DRIVERS} for row in rows]
        table = pl.DataFrame(plain, schema=DRIVERS)
        for note in _notes(opened, motifs, given, table):
            opened.folder.note(note)
        each = [
            {name: (row | one)[name] for name in DRIVER_VARIANTS}
            for row in rows
            for one in row.get("drivers", ())
        ]
        opened.folder.write("explain/driver_variants.parquet", pl.DataFrame(each, schema=DRIVER_VARIANTS))
        _write(opened, table, results, predicted, effects)
        stage["detail"] = (
            f"{plural(table['gene_id'].n_unique(), 'gene')}, {plural(len(effects), 'model')} and tracks"
        )


def _samples(
    opened: Opened, effects: Mapping[str, pl.DataFrame], given: GivenEffects
) -> Iterator[tuple[tuple[WeightRow, ...], Variants]]:
    """The first genes that have given effects among their variants."""
    cohort = opened.cohort
    reaches = {gene_id: reach_of(rows, rows["contig"][0]) for gene_id, rows in effects.items() if len(rows)}
    reader, left = VariantReader(cohort.genotypes, cohort.reference, list(reaches.values())), SAMPLE
    for gene_id, reach in reaches.items():
        near = reader(reach)
        if rows := given.near(gene_id, near):
            yield rows, near
            left -= 1
        if not left:
            return


def _notes(
    opened: Opened, motifs: Sequence[Motif], given: GivenEffects | None, table: pl.DataFrame
) -> Iterator[str]:
    if given is not None:
        yield _given_in_words(given, table)
    if not opened.config.eqtl.run:
        yield _NO_EQTL
    if not motifs:
        yield why_no_motifs()


def _given_in_words(given: GivenEffects, table: pl.DataFrame) -> str:
    """How many of the given effects could be used."""
    once = table.unique(["gene_id", "n_given", "n_given_used"], maintain_order=True)
    near, used = (int(once[name].sum() or 0) for name in ("n_given", "n_given_used"))
    return (
        f"Measured effects ({given.path.name}): {used:,} of the {near:,} that lie among the variants of "
        "explained genes are of one of these variants, and have its alleles."
    )


def _write(
    opened: Opened,
    table: pl.DataFrame,
    results: Mapping[Arm, pl.DataFrame],
    predicted: Mapping[Arm, NDArray[np.float32]],
    effects: Mapping[Arm, Mapping[str, pl.DataFrame]],
) -> None:
    """The four tables."""
    summary: list[dict[str, Any]] = []
    genes, judged = [pl.DataFrame(schema=RELIABILITY)], [pl.DataFrame(schema=RELIABILITY_SUMMARY)]
    for number, arm in enumerate(predicted):
        own, labels = arm.rows(table), arm.labels()
        for (form,), part in own.group_by("form", maintain_order=True):
            summary += [labels | {"form": form} | row for row in driver_summary(part)]
        forward = own.filter(pl.col("form") == "sasse2023")
        replicates, elements = replicate_table(forward, arm, effects), _elements(opened, arm)
        known = features(forward, results[arm], arm, predicted, replicates, elements)
        rng = stream(opened.config.seed, "reliability", number)
        found = reliability(forward, results[arm], known, labels, rng)
        genes.append(found.genes)
        judged.append(found.summary)
    opened.folder.write("explain/drivers.parquet", table)
    opened.mark_current("drivers")
    opened.folder.write("explain/driver_summary.parquet", pl.DataFrame(summary, schema=DRIVER_SUMMARY))
    opened.folder.write("explain/reliability.parquet", pl.concat(genes))
    opened.folder.write("explain/reliability_summary.parquet", pl.concat(judged))


def _elements(opened: Opened, arm: Arm) -> pl.DataFrame:
    """The element of each variant, of a sum over elements; else nothing."""
    assert arm.card is not None, "only models are explained"
    store = explain_store(opened, arm.card)
    if not (store.folder / "elements.parquet").is_file():
        return pl.DataFrame(schema=EXPLAIN_ELEMENTS)
    table = store.read(explain_blocks(opened, arm.card), "elements")
    return table.filter(pl.col("track") == arm.track)


def _effects(opened: Opened, arms: Sequence[Arm]) -> dict[Arm, dict[str, pl.DataFrame]]:
    """Of each model's arms: the effects on every explained gene, beside the slopes of its eQTLs."""
    found = {}
    for card, own in cards_in(arms).items():
        units = explain_blocks(opened, card)
        effects = _beside_eqtls(opened, explain_store(opened, card).read(units, "effects"))
        for arm in own:
            mine = effects.filter(pl.col("track") == arm.track).partition_by("gene_id", as_dict=True)
            genes = [gene.gene_id for unit in units for gene in unit.genes]
            found[arm] = {gene_id: mine.get((gene_id,), _NOTHING) for gene_id in genes}
    return found


def _beside_eqtls(opened: Opened, effects: pl.DataFrame) -> pl.DataFrame:
    """The effects with the slopes of the same variants on the same genes; null where not tested."""
    if not opened.config.eqtl.run:
        return effects.with_columns(pl.lit(None, pl.Float64).alias(name) for name in _SLOPES)
    store, parts = opened.folder.eqtl(), []
    keys = effects.select("gene_id", *KEY).unique()
    for unit in eqtl_blocks(opened):
        nominal = store.read([unit], "nominal")
        found = nominal.select(*KEY, *_SLOPES, gene_id="phenotype_id")
        parts.append(found.join(keys, on=["gene_id", *KEY], how="semi"))
    return effects.join(pl.concat(parts), on=["gene_id", *KEY], how="left", maintain_order="left")


def _half1(opened: Opened) -> tuple[NDArray[np.bool_], Float] | None:
    """(N,) people of the eQTLs' half 1, and (G, N1) their residual expression, fitted in them alone."""
    path = opened.folder.path / "eqtl" / "halves.parquet"
    if not opened.config.eqtl.run or not path.exists():
        return None
    halves = dict(pl.read_parquet(path).select(list(HALVES)).iter_rows())
    people = np.array([halves.get(sample) == 1 for sample in opened.cohort.samples])
    covariates = opened.cohort.covariates
    try:
        own = None if covariates is None else covariates.values[people]
        return people, residuals(opened.cohort.transformed[:, people], own)
    except InputError:
        return None


def _genes(
    opened: Opened,
    arm: Arm,
    results: pl.DataFrame,
    effects: Mapping[str, pl.DataFrame],
    half1: tuple[NDArray[np.bool_], Float] | None,
    kept: list[NDArray[np.float32]],
    progress: Progress,
) -> Iterator[GeneEffects]:
    """One arm's explained genes; the predictions of all genes go to `kept`."""
    cohort = opened.cohort
    reaches = [reach_of(rows, rows["contig"][0]) for rows in effects.values() if len(rows)]
    reader = VariantReader(cohort.genotypes, cohort.reference, reaches)
    rows = zip(arm.comparisons(cohort.genes), results.iter_rows(named=True), strict=True)
    for done, (compared, result) in enumerate(rows, start=1):
        kept.append(compared.predicted.astype(np.float32))
        progress(f"drivers {arm.model}", done, len(cohort.genes))
        gene = compared.gene
        if gene.gene_id in effects:
            own = effects[gene.gene_id]
            half = None if half1 is None else (half1[0], half1[1][done - 1])
            yield GeneEffects(compared, result, own, reader(reach_of(own, gene.contig)), half)


def _arm_rows(
    opened: Opened,
    arm: Arm,
    genes: Iterator[GeneEffects],
    given: GivenEffects | None,
    priors: SignPriors | None,
    rng: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    """Rows of one arm's explained genes, with what the bases around their drivers matter."""
    assert arm.card is not None, "only models are explained"
    assert arm.track is not None
    for known in genes:
        gene = known.compared.gene
        stored = stored_around_tss(opened, arm.card, gene)
        for row in driver_rows(arm, known, given, priors, rng):
            around = (
                neighbourhood_columns(row, gene, stored, arm.track, opened.cohort.reference) if stored else {}
            )
            yield row | around


_NOTHING = pl.DataFrame(
    schema=dict.fromkeys(("position", "effect", "effect_sd", *_SLOPES), pl.Float64)
    | {"ref": pl.String, "alt": pl.String}
)
"""The effects of a gene without variants."""


_SHOWN = 5


def saturate_drivers(
    opened: Opened, runs: Sequence[ModelRun | EffectsRun], progress: Progress, genes: Sequence[str] = ()
) -> None:
    """Saturation mutagenesis around main drivers, where the configuration wants it there.

    Arrays that are there are not computed again. Genes without a driver, or with one so near the window's
    edge that the stretch reaches out of it, have none; they are named in ``dropped.parquet``.

    Parameters
    ----------
    genes
        Identifiers; else those that the configuration chooses.

    Raises
    ------
    IncompleteError
        The drivers of a gene were not looked for; or some arrays could not be made, all others are.
    """
    options = opened.config.explain
    if options.saturation is None or options.saturation_around != "driver":
        return
    aside = SetAside()
    for run in sequence_models(runs, "Saturation around drivers"):
        with aside.later():
            _saturate(opened, run, chosen_genes(opened, run, genes), progress)
    aside.report()


def _saturate(opened: Opened, run: ModelRun, genes: Sequence[Gene], progress: Progress) -> None:
    label = f"saturate drivers {run.label}"
    with opened.folder.stage(f"{label} ({run.read_out.name})") as stage:
        dropped = Dropped()
        places = _placed(opened, run, genes, margin(run.read_out), dropped)
        missing = {
            (gene, at): [centre for centre in own if not has_saturation(opened, run, gene, centre)]
            for (gene, at), own in places.items()
        }
        units = [saturation_unit(opened, run, gene, own) for (gene, _), own in missing.items() if own]
        compute_values(opened, run, label, units, progress)
        add_dropped(opened, dropped_table(dropped))
        made = sum(len(unit.arrays) for unit in units)
        stage["detail"] = _in_words(made, sum(map(len, places.values())), dropped)


def _placed(
    opened: Opened, run: ModelRun, genes: Sequence[Gene], beyond: int, dropped: Dropped
) -> dict[tuple[Gene, int], list[Centre]]:
    """Each gene's drivers by their place, so that tracks with one driver share the work."""
    found: dict[tuple[Gene, int], list[Centre]] = {}
    for track in run.track_names:
        for gene, centre in _usable(opened, run, track, genes, beyond, dropped):
            found.setdefault((gene, centre.position), []).append(centre)
    return found


def _usable(
    opened: Opened, run: ModelRun, track: str, genes: Sequence[Gene], beyond: int, dropped: Dropped
) -> Iterator[tuple[Gene, Centre]]:
    """Genes with a driver that has room in the window; the others go to `dropped`."""
    _require_looked_for(opened, run, track, genes)
    known, where = centres(opened, run, track), f"for saturation by {run.label}, {run.read_out.name}:{track}"
    for gene in genes:
        centre = known.get(gene.gene_id)
        if centre is None:
            dropped.add("gene", f"{where}: no driver", gene.gene_id)
            continue
        stretch, window = stretch_around(opened, gene, centre), window_of(gene, run.window, beyond).interval
        if stretch.start < window.start or stretch.end > window.end:
            reason = f"{where}: the stretch around its driver reaches out of the window"
            dropped.add("gene", reason, gene.gene_id)
            continue
        yield gene, centre


def _require_looked_for(opened: Opened, run: ModelRun, track: str, genes: Sequence[Gene]) -> None:
    known = set(main_drivers(opened, run, track)["gene_id"])
    lost = [gene.gene_id for gene in genes if gene.gene_id not in known]
    if lost:
        raise IncompleteError(
            "Saturation mutagenesis is wanted around drivers of genes that were not explained.",
            where=explain_store(opened, run).folder.parent / "drivers.parquet",
            expected=f"{plural(len(genes), 'gene')} of {run.label}, {track}",
            got=f"{len(lost)} are not there, such as {', '.join(lost[:_SHOWN])}",
            fix="let [explain] choose these genes too, and run `hapsight explain` and `hapsight drivers`",
        )


def _in_words(made: int, wanted: int, dropped: Dropped) -> str:
    """Counts, and the first names of genes that were left out."""
    words = [f"{plural(made, 'array')} around drivers computed, {wanted - made} kept"]
    for (kind, reason), names in sorted(dropped.names.items()):
        shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        words.append(f"left out {reason}: {dropped.counts[kind, reason]} ({shown})")
    return "; ".join(words)
