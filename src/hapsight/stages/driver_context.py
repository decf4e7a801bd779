"""Rows of ``explain/reliability``: how probable it is that each gene's sign is right.

Conservation at variants, from a bigWig that the user gives (such as phyloP).

Motifs of the drivers of a run, and of the control variants beside them.

How much the bases around a main driver matter, where saturation mutagenesis was saved of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.bigwig import BigWig
from hapsight.cohort.nouns import Gene, Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import N_CODE, encode
from hapsight.errors import InputError
from hapsight.explain.driver_summary import CHANGED, RUNS, importance, neighbourhood
from hapsight.explain.motifs import (
    RELEASE,
    AlleleWindow,
    Motif,
    MotifChange,
    flank,
    load_jaspar,
    motif_changes,
)
from hapsight.explain.reliability import Genes, out_of_fold
from hapsight.explain.reliability_quality import CHOICES, judged_genes
from hapsight.explain.tables import RELIABILITY, RELIABILITY_FEATURES, RELIABILITY_SUMMARY
from hapsight.run.arms import Arm
from hapsight.stages.saturation import Saturation
from hapsight.stats.agreement import prediction_r

__all__ = [
    "DRIVER_REACH",
    "TSS_REACH",
    "Reliability",
    "Variant",
    "add_conservation",
    "add_motifs",
    "allele_window",
    "configured_motifs",
    "features",
    "neighbourhood_columns",
    "reliability",
    "replicate_table",
    "why_no_motifs",
]


def add_conservation(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Set ``conservation`` of rows with ``contig`` and 0-based ``position``: the mean over the REF allele.

    None where the file has no value; contigs may be called with or without ``chr``.

    Raises
    ------
    InputError
        The file is not there, is not a bigWig, or has none of the contigs.
    """
    with BigWig(path) as file:
        lengths = file.lengths
        named = {row["contig"] for row in rows if row.get("contig") is not None}
        name_of = {contig: _name(contig, lengths) for contig in named}
        if named and not any(name_of.values()):
            raise InputError(
                "The conservation has none of the contigs.",
                where=path,
                expected=", ".join(sorted(named)),
                got=", ".join(sorted(lengths)[:5]),
            )
        for row in rows:
            name = name_of.get(row.get("contig") or "")
            row["conservation"] = None if name is None else _mean(file, name, lengths[name], row)


def _name(contig: str, lengths: dict[str, int]) -> str | None:
    other = contig.removeprefix("chr") if contig.startswith("chr") else f"chr{contig}"
    return next((name for name in (contig, other) if name in lengths), None)


def _mean(file: BigWig, name: str, length: int, row: dict[str, Any]) -> float | None:
    start = int(row["position"])
    values = file.values(name, start, max(start, min(start + len(row["ref"]), length)))
    known = values[np.isfinite(values)].astype(np.float64)
    return float(known.mean()) if len(known) else None


Row = dict[str, Any]
Variant = tuple[str, int, str, str]
"""Contig, 0-based position, REF, ALT."""


def configured_motifs(wanted: bool | None, release: str = RELEASE) -> tuple[Motif, ...]:
    """JASPAR's matrices where they are wanted; ``None``: where the packages for them are installed.

    Raises
    ------
    MissingExtraError
        They are wanted, and pyjaspar or memelite is not installed.
    ConfigError
        There is no such release.
    """
    return load_jaspar(release) if (_installed() if wanted is None else wanted) else ()


def why_no_motifs() -> str:
    """A sentence for the report of a run whose drivers were not scanned."""
    missing = "" if _installed() else ": the extra `motifs` is not installed"
    return f"Motifs of drivers were not looked for{missing}."


def _installed() -> bool:
    return all(find_spec(name) is not None for name in ("memelite", "pyjaspar"))


def add_motifs(rows: Sequence[Row], reference: Reference, motifs: Sequence[Motif]) -> None:
    """Add to each row of `hapsight.stages.driver_units` what its driver and its control do to motifs.

    Every variant is scanned once, whatever the number of rows that it is in.
    """
    drivers = [_driver(row) for row in rows]
    controls = [_control(row) for row in rows]
    distinct = list(dict.fromkeys(v for v in (*drivers, *controls) if v is not None))
    windows = [allele_window(variant, reference, flank(motifs)) for variant in distinct]
    found = dict(zip(distinct, motif_changes(windows, motifs), strict=True))
    for row, driver, control in zip(rows, drivers, controls, strict=True):
        if driver is not None:
            row.update(_columns(found[driver]))
        if control is not None:
            row["control_motif"] = found[control].kind


def _driver(row: Row) -> Variant | None:
    if row.get("position") is None:
        return None
    return row["contig"], row["position"], row["ref"], row["alt"]


