"""The stage that writes a page for each of some genes: why its sign is right or wrong.

One model's view of one gene, put together from tables, genotypes, reference and model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.matching import genes_of_cohort
from hapsight.cohort.nouns import Gene, Interval, Strand, Variants
from hapsight.errors import ConfigError, WeightsError, plural
from hapsight.explain.drivers import Drivers, sasse2023_drivers
from hapsight.explain.support import supported
from hapsight.explain.tables import (
    DRIVER_VARIANTS,
    DRIVERS,
    EXPLAIN_EFFECTS,
    PAGES_WITHHELD,
    VIEW_VARIANTS,
    WITHHELD,
)
from hapsight.files import file_name
from hapsight.report.build import require_extra
from hapsight.report.gene_view import PEOPLE, GenePage, Logo, ModelView, Motif, TopEqtl
from hapsight.run.arms import Arm, Comparison, cards_in, results_of
from hapsight.run.blocks import VariantReader
from hapsight.run.effects import EffectsRun
from hapsight.run.models import ModelCard
from hapsight.run.opened import Opened, Progress
from hapsight.stages.driver_units import KEY, stored_drivers
from hapsight.stages.eqtl import eqtl_blocks
from hapsight.stages.explain import explain, explain_bases, explain_blocks, explain_store
from hapsight.stages.predict import ModelRun, require_model
from hapsight.stages.valued_units import valuer_of
from hapsight.stats.eqtl import ld_with
from hapsight.tables import CIS_NOMINAL

if TYPE_CHECKING:
    from hapsight.engine.engine import Valuer
    from hapsight.explain.allele_logo import Measure

__all__ = ["MOST", "Known", "gene_pages", "gene_view"]

Float = NDArray[np.float64]
Dosage = NDArray[np.uint8]

_DIGITS: Final = 6
"""Significant ones of the values of people that a page holds."""

_NOTES: Final = {
    "saturation": "Height of a letter: the prediction with the base that is there less the mean over all "
    "four bases at its place (saturation mutagenesis); all else as on the reference, REF above, ALT below.",
    "gradient": "Height of a letter: gradient times input, a first-order guess of what the base is worth to "
    "the prediction; all else as on the reference, REF above, ALT below. With `saturation` set under "
    "[explain], every base is substituted instead.",
}
_STRAND_NOTE: Final = " The gene is on the minus strand: letters are the complements of the VCF’s alleles."
_NO_VARIANT: Final = "There is no variant to show the bases of."


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What tables say of one gene and model.

    Attributes
    ----------
    result
        The row of ``per_gene``.
    effects
        Columns `hapsight.explain.tables.EXPLAIN_EFFECTS`, one track.
    nominal
        Columns `hapsight.tables.CIS_NOMINAL`; None where no eQTLs are mapped.
    motif
        A variant (position, ref, alt) and what it does to motifs.
    drivers
        Its rows of ``drivers`` and ``driver_variants``, none where they were not looked for.
    """

    result: dict[str, Any]
    effects: pl.DataFrame
    nominal: pl.DataFrame | None
    motif: tuple[tuple[int, str, str], Motif] | None
    drivers: tuple[pl.DataFrame, pl.DataFrame]


def gene_view(
    opened: Opened,
    card: ModelCard,
    valuer: Valuer | str,
    t: int,
    arm: Arm,
    compared: Comparison,
    known: Known,
) -> ModelView:
    """Lay a gene's drivers, effects, slopes and LD beside each other; what was not looked for yet is found.

    Parameters
    ----------
    valuer
        What gives the model's values around a variant; or why there are none.
    t
        Which of the read-out's tracks.
    """
    gene = compared.gene
    window = card.reads(gene)
    margin = len(window) // 2
    reader = VariantReader(opened.cohort.genotypes, opened.cohort.reference)
    near = reader(window.widen(margin, margin))
    table = _joined(known, near)
    dosage = near.dosage[table["row"].to_numpy()]
    scored = table["in_window"].to_numpy()
    found = _drivers(table, dosage, scored, compared, known)
    marked = _marked(table, dosage, scored, found)
    own = None if marked is None else dosage[marked]
    table = _with_drivers(table, dosage, np.flatnonzero(scored)[found.index], marked)
    logos, note = _logos(opened, valuer, t, gene, near, table, marked)
    return ModelView(
        **arm.labels(),
        observed=arm.observed,
        units=card.tracks[t].units,
        result=known.result,
        window=_distances(gene, window),
        shown=_distances(gene, window.widen(margin, margin)),
        people=_people(compared, own),
        variants=table.select(list(VIEW_VARIANTS)),
        marked=marked,
        driver_status=found.status if scored.any() else "no_variants",
        additivity=found.additivity,
        n_drivers=len(found.index),
        motif=_motif_of(known, table, marked),
        top_eqtl=_top_eqtl(known, window, reader, own),
        eqtl_mapped=known.nominal is not None,
        logos=logos,
        logo_note=note,
        withheld=False,
        af_step=None,
    )


