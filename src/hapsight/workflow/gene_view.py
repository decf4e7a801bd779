"""One model's view of one gene, put together from tables, genotypes, reference and model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval, Strand, Variants
from hapsight.errors import ConfigError
from hapsight.evaluate.ld import ld_with
from hapsight.explain.drivers import Drivers, sasse2023_drivers
from hapsight.explain.support import supported
from hapsight.explain_tables import VIEW_VARIANTS
from hapsight.report.gene_view import PEOPLE, Logo, ModelView, Motif, TopEqtl
from hapsight.tables import CIS_NOMINAL
from hapsight.workflow.arms import Arm, Comparison
from hapsight.workflow.cards import ModelCard
from hapsight.workflow.driver_rows import KEY
from hapsight.workflow.opened import Opened
from hapsight.workflow.variants import VariantReader

if TYPE_CHECKING:
    from hapsight.explain.allele_logo import Measure
    from hapsight.predict.values import Valuer

__all__ = ["Known", "gene_view"]

Float = NDArray[np.float64]
Dosage = NDArray[np.uint8]

_DIGITS: Final = 6
"""Significant ones of the values of people that a page holds."""

_NOTES: Final = {
    "saturation": "Height of a letter: the prediction with the base that is there less the mean over all "
    "four bases at its place (saturation mutagenesis); all else as on the reference, REF above, ALT below.",
    "gradient": "Height of a letter: gradient times input, a first-order guess of what the base is worth to "
    "the prediction; all else as on the reference, REF above, ALT below. With `saturation` set under "
    "[explain], every base is exchanged instead.",
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
        Columns `hapsight.tables.EXPLAIN_EFFECTS`, one track.
    nominal
        Columns `hapsight.tables.CIS_NOMINAL`; None where no eQTLs are mapped.
    motif
        A variant (position, ref, alt) and what it does to motifs.
    """

    result: dict[str, Any]
    effects: pl.DataFrame
    nominal: pl.DataFrame | None
    motif: tuple[tuple[int, str, str], Motif] | None


def gene_view(
    opened: Opened,
    card: ModelCard,
    valuer: Valuer | str,
    t: int,
    arm: Arm,
    compared: Comparison,
    known: Known,
) -> ModelView:
    """Find the drivers of one gene, and lay effects, slopes and LD beside each other.

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
    found = _drivers(table, dosage, scored, compared)
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


def _drivers(table: pl.DataFrame, dosage: Dosage, scored: NDArray[np.bool_], compared: Comparison) -> Drivers:
    effects = table.filter("in_window")["effect"].to_numpy().astype(np.float64)
    return sasse2023_drivers(effects, dosage[scored], compared.predicted)


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
