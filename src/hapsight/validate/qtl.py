"""QTLs of any quantity with signed effects, as sites or pairs of sequences, and models beside them.

Direction at accessibility and at expression, of the same variants; whether one carries to the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.contigs import build_named, build_of, find_contig, plain_contig
from hapsight.cohort.effect_tables import allele_column, side_of
from hapsight.cohort.nouns import Dropped, Interval
from hapsight.cohort.reference import Reference, ref_fits
from hapsight.cohort.tables import read_table
from hapsight.errors import InputError
from hapsight.stats.correlation import correlate
from hapsight.stats.direction import same_sign, share_true
from hapsight.stats.ranks import (
    Estimate,
    auroc,
    grouped_auroc,
    grouped_correlation,
    grouped_mean,
    spearman,
)
from hapsight.validate.eqtl_signs import SignEstimate, in_classes

__all__ = [
    "GAP",
    "QTL_SET",
    "STRETCH",
    "distance_signs",
    "gap_estimates",
    "gc_signs",
    "modality_gap",
    "qtl_benchmark",
    "read_qtls",
    "right_sign",
    "stretch_of_each",
]

Float = NDArray[np.float64]

QTL_SET: Final = {
    "qtl_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "slope": pl.Float64,
    "maf": pl.Float64,
    "centre": pl.Int64,
    "sequence_ref": pl.String,
    "sequence_alt": pl.String,
}
"""`position` and `centre` (of the peak) are 0-based; those of a pair of sequences are null, or of another
build. `slope` is per ALT; a pair's is 1 or -1. Sequences are those of pairs."""

STRETCH: Final = 1_000_000
"""Bases of a chromosome that a bootstrap draws together."""

_TOPS: Final = {"half": 2, "quarter": 4, "tenth": 10, "twentieth": 20}
_DISTANCES: Final = (1e3, 1e4, 1e5)
_SLOPES: Final = ("beta", "slope", "effect_size")
_IDS: Final = ("qtl_id", "source_id", "rsid", "variant_id", "id")
_VARIANT_ID: Final = re.compile(r"([^_:]+)[_:](\d+)[_:]([ACGT]+)[_:]([ACGT]+)(?:[_:](\w+))?", re.IGNORECASE)
_PLACE: Final = re.compile(r"[^._:-]+[._:-](\d+)")
"""A pair's own place, such as ``chr1.801099``; of its own build, for stretches only."""

_OTHER_REF: Final = "REF differs from the FASTA"
_EMPTY: Final = (None, "", ".", "NA", "NaN", "nan")


def read_qtls(path: Path, reference: Reference) -> tuple[pl.DataFrame, Dropped]:
    """Read a table of QTLs: sites of `reference`, or pairs of sequences of any place.

    Sites: ``chrom, pos`` (1-based), ``ref, alt``, or ``variant_id`` (``chr22_1000_A_G``); ``beta`` or
    ``slope`` per ALT, or per the allele that a column such as ``A1`` or ``effect_allele`` names; where there
    are, ``af``, and ``peak_start, peak_end`` (0-based, half-open). Pairs:
    ``chrom, high, low``, two sequences of one length that differ in one base, the first with the higher
    signal. Left out, and named: contigs that the FASTA lacks, a REF that is not the FASTA's, names that give
    no place, slopes of 0, a variant's second row, pairs that do not differ in one base.

    Returns
    -------
    Columns `QTL_SET`, in the table's order; and what was left out.

    Raises
    ------
    InputError
        A column is missing, a number is none, no row is left, or most REFs are not the FASTA's.
    """
    table = read_table(path, "QTL")
    dropped = Dropped()
    pairs = {"chrom", "high", "low"} <= set(table.columns)
    rows = _pairs(table, path, dropped) if pairs else _sites(table, path, reference, dropped)
    found = pl.DataFrame(list(rows), schema=QTL_SET, orient="row")
    _require_build(path, reference, dropped, len(found))
    if found.is_empty():
        raise InputError(
            "The QTL table has no row that can be used.",
            where=path,
            expected="sites on contigs of the FASTA, or pairs of sequences",
            got=_said(dropped) or "no rows",
        )
    key = ["qtl_id", "sequence_ref", "sequence_alt"] if pairs else ["contig", "position", "ref", "alt"]
    first = found.select(pl.struct(key).is_first_distinct()).to_series()
    for name in found.filter(~first)["qtl_id"]:
        dropped.add("qtl", "a second row of the variant", name)
    return found.filter(first), dropped