def _joined(known: Known, near: Variants) -> pl.DataFrame:
    """Effects and slopes side by side, by position; ``row`` is the variant's place in `near`."""
    here = pl.DataFrame(
        {
            "position": near.position,
            "ref": pl.Series(near.ref, dtype=pl.String),
            "alt": pl.Series(near.alt, dtype=pl.String),
            "row": pl.Series(range(len(near)), dtype=pl.Int64),
        }
    )
    both = ("variant_id", "tss_distance", "af")
    effects = known.effects.select(*KEY, *both, "effect", "effect_mean", "effect_sd", "n_backgrounds")
    nominal = _slopes(known).select(*KEY, *both, "slope", "slope_se", "pval_nominal")
    table = effects.join(nominal, on=KEY, how="full", coalesce=True, suffix="_eqtl")
    table = table.with_columns(
        *(pl.coalesce(name, f"{name}_eqtl").alias(name) for name in both),
        contig=pl.lit(near.contig),
        in_window=pl.col("effect").is_not_null(),
    )
    return table.join(here, on=KEY, how="inner").sort("position", "row")


def _slopes(known: Known) -> pl.DataFrame:
    """Variants whose slope is known."""
    if known.nominal is None:
        return pl.DataFrame(schema=CIS_NOMINAL)
    return known.nominal.drop_nulls(["slope", "pval_nominal"])


def _drivers(
    table: pl.DataFrame, dosage: Dosage, scored: NDArray[np.bool_], compared: Comparison, known: Known
) -> Drivers:
    shown = table.filter("in_window")
    effects = shown["effect"].to_numpy().astype(np.float64)
    stored = stored_drivers(*known.drivers, shown, known.result["pearson_r"])
    return stored or sasse2023_drivers(effects, dosage[scored], compared.predicted)


def _marked(table: pl.DataFrame, dosage: Dosage, scored: NDArray[np.bool_], found: Drivers) -> int | None:
    """The main driver, else the variant that contributes most to the spread of the prediction."""
    places = np.flatnonzero(scored)
    if found.main is not None:
        return int(places[found.index[found.main]])
    if not len(places):
        return None
    effects = table["effect"].to_numpy()[places].astype(np.float64)
    size = np.abs(effects) * dosage[places].std(axis=1)
    return int(places[np.argmax(size)]) if size.max() > 0 else None


def _with_drivers(
    table: pl.DataFrame, dosage: Dosage, drivers: NDArray[np.intp], marked: int | None
) -> pl.DataFrame:
    r2 = np.full(len(table), np.nan) if marked is None else ld_with(dosage, marked) ** 2
    is_driver = np.isin(np.arange(len(table)), drivers)
    agrees = [supported(*row) for row in table.select("effect", "slope").iter_rows()]
    return table.with_columns(
        _carriers(dosage),
        pl.Series("r2", r2).fill_nan(None),
        pl.Series("driver", is_driver),
        pl.Series("supported", agrees, dtype=pl.Boolean),
    )


def _carriers(dosage: Dosage) -> pl.Series:
    """People who carry the rarer allele of each variant, from (V, N) dosages."""
    alt, ref = (dosage > 0).sum(axis=1), (dosage < 2).sum(axis=1)
    alt_is_rarer = dosage.sum(axis=1, dtype=np.int64) <= dosage.shape[1]
    return pl.Series("carriers", np.where(alt_is_rarer, alt, ref).astype(np.int64))


