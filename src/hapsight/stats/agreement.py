"""Two models beside each other: whether they know, and fail at, the same genes.

Tables of R beside eQTLs, and of one model's R beside another's, from the rows of genes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from hapsight.stats.correlation import correlate, is_constant
from hapsight.stats.direction import Effects, Share, direction_and_magnitude, same_sign, share_true
from hapsight.stats.direction_factors import cut, explain, strata
from hapsight.stats.summary import SIGNIFICANT
from hapsight.tables import DIRECTION, DIRECTION_FACTORS, DIRECTION_STRATA

__all__ = [
    "Alike",
    "Overlap",
    "direction_tables",
    "factors_of",
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
    ratio = stats.contingency.odds_ratio(table, kind="conditional")
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
        pval=float(stats.fisher_exact(table).pvalue),
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


def factors_of(genes: pl.DataFrame) -> dict[str, Float]:
    """(G,) each: the factors of `hapsight.stats.direction_factors.CLASSES`; NaN where not known."""
    smallest = float(np.finfo(np.float64).tiny)
    columns = genes.select(
        "distance",
        "maf",
        "mean_expression",
        "n_ld80",
        "n_signals",
        "in_window",
        "h2",
        abs_slope=pl.col("slope").abs(),
        neg_log10_p=-pl.col("pval_nominal").clip(lower_bound=smallest).log10(),
    )
    return {c.name: c.cast(pl.Float64).fill_null(np.nan).to_numpy() for c in columns.iter_columns()}


def direction_tables(genes: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """``direction``, ``direction_strata`` and ``direction_factors`` of a table ``direction_genes``.

    Genes count that have both R (other than 0) and a top eQTL.
    """
    agreement: list[Row] = []
    strata_rows: list[Row] = []
    factor_rows: list[Row] = []
    labels = ["model", "read_out", "protocol"]
    counted = genes.filter(pl.col("sign_right").is_not_null() & pl.col("slope").is_not_null())
    edges = {factor: cut(factor, values) for factor, values in factors_of(counted).items()}
    for key, table in counted.group_by(labels, maintain_order=True):
        names = dict(zip(labels, key, strict=True))
        agreement += [names | found._asdict() for found in direction_and_magnitude(_effects(table))]
        factors, r = factors_of(table), table["pearson_r"].to_numpy()
        for factor, values in factors.items():
            strata_rows += [names | asdict(stratum) for stratum in strata(factor, values, r, edges[factor])]
        factor_rows += [names | row for row in _factor_rows(table, factors)]
    return {
        "direction": pl.DataFrame(agreement, schema=DIRECTION),
        "direction_strata": pl.DataFrame(strata_rows, schema=DIRECTION_STRATA),
        "direction_factors": pl.DataFrame(factor_rows, schema=DIRECTION_FACTORS),
    }


def _effects(table: pl.DataFrame) -> Effects:
    known = table.drop_nulls("model_slope")
    return Effects(
        r=known["pearson_r"].to_numpy(),
        model_slope=known["model_slope"].to_numpy(),
        eqtl_slope=known["slope"].to_numpy(),
        dosage_sd=known["dosage_sd"].to_numpy(),
        significant=(known["eqtl_qval"] < SIGNIFICANT).fill_null(False).to_numpy(),
    )


def _factor_rows(table: pl.DataFrame, factors: dict[str, Float]) -> Iterator[Row]:
    """Direction, and two measures of magnitude, on the same factors."""
    r = table["pearson_r"].to_numpy()
    slope = table["model_slope_sd"].fill_null(np.nan).to_numpy()
    moves = np.isfinite(slope) & (slope != 0)
    outcomes = {
        "sign_right": (r > 0, np.ones(len(r), np.bool_)),
        "abs_r": (np.abs(r), np.ones(len(r), np.bool_)),
        "log_abs_effect": (np.log10(np.abs(slope[moves])), moves),
    }
    for outcome, (values, kept) in outcomes.items():
        for found in explain(values, {name: column[kept] for name, column in factors.items()}):
            yield {"outcome": outcome} | asdict(found)


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