def _said(dropped: Dropped) -> str:
    return "; ".join(f"{count:,}: {why}" for (_, why), count in dropped.counts.items())


def _require_build(path: Path, reference: Reference, dropped: Dropped, left: int) -> None:
    differing = dropped.counts.get(("qtl", _OTHER_REF), 0)
    if differing > left:
        raise InputError(
            "The QTLs are of another genome build than the FASTA, or their alleles are turned.",
            where=path,
            expected=f"REFs of {reference.path} at their places",
            got=f"{differing:,} REFs that differ, {left:,} that do not",
            fix="lift the table over; where only the alleles are turned, call the FASTA's base REF and turn "
            "beta",
        )


def _column(table: pl.DataFrame, names: Sequence[str], path: Path) -> str:
    found = next((name for name in names if name in table.columns), None)
    if found is None:
        raise InputError(
            "The QTL table lacks columns.",
            where=path,
            expected="chrom, pos, ref, alt and beta (or slope); or chrom, high and low",
            got=", ".join(table.columns[:12]),
        )
    return found


def _sites(
    table: pl.DataFrame, path: Path, reference: Reference, dropped: Dropped
) -> Iterator[tuple[Any, ...]]:
    slope = _column(table, _SLOPES, path)
    placed = {"chrom", "pos", "ref", "alt"} <= set(table.columns)
    if not placed:
        _column(table, ("variant_id",), path)
    name = next((column for column in _IDS if column in table.columns), None)
    tested = allele_column(table.columns)
    for number, row in enumerate(table.iter_rows(named=True), start=2):
        where = f"{path}, row {number}"
        place = _placed(row, where) if placed else _named(str(row["variant_id"]), reference)
        said = f"row {number}" if isinstance(place, str) else ":".join(map(str, place))
        called = said if name is None or row[name] is None else str(row[name])
        site = place if isinstance(place, str) else _site(place, reference)
        value = _number(row, slope, where)
        if value is None or value == 0.0:
            dropped.add("qtl", f"no {slope}, or of 0: it has no sign", called)
        elif isinstance(site, str):
            dropped.add("qtl", site, called)
        else:
            side = (
                1
                if tested is None
                else side_of(str(row[tested] or ""), *site[2:], f"{where}, column {tested}")
            )
            yield called, *site, side * value, _maf(row, where), _centre(row, where), None, None


def _placed(row: dict[str, Any], where: str) -> tuple[str, int, str, str] | str:
    position = _number(row, "pos", where)
    ref, alt = (str(row[name] or "").upper() for name in ("ref", "alt"))
    if row["chrom"] in _EMPTY or position is None:
        return "it has no place"
    if position != math.floor(position) or position < 1:
        raise InputError("A place of a QTL is no whole number from 1 on.", where=where, got=repr(row["pos"]))
    if not ref or not alt or ref == alt or set(ref + alt) - set("ACGT"):
        return "its alleles are not two different ones of A, C, G and T"
    return str(row["chrom"]), int(position) - 1, ref, alt


def _named(name: str, reference: Reference) -> tuple[str, int, str, str] | str:
    """Of a name like ``chr22_1000_A_G_b38``."""
    found = _VARIANT_ID.fullmatch(name)
    if found is None:
        return "its name gives no place and alleles"
    theirs, ours = build_named(found[5] or ""), build_of(reference.contigs)
    if theirs and ours and theirs != ours:
        return f"named for another build ({theirs})"
    return found[1], int(found[2]) - 1, found[3].upper(), found[4].upper()


def _site(place: tuple[str, int, str, str], reference: Reference) -> tuple[str, int, str, str] | str:
    """The same on the FASTA's contig; or why not."""
    contig = find_contig(place[0], tuple(reference.contigs))
    if contig is None:
        return "its contig is not in the FASTA"
    _, position, ref, alt = place
    if not ref_fits(ref, reference.letters(Interval(contig, position, position + len(ref)))):
        return _OTHER_REF
    return contig, position, ref, alt