def _people(compared: Comparison, own: Dosage | None) -> pl.DataFrame:
    """Sorted by value, so that the order does not tell who is who."""
    genotype = [None] * len(compared.predicted) if own is None else own.tolist()
    columns = {"predicted": compared.predicted, "observed": compared.observed, "genotype": genotype}
    table = pl.DataFrame(columns, schema=PEOPLE)
    return table.with_columns(pl.col(pl.Float64).round_sig_figs(_DIGITS)).sort(list(PEOPLE))


def _distances(gene: Gene, interval: Interval) -> tuple[int, int]:
    """First and last base of an interval from the TSS, in the direction of transcription."""
    first, last = interval.start - gene.tss, interval.end - 1 - gene.tss
    return (-last, -first) if gene.strand is Strand.MINUS else (first, last)


def _motif_of(known: Known, table: pl.DataFrame, marked: int | None) -> Motif | None:
    if marked is None or known.motif is None:
        return None
    variant, motif = known.motif
    return motif if table.select(KEY).row(marked) == variant else None


def _top_eqtl(known: Known, window: Interval, reader: VariantReader, own: Dosage | None) -> TopEqtl | None:
    """The strongest of all variants that were tested, and its LD to the marked one."""
    tested = _slopes(known)
    if tested.is_empty():
        return None
    row = tested.sort("pval_nominal", maintain_order=True).row(0, named=True)
    names = ("variant_id", "position", "ref", "alt", "tss_distance", "slope", "pval_nominal")
    end = row["position"] + len(row["ref"])
    place = Interval(window.contig, row["position"], row["position"] + 1)
    variant = {name: row[name] for name in names} | {
        "contig": window.contig,
        "in_window": end > window.start and row["position"] < window.end,
        "carriers": row["ma_samples"],
        "r2": None if own is None else _r2(own, reader(place), row),
    }
    return TopEqtl(variant, len(tested))


def _r2(own: Dosage, near: Variants, row: dict[str, Any]) -> float | None:
    keys = list(zip(near.position.tolist(), near.ref, near.alt, strict=True))
    found = near.dosage[keys.index((row["position"], row["ref"], row["alt"]))]
    r2 = float(ld_with(np.stack([own, found]), 0)[1] ** 2)
    return r2 if np.isfinite(r2) else None


def _logos(
    opened: Opened,
    valuer: Valuer | str,
    t: int,
    gene: Gene,
    near: Variants,
    table: pl.DataFrame,
    marked: int | None,
) -> tuple[tuple[Logo, Logo] | None, str]:
    """Both alleles of the marked variant, and what the heights are; or why there is none."""
    if marked is None:
        return None, _NO_VARIANT
    if isinstance(valuer, str):
        return None, valuer
    from hapsight.explain.allele_logo import allele_logos

    measure: Measure = "gradient" if opened.config.explain.saturation is None else "saturation"
    one = near.take(np.array([table["row"][marked]], np.intp))
    try:
        pair = allele_logos(gene, valuer, one, opened.cohort.reference.fetch, measure)
    except ConfigError as error:
        return None, error.what
    ref, alt = (Logo(logo.letters, logo.worth[:, t], logo.first, logo.last) for logo in pair)
    return (ref, alt), _NOTES[measure] + (_STRAND_NOTE if gene.strand is Strand.MINUS else "")


MOST: Final = 6
"""Genes of each model and direction that have a page where none is asked for by name."""

_FORM: Final = "sasse2023"


