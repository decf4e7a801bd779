"""Two models beside each other: whether they know, and fail at, the same genes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from hapsight.stats.correlation import correlate, is_constant
from hapsight.stats.direction import Share, same_sign, share_true
from hapsight.stats.summary import SIGNIFICANT

__all__ = [
    "Alike",
    "Overlap",
    "overlap",
    "prediction_r",
    "predictions_alike",
    "r_beside_r",
    "same_direction",
]

Float = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Genes in which two models fail, beside what chance would give.

    Attributes
    ----------
    n
        Genes that both models were tried on.
    first, second, both
        Genes that fail in the one, in the other, in both.
    expected
        `both`, were the failures of the two independent.
    odds_ratio, ci_low, ci_high
        Conditional maximum likelihood and exact 95 % interval; None where it is not finite.
    pval
        Fisher's exact test, two-sided.
    """

    n: int
    first: int
    second: int
    both: int
    expected: float | None
    odds_ratio: float | None
    ci_low: float | None
    ci_high: float | None
    pval: float | None


def overlap(first: Flags, second: Flags) -> Overlap:
    """Compare two (n,) lists of failures of the same genes."""
    n, one, other, both = len(first), int(first.sum()), int(second.sum()), int((first & second).sum())
    if not n:
        return Overlap(0, 0, 0, 0, None, None, None, None, None)
    table = [[both, one - both], [other - both, n - one - other + both]]
    ratio = scipy.stats.contingency.odds_ratio(table, kind="conditional")
    low, high = ratio.confidence_interval(0.95)
    return Overlap(
        n=n,
        first=one,
        second=other,
        both=both,
        expected=one * other / n,
        odds_ratio=_finite(ratio.statistic),
        ci_low=_finite(low),
        ci_high=_finite(high),
        pval=float(scipy.stats.fisher_exact(table).pvalue),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def same_direction(one: Float, other: Float) -> Share:
    """How often R of two models has the same sign, over (n,) genes; an R of 0 has none."""
    signed = (one != 0) & (other != 0)
    return share_true(same_sign(one[signed], other[signed]))


def prediction_r(one: NDArray[Any], other: NDArray[Any]) -> Float:
    """(G,) Pearson r over people of two models' (G, N) predictions.

    NaN where a gene has no prediction in one of them (NaN), or the same for everybody.
    """
    return np.array([_pearson(*pair) for pair in zip(one, other, strict=True)], np.float64)


def _pearson(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Pearson r of (N,) predictions: that of `correlate`, without what there takes most of the time."""
    p, q = one.astype(np.float64), other.astype(np.float64)
    if not (np.isfinite(p).all() and np.isfinite(q).all()) or is_constant(p) or is_constant(q):
        return float("nan")
    p, q = p - p.mean(), q - q.mean()
    return float(np.clip(p @ q / np.sqrt((p @ p) * (q @ q)), -1.0, 1.0))


class Alike(NamedTuple):
    """How alike two models' predictions are, gene by gene, over `genes`: quartiles of r over people."""

    genes: int
    lower: float | None
    median: float | None
    upper: float | None


def predictions_alike(r: Float) -> Alike:
    """Quartiles of (G,) correlations of predictions; NaN are not counted."""
    known = r[np.isfinite(r)]
    if not len(known):
        return Alike(0, None, None, None)
    lower, median, upper = np.quantile(known, (0.25, 0.5, 0.75))
    return Alike(len(known), float(lower), float(median), float(upper))


Row = dict[str, Any]


def r_beside_r(one: pl.DataFrame, other: pl.DataFrame) -> Row:
    """Whether two arms know, and fail at, the same genes: the columns of ``agreement`` that are made of R.

    Parameters
    ----------
    one, other
        ``gene_id, pearson_r, qval`` of each arm.
    """
    theirs = other.select("gene_id", other_r="pearson_r", other_qval="qval")
    genes = one.join(theirs, on="gene_id", maintain_order="left").drop_nulls(["pearson_r", "other_r"])
    r, other_r = (genes[name].to_numpy().astype(np.float64) for name in ("pearson_r", "other_r"))
    strong, other_strong = ((genes[n] < SIGNIFICANT).fill_null(False) for n in ("qval", "other_qval"))
    found, same = correlate(r, other_r), same_direction(r, other_r)
    failing = overlap(r < 0, other_r < 0)
    significant = overlap((r < 0) & strong.to_numpy(), (other_r < 0) & other_strong.to_numpy())
    return {
        "n": found.n,
        "pearson_r": found.pearson_r,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "spearman_r": found.spearman_r,
        "same_sign": same.value,
        "same_sign_ci_low": same.ci_low,
        "same_sign_ci_high": same.ci_high,
        **{f"failing_{name}": value for name, value in asdict(failing).items()},
        **{f"significant_failing_{name}": value for name, value in asdict(significant).items()},
    }