def _maf(row: dict[str, Any], where: str) -> float | None:
    af = _number(row, "af", where) if "af" in row else None
    if af is not None and not 0.0 <= af <= 1.0:
        raise InputError("A frequency is not between 0 and 1.", where=f"{where}, column af", got=f"{af:g}")
    return None if af is None else min(af, 1.0 - af)


def _centre(row: dict[str, Any], where: str) -> int | None:
    if "peak_start" not in row or "peak_end" not in row:
        return None
    start, end = (_number(row, name, where) for name in ("peak_start", "peak_end"))
    if start is None or end is None:
        return None
    if end <= start or start < 0:
        raise InputError("A peak does not end behind its start.", where=where, got=f"[{start:g}, {end:g})")
    return int(start + end) // 2


def _number(row: dict[str, Any], name: str, where: str) -> float | None:
    """A cell; None where it is empty."""
    if row[name] in _EMPTY:
        return None
    value = pl.Series([row[name]]).cast(pl.Float64, strict=False)[0]
    if value is None or not math.isfinite(value):
        raise InputError(
            "A value of the QTL table is not a finite number.",
            where=f"{where}, column {name}",
            got=repr(row[name]),
        )
    return float(value)


def _pairs(table: pl.DataFrame, path: Path, dropped: Dropped) -> Iterator[tuple[Any, ...]]:
    name = next((column for column in _IDS if column in table.columns), None)
    for number, row in enumerate(table.iter_rows(named=True), start=2):
        called = f"row {number}" if name is None or row[name] is None else str(row[name])
        high, low = (str(row[side] or "").upper() for side in ("high", "low"))
        places = [i for i, (a, b) in enumerate(zip(high, low, strict=False)) if a != b]
        if len(high) != len(low) or len(places) != 1 or row["chrom"] in _EMPTY:
            dropped.add("qtl", "its sequences do not differ in one base, or it has no contig", called)
            continue
        if set(high + low) - set("ACGTN"):
            raise InputError(
                "A sequence holds other letters than A, C, G, T and N.",
                where=f"{path}, row {number}",
                got=called,
            )
        ref, alt = sorted((high[places[0]], low[places[0]]))
        up = high[places[0]] == alt
        place = _PLACE.fullmatch(called)
        position = int(place[1]) if place else None
        sequences = (low, high) if up else (high, low)
        yield called, str(row["chrom"]), position, ref, alt, 1.0 if up else -1.0, None, None, *sequences