def _control(row: Row) -> Variant | None:
    return (row["contig"], *row["control"]) if row.get("control") else None


def allele_window(variant: Variant, reference: Reference, reach: int) -> AlleleWindow:
    """A variant (contig, 0-based position, REF, ALT) with `reach` bases of the reference on either side."""
    contig, position, ref, alt = variant
    end = position + len(ref)
    codes = reference.fetch(Interval(contig, position - reach, end + reach))
    return AlleleWindow(codes[:reach], encode(ref), encode(alt), np.asarray(codes[-reach:]))


def _columns(change: MotifChange) -> Row:
    found = asdict(change)
    return {
        "motif": found["kind"],
        "motif_id": found["matrix_id"],
        "motif_name": found["name"],
        "motif_ref_score": found["ref_score"],
        "motif_alt_score": found["alt_score"],
    }


TSS_REACH: Final = 1_000
"""Bases on either side of the TSS whose largest importance is the measure (Sasse et al. 2023)."""
DRIVER_REACH: Final = 20
"""Bases on either side of the driver that are looked at."""


def neighbourhood_columns(
    row: Row, gene: Gene, saturation: Saturation, track: str, reference: Reference
) -> Row:
    """Columns ``share_of_tss_max`` and `RUNS` of a row of `hapsight.stages.driver_units`.

    Empty where the row has no driver, where `saturation` does not hold the bases around the TSS and around
    the driver, where one of these is N, and where no base near the TSS matters at all. Of an indel, the
    place is the first base of the reference that it does not share with its other allele.
    """
    from hapsight.explain.ism import saturation_stretch

    if row.get("position") is None:
        return {}
    place = row["position"] + _shared(row["ref"], row["alt"])
    near_driver = Interval(gene.contig, place - DRIVER_REACH, place + DRIVER_REACH + 1)
    near_tss = saturation_stretch(gene, -TSS_REACH, TSS_REACH)
    stretch = saturation.stretch
    if not (_holds(stretch, near_driver) and _holds(stretch, near_tss)):
        return {}
    codes, driver, tss = reference.fetch(stretch), _part(stretch, near_driver), _part(stretch, near_tss)
    values = importance(saturation.of(track), codes)
    if N_CODE in codes[driver] or N_CODE in codes[tss] or not values[tss].any():
        return {}
    found = neighbourhood(values, place - stretch.start, values[tss], DRIVER_REACH)
    return {"share_of_tss_max": found.share_of_max, **dict(zip(RUNS, found.runs, strict=True))}


