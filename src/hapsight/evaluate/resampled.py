"""Correlations with intervals where pairs come in groups, such as the alleles of one position."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.evaluate.correlation import correlate, with_ties
from hapsight.evaluate.ranks import Estimate

__all__ = ["grouped_correlation"]

Float = NDArray[np.float64]


def grouped_correlation(
    predicted: Float,
    observed: Float,
    group: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    ranks: bool = False,
    draws: int = 1000,
) -> Estimate:
    """Pearson, or Spearman with `ranks`, of two (n,) arrays; 95 % interval of a bootstrap over groups.

    Each draw takes whole groups with replacement. Ranks are those of all pairs, and are not given anew in a
    draw. There is no estimate where `correlate` has none.

    Parameters
    ----------
    group
        (n,) which group each pair belongs to.
    """
    found = correlate(predicted, observed)
    value = found.spearman_r if ranks else found.pearson_r
    if value is None:
        return Estimate(found.n)
    x, y = (
        stats.rankdata(with_ties(v)) if ranks else np.asarray(v, np.float64) for v in (predicted, observed)
    )
    x, y = x - x.mean(), y - y.mean()
    sums = _group_sums(np.column_stack([np.ones(len(x)), x, y, x * x, y * y, x * y]), group)
    times = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)
    low, high = np.nanquantile(_correlations(times @ sums), (0.025, 0.975))
    return Estimate(found.n, value, float(low), float(high))


def _group_sums(values: Float, group: NDArray[np.int64]) -> Float:
    """(G, K) sums of (n, K) values."""
    _, index = np.unique(group, return_inverse=True)
    sums = np.zeros((int(index.max()) + 1, values.shape[1]))
    np.add.at(sums, index, values)
    return sums


def _correlations(sums: Float) -> Float:
    """(B,) Pearson from (B, 6) sums of 1, x, y, x^2, y^2, xy; NaN where a side is constant."""
    n, x, y, xx, yy, xy = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n)))