def stretch_of_each(contig: Sequence[str], position: Sequence[int | None]) -> NDArray[np.int64]:
    """(n,) number of the stretch of `STRETCH` bases that each variant lies in; one without place is alone."""
    keys: dict[tuple[str, int], int] = {}
    found = []
    for row, (name, place) in enumerate(zip(contig, position, strict=True)):
        key = (plain_contig(name), place // STRETCH) if place is not None else ("", row)
        found.append(keys.setdefault(key, len(keys)))
    return np.array(found, np.int64)


def right_sign(effect: Float, slope: Float) -> Float:
    """(n,) 1 where the signs are equal, 0 where not, NaN where one is 0 or not known."""
    known = (effect != 0) & (slope != 0) & np.isfinite(effect) & np.isfinite(slope)
    return np.where(known, same_sign(effect, slope).astype(np.float64), np.nan)


def qtl_benchmark(
    effect: Float,
    slope: Float,
    distance: Float,
    group: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    draws: int = 1000,
) -> Iterator[SignEstimate]:
    """Set (n,) effects of a model beside (n,) measured ones: all, and by size and distance.

    `sign_agrees`: share of equal signs, where neither is 0. `sign_auroc`: chance that a variant whose ALT
    raises the signal has the larger effect. `pearson`, `spearman`: of effects, where slopes have sizes. Each
    with its own interval, and as ``.stretches`` with that of a bootstrap over groups.

    Parameters
    ----------
    distance
        (n,) bases to the nearest TSS; NaN where not known, and then in no stratum of distance.
    group
        (n,) stretch of each variant; see `stretch_of_each`.
    """
    sized = len(np.unique(np.abs(slope))) > 1
    for stratum, mask in _strata(effect, slope, distance, sized):
        model, measured, where = effect[mask], slope[mask], group[mask]
        right = right_sign(model, measured)
        share = share_true(right[np.isfinite(right)] == 1)
        yield SignEstimate("sign_agrees", stratum, Estimate.of(share))
        found = grouped_mean(right, where, rng, draws=draws)
        yield SignEstimate("sign_agrees.stretches", stratum, found)
        yield SignEstimate("sign_auroc", stratum, auroc(model, measured > 0))
        found = grouped_auroc(model, measured > 0, where, rng, draws)
        yield SignEstimate("sign_auroc.stretches", stratum, found)
        if sized:
            linear = correlate(model, measured)
            found = Estimate(linear.n, linear.pearson_r, linear.ci_low, linear.ci_high)
            yield SignEstimate("pearson", stratum, found)
            yield SignEstimate("spearman", stratum, spearman(model, measured))
            for name, ranks in (("pearson", False), ("spearman", True)):
                found = grouped_correlation(model, measured, where, rng, ranks=ranks, draws=draws)
                yield SignEstimate(f"{name}.stretches", stratum, found)


def _strata(
    effect: Float, slope: Float, distance: Float, sized: bool
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "all", np.ones(len(effect), np.bool_)
    order = np.argsort(-np.abs(effect), kind="stable")
    for name, parts in _TOPS.items():
        mask = np.zeros(len(effect), np.bool_)
        mask[order[: math.ceil(len(effect) / parts)]] = True
        yield f"effect top {name}", mask
    if sized:
        rank = np.argsort(np.argsort(np.abs(slope), kind="stable"), kind="stable") * 4 // len(slope)
        for quarter in range(4):
            yield f"measured quarter {quarter + 1}", rank == quarter
    yield from in_classes("distance", distance, _DISTANCES)


def gc_signs(ref: Sequence[str], alt: Sequence[str]) -> Float:
    """(n,) G and C of ALT less those of REF: what the change of composition alone says."""
    strong = [[sum(base in "GC" for base in allele) for allele in side] for side in (ref, alt)]
    return np.subtract(strong[1], strong[0]).astype(np.float64)


def distance_signs(distance: Float, slope: Float, group: NDArray[np.int64], folds: int = 10) -> Float:
    """(n,) what the distance to the nearest TSS says of the sign: a cubic of its logarithm.

    Least squares on the signs of variants of the other folds; whole groups are in one fold. NaN where the
    distance is not known.
    """
    found = np.full(len(slope), np.nan)
    known = np.isfinite(distance)
    x = np.log10(1.0 + distance[known]) / 6.0
    design = np.column_stack([np.ones(len(x)), x, x**2, x**3])
    sign, fold = np.sign(slope[known]), group[known] % folds
    predicted = np.full(len(x), np.nan)
    for k in np.unique(fold) if len(np.unique(fold)) > 1 else ():
        mine = fold == k
        predicted[mine] = design[mine] @ np.linalg.lstsq(design[~mine], sign[~mine], rcond=None)[0]
    found[known] = predicted
    return found


GAP: Final = {
    "quantity": pl.String,
    "value": pl.Float64,
    "n": pl.Int64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}
"""Columns of `modality_gap`."""


class GapEstimate(NamedTuple):
    """One number of the gap."""

    quantity: str
    found: Estimate


def modality_gap(
    effect: Float,
    accessibility: Float,
    expression: Float,
    stretch: NDArray[np.int64],
    *,
    gene_effect: Float | None = None,
    seed: int = 1,
    draws: int = 1000,
) -> pl.DataFrame:
    """Set a model's direction at accessibility beside its direction at expression, on the same variants.

    Intervals are bootstraps over stretches of a chromosome, in which variants share sites and haplotypes.
    An effect or slope that is 0 or NaN has no sign, and its variant is not counted where that is asked for.

    Parameters
    ----------
    effect
        (n,) a model's effects of ALT at each variant's own place.
    accessibility, expression
        (n,) measured slopes per the same ALT: of an accessibility QTL, and of an eQTL.
    stretch
        (n,) stretch of each variant, any whole numbers.
    gene_effect
        (n,) the model's effects in the window of the eQTL's gene; NaN beyond it.

    Returns
    -------
    One row per quantity (``docs/modality.md``): `accessibility_right`, `expression_right`, their difference
    `gap`, `measured_carries`, `carries_if_right`, `carries_if_wrong`, `carries_difference`,
    `measured_carries_if_wrong`, `mediation`; with `gene_effect` also `expression_right.gene`, `gap.gene`.
    Without variants a value is null; of fewer than five stretches its interval.

    Raises
    ------
    InputError
        Shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([1.0, 2.0, -1.0, 1.0])
    >>> rows = modality_gap(one, np.ones(4), -np.ones(4), np.arange(4))
    >>> dict(zip(rows["quantity"], rows["value"]))["gap"]
    0.5
    """
    given = [effect, accessibility, expression, *([] if gene_effect is None else [gene_effect])]
    if {np.shape(side) for side in (*given, stretch)} != {(len(stretch),)}:
        raise InputError(
            "The gap needs one effect, two slopes and a stretch of every variant.",
            expected=(len(stretch),),
            got=", ".join(str(np.shape(side)) for side in (*given, stretch)),
        )
    first, second, third = (np.asarray(side, np.float64) for side in (effect, accessibility, expression))
    rng = np.random.default_rng(seed)
    found = gap_estimates(first, second, third, stretch, rng, gene_effect=gene_effect, draws=draws)
    rows = [(q, e.value, e.n, e.ci_low, e.ci_high) for q, e in found]
    return pl.DataFrame(rows, schema=GAP, orient="row")


def gap_estimates(
    effect: Float,
    accessibility: Float,
    expression: Float,
    stretch: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    gene_effect: Float | None = None,
    draws: int = 1000,
) -> Iterator[GapEstimate]:
    """The numbers of `modality_gap`, with the caller's random numbers."""
    signs = _signs(effect, accessibility, expression, gene_effect)
    for quantity, (values, less) in _quantities(signs).items():
        yield GapEstimate(quantity, grouped_mean(values, stretch, rng, less=less, draws=draws))


def _signs(
    effect: Float, accessibility: Float, expression: Float, gene_effect: Float | None
) -> dict[str, Float]:
    """(n,) whether signs are equal, by what is compared; `at` and `ex` on the variants that have both."""
    at, ex = right_sign(effect, accessibility), right_sign(effect, expression)
    found = {"at": at, "ex": ex, "measured": right_sign(accessibility, expression)}
    known = np.isfinite(at) & np.isfinite(ex)
    found |= {name: np.where(known, found[name], np.nan) for name in ("at", "ex")}
    if gene_effect is not None:
        gene = right_sign(np.asarray(gene_effect, np.float64), expression)
        found["gene"] = gene
        found["at_gene"], found["gene_at"] = (
            np.where(np.isfinite(gene) & np.isfinite(at), side, np.nan) for side in (at, gene)
        )
    return found


def _quantities(signs: Mapping[str, Float]) -> dict[str, tuple[Float, Float | None]]:
    """What each number is the mean of, and the mean of what is taken off."""
    at, ex = signs["at"], signs["ex"]
    if_right, if_wrong = (np.where(at == side, ex, np.nan) for side in (1.0, 0.0))
    measured = signs["measured"]
    measured_if_right, measured_if_wrong = (np.where(at == side, measured, np.nan) for side in (1.0, 0.0))
    found: dict[str, tuple[Float, Float | None]] = {
        "accessibility_right": (at, None),
        "expression_right": (ex, None),
        "gap": (at, ex),
        "measured_carries": (measured, None),
        "carries_if_right": (if_right, None),
        "carries_if_wrong": (if_wrong, None),
        "carries_difference": (if_right, if_wrong),
        "measured_carries_if_wrong": (measured_if_wrong, None),
        "mediation": (measured_if_right, measured_if_wrong),
    }
    if "gene" in signs:
        found["expression_right.gene"] = signs["gene"], None
        found["gap.gene"] = signs["at_gene"], signs["gene_at"]
    return found