def _shared(ref: str, alt: str) -> int:
    """Bases that both alleles begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ref, alt, strict=False)))


def _holds(outer: Interval, inner: Interval) -> bool:
    return outer.contig == inner.contig and outer.start <= inner.start and inner.end <= outer.end


def _part(outer: Interval, inner: Interval) -> slice:
    """Where `inner` lies among the bases of `outer`."""
    return slice(inner.start - outer.start, inner.end - outer.start)


_SMALLEST = 1e-12
"""Added before logarithms of what can be 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Both tables of one model."""

    genes: pl.DataFrame
    summary: pl.DataFrame


def replicate_table(
    drivers: pl.DataFrame, arm: Arm, effects: Mapping[Arm, Mapping[str, pl.DataFrame]]
) -> pl.DataFrame:
    """What replicates of a model, such as folds of one training, make of each gene's main driver.

    Parameters
    ----------
    drivers
        Rows of one model and one form.
    effects
        By ``gene_id``, of every explained model; a variant without a row has no effect.

    Returns
    -------
    Columns ``gene_id``, ``replicates_same_sign`` (share of the replicates with the model's own sign) and
    ``log_replicates_z`` (log10 of the mean over all, the model among them, over their standard deviation,
    whatever its sign); null where there are none.
    """
    others = [
        mine for other, mine in effects.items() if other.is_replicate_of(arm) and other.track == arm.track
    ]
    rows = []
    for row in drivers.filter(pl.col("position").is_not_null()).iter_rows(named=True):
        said = np.array([_effect_of(mine[row["gene_id"]], row) for mine in others if row["gene_id"] in mine])
        every = np.append(said, row["effect"])
        spread = float(every.std(ddof=1)) if len(said) else 0.0
        z = abs(float(every.mean())) / spread if spread > 0 else None
        same = float(np.mean(np.sign(said) == np.sign(row["effect"]))) if len(said) else None
        rows.append((row["gene_id"], same, None if z is None else float(np.log10(z + 1e-3))))
    schema = {"gene_id": pl.String, "replicates_same_sign": pl.Float64, "log_replicates_z": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _effect_of(effects: pl.DataFrame, driver: Row) -> float:
    same = [pl.col(name) == driver[name] for name in ("position", "ref", "alt")]
    found = effects.filter(*same)
    return float(found["effect"][0]) if len(found) else 0.0


def features(
    drivers: pl.DataFrame,
    per_gene: pl.DataFrame,
    arm: Arm,
    predictions: Mapping[Arm, NDArray[np.float32]],
    replicates: pl.DataFrame,
    elements: pl.DataFrame,
) -> pl.DataFrame:
    """What is known of each gene's prediction without its expression.

    Parameters
    ----------
    drivers
        Rows of one model and one form.
    per_gene
        The model's rows of ``per_gene``, genes as in the predictions.
    predictions
        (G, N) of every sequence model of the run, `arm` among them.
    replicates
        `replicate_table`.
    elements
        Rows of `EXPLAIN_ELEMENTS` of the model; none where it has no elements.

    Returns
    -------
    Columns ``gene_id`` and `RELIABILITY_FEATURES`; one row per gene of `per_gene`.
    """
    others = [other for other in predictions if other is not arm]
    agreement = {
        name: _mean_r(predictions[arm], [predictions[o] for o in others if o.is_replicate_of(arm) == alike])
        for name, alike in (("agreement_models", False), ("agreement_replicates", True))
    }
    beside = per_gene.select(
        "gene_id",
        log_n_variants=(pl.col("n_variants") + 1).log10(),
        log_prediction_sd=(pl.col("prediction_sd") + _SMALLEST).log10(),
    ).with_columns(pl.Series(name, values) for name, values in agreement.items())
    keys = ["gene_id", "position", "ref", "alt"]
    near = elements.select(*keys, "element_effect", "activity")
    drivers = drivers.join(near, on=keys, how="left", maintain_order="left")
    drivers = drivers.join(replicates, on="gene_id", how="left", maintain_order="left")
    found = drivers.select(
        "gene_id",
        "additivity",
        "n_drivers",
        "driver_r",
        "conservation",
        log_spread=(pl.col("spread") + 1e-3).log10(),
        log_effect=(pl.col("effect").abs() + _SMALLEST).log10(),
        log_distance=(pl.col("distance") + 1).log10(),
        motif=pl.col("motif").is_in(CHANGED),
        replicates_same_sign=pl.col("replicates_same_sign"),
        log_replicates_z=pl.col("log_replicates_z"),
        log_element_effect=(pl.col("element_effect").abs() + 1e-6).log10(),
        log_activity=(pl.col("activity") + 1e-3).log10(),
    )
    table = beside.join(found, on="gene_id", how="left", maintain_order="left")
    table = table.select("gene_id", *(pl.col(n).cast(k) for n, k in RELIABILITY_FEATURES.items()))
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def reliability(
    drivers: pl.DataFrame,
    per_gene: pl.DataFrame,
    known: pl.DataFrame,
    labels: Mapping[str, str],
    rng: np.random.Generator,
) -> Reliability:
    """Estimate and judge the reliability of one model's signs.

    Parameters
    ----------
    known
        `features`.
    """
    table = per_gene.select("gene_id", "gene_name", "contig", "tss", "pearson_r", "qval").join(
        known, on="gene_id", how="inner", maintain_order="left"
    )
    table = table.join(drivers.select("gene_id"), on="gene_id", how="semi", maintain_order="left")
    table = table.filter(pl.col("pearson_r").is_not_null() & (pl.col("pearson_r") != 0))
    named = {name: pl.lit(value) for name, value in labels.items()}
    table = table.with_columns(sign_right=pl.col("pearson_r") > 0, **named)
    values = table.select(*RELIABILITY_FEATURES).fill_null(np.nan).to_numpy().astype(np.float64)
    right = table["sign_right"].to_numpy()
    found = out_of_fold(Genes(values, right, table["contig"].to_list(), table["tss"].to_numpy()))
    nothing = pl.lit(None)
    estimated = {
        "fold": nothing if found is None else pl.Series(found.fold),
        "probability": nothing if found is None else pl.Series(found.probability),
        "base_rate": nothing if found is None else pl.Series(found.base_rate),
    }
    table = table.with_columns(**estimated).select(pl.col(n).cast(k) for n, k in RELIABILITY.items())
    rows = [dict(labels) | judged_genes(table, choice, rng) for choice in CHOICES]
    return Reliability(table, pl.DataFrame(rows, schema=RELIABILITY_SUMMARY))


def _mean_r(own: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """(G,) mean over other models of the r over people of both predictions; NaN where there is none."""
    table = np.array([prediction_r(own, other) for other in others])
    known = np.isfinite(table)
    if not len(others):
        return np.full(len(own), np.nan)
    total = np.where(known, table, 0.0).sum(axis=0)
    n = known.sum(axis=0)
    return np.asarray(np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0))