def gene_pages(
    opened: Opened,
    arms: Sequence[Arm],
    progress: Progress,
    genes: Sequence[str] = (),
    most: int = MOST,
    individuals: bool = False,
) -> list[Path]:
    """Write ``report/genes/<gene_id>.html``; effects that are not there yet are computed.

    Parameters
    ----------
    arms
        Those of models have pages.
    genes
        Identifiers; other pages stay. Without them those of ``[explain] genes``; without these the `most`
        genes of the largest abs(R) of each model, of R > 0 and of R < 0. Pages of other genes are then taken
        away, since they may be of older numbers.
    individuals
        Show a point per person even where ``[report] include_individuals`` does not ask for it.

    Raises
    ------
    ConfigError
        A gene is not one of the cohort's.
    IncompleteError
        A model is not evaluated, or eQTLs are wanted and not mapped.
    MissingExtraError
        The packages of the report are not installed.
    """
    require_extra()
    from hapsight.report.gene_page import write_gene_page

    models = cards_in(arms)
    results = results_of(opened, [arm for own in models.values() for arm in own])
    asked = genes or opened.config.explain.genes
    named = genes_of_cohort(opened.cohort.genes, asked, "to show") if asked else None
    chosen = named or _strongest(opened, results, most)
    effects = {card: _effects(opened, card, chosen, progress) for card in models}
    with opened.folder.stage("gene pages") as stage:
        views = _views(opened, effects, results, chosen, progress)
        folder = opened.folder.path / "report" / "genes"
        shown = individuals or opened.config.report.include_individuals
        pages = (replace(_page(opened, gene, views[gene.gene_id]), individuals=shown) for gene in chosen)
        written = [write_gene_page(page, folder) for page in pages]
        _record_withheld(opened, list(views), [withheld for _, withheld in written], keep=bool(genes))
        if not genes:
            _remove_others(folder, views)
        stage["detail"] = plural(len(written), "page")
    return [path for path, _ in written]


def _record_withheld(
    opened: Opened, written: Collection[str], withheld: Sequence[pl.DataFrame], keep: bool
) -> None:
    """Keep what the pages do not show beside what other pages do not, for ``report --check-disclosure``."""
    path = opened.folder.path / PAGES_WITHHELD
    old = (
        pl.read_parquet(path, columns=list(WITHHELD))
        if keep and path.exists()
        else pl.DataFrame(schema=WITHHELD)
    )
    others = old.filter(~pl.col("gene_id").is_in(list(written)))
    opened.folder.write(PAGES_WITHHELD, pl.concat([others, *withheld]))


def _strongest(opened: Opened, results: Mapping[Arm, pl.DataFrame], most: int) -> list[Gene]:
    """The genes of the largest abs(R) of each model and direction, in the cohort's order."""
    names: set[str] = set()
    for rows in results.values():
        own = rows.drop_nulls("pearson_r").sort("pearson_r")
        wrong = own.filter(pl.col("pearson_r") < 0).head(most)
        right = own.filter(pl.col("pearson_r") > 0).tail(most)
        names |= {*wrong["gene_id"], *right["gene_id"]}
    return [gene for gene in opened.cohort.genes if gene.gene_id in names]


def _effects(opened: Opened, card: ModelCard, chosen: Sequence[Gene], progress: Progress) -> pl.DataFrame:
    """Effects on the chosen genes, from whatever units have them; the others are computed."""
    store = explain_store(opened, card)
    wanted = {gene.gene_id for gene in chosen}
    units = [
        unit
        for unit in explain_blocks(opened, card)
        if wanted & {gene.gene_id for gene in unit.genes} and store.done(unit.name, unit.key)
    ]
    missing = wanted - {gene.gene_id for unit in units for gene in unit.genes}
    if isinstance(card, ModelRun):  # a command that was ended has their effects, and maybe not their bases
        explain_bases(opened, card, [gene for gene in chosen if gene.gene_id not in missing], progress)
    if missing:
        names = sorted(missing)
        purpose = f"Computing the effects of variants on {plural(len(names), 'gene')} not explained yet"
        run = card if isinstance(card, EffectsRun) else require_model(opened, card, purpose)
        explain(opened, [run], progress, names)
        units += explain_blocks(opened, card, names)
    if not units:
        return pl.DataFrame(schema=EXPLAIN_EFFECTS)
    return store.read(units, "effects").filter(pl.col("gene_id").is_in(list(wanted)))


def _nominal(opened: Opened, chosen: Sequence[Gene]) -> pl.DataFrame | None:
    """Every variant that was tested with the chosen genes; None where the run maps no eQTLs."""
    if not opened.config.eqtl.run:
        return None
    wanted, parts = {gene.gene_id for gene in chosen}, [pl.DataFrame(schema=CIS_NOMINAL)]
    store = opened.folder.eqtl()
    for unit in eqtl_blocks(opened):
        if wanted & {gene.gene_id for gene in unit.genes}:
            table = store.read([unit], "nominal").select(list(CIS_NOMINAL))
            parts.append(table.filter(pl.col("phenotype_id").is_in(list(wanted))))
    return pl.concat(parts)


def _drivers_table(opened: Opened, name: str, schema: Mapping[str, Any]) -> pl.DataFrame:
    """A table of the stage of drivers, of one form; empty where the run has not looked for drivers."""
    path = opened.folder.path / "explain" / f"{name}.parquet"
    table = pl.read_parquet(path, columns=list(schema)) if path.exists() else pl.DataFrame(schema=schema)
    return table.filter(pl.col("form") == _FORM)


def _views(
    opened: Opened,
    effects: Mapping[ModelCard, pl.DataFrame],
    results: Mapping[Arm, pl.DataFrame],
    chosen: Sequence[Gene],
    progress: Progress,
) -> dict[str, list[ModelView]]:
    """Each chosen gene's views: model after model, track after track."""
    nominal, main = _nominal(opened, chosen), _drivers_table(opened, "drivers", DRIVERS)
    drivers = _drivers_table(opened, "driver_variants", DRIVER_VARIANTS)
    views: dict[str, list[ModelView]] = {gene.gene_id: [] for gene in chosen}
    for card, own in cards_in(results).items():
        valuer = _valuer(opened, card)
        for t, arm in enumerate(own):
            tables = results[arm], effects[card].filter(pl.col("track") == arm.track)
            rows = *tables, arm.rows(main), arm.rows(drivers)
            for gene_id, known, compared in _known(arm, chosen, rows, nominal, progress):
                views[gene_id].append(gene_view(opened, card, valuer, t, arm, compared, known))
    return views


def _known(
    arm: Arm,
    chosen: Sequence[Gene],
    rows: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame],
    nominal: pl.DataFrame | None,
    progress: Progress,
) -> Iterator[tuple[str, Known, Comparison]]:
    """What is known of each chosen gene, from the arm's results, effects and drivers, and from the eQTLs."""
    results, effects, main, drivers = rows
    for done, compared in enumerate(arm.comparisons(chosen), start=1):
        gene_id = compared.gene.gene_id
        own = pl.col("gene_id") == gene_id
        known = Known(
            result=results.row(by_predicate=own, named=True),
            effects=effects.filter(own),
            nominal=None if nominal is None else nominal.filter(pl.col("phenotype_id") == gene_id),
            motif=_motif(main.filter(own, pl.col("motif").is_not_null())),
            drivers=(main.filter(own), drivers.filter(own)),
        )
        yield gene_id, known, compared
        progress(f"gene pages {arm.model}", done, len(chosen))


def _valuer(opened: Opened, card: ModelCard) -> Valuer | str:
    """What draws the letters around variants; or why they cannot be drawn here."""
    try:
        return valuer_of(opened, require_model(opened, card, "Drawing the letters around a variant"))
    except WeightsError as error:
        mend = error.details.get("to mend")
        why = f"{error.what.rstrip('.')}: {error.details.get('got', '').rstrip('.')}"
        return f"{why}. {mend[0].upper()}{mend[1:]}." if mend else f"{why}."


def _motif(rows: pl.DataFrame) -> tuple[tuple[int, str, str], Motif] | None:
    """The variant that motifs were looked for at, and what it does to them."""
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    found = Motif(
        row["motif"], row["motif_id"], row["motif_name"], row["motif_ref_score"], row["motif_alt_score"]
    )
    return (row["position"], row["ref"], row["alt"]), found


def _page(opened: Opened, gene: Gene, views: Sequence[ModelView]) -> GenePage:
    return GenePage(
        cohort=opened.config.name,
        gene_id=gene.gene_id,
        gene_name=gene.gene_name,
        contig=gene.contig,
        tss=gene.tss,
        strand=gene.strand.value if gene.strand else None,
        views=tuple(views),
        peaks=opened.config.cohort.phenotype == "peaks",
    )


def _remove_others(folder: Path, kept: Collection[str]) -> None:
    names = {file_name(gene_id, suffix=suffix) for gene_id in kept for suffix in (".html", ".csv")}
    for path in folder.glob("*"):
        if path.suffix in (".html", ".csv") and path.name not in names:
            path.unlink()
