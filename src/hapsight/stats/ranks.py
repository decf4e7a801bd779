"""Rank statistics over genes with their intervals.

Correlations with intervals where pairs come in groups, such as the alleles of one position.

Correlation along a chromosome, with an interval that knows that neighbouring bins are alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.stats.correlation import (
    average_ranks,
    correlate,
    is_constant,
    spearman_interval,
    spearman_r,
    with_ties,
)

__all__ = [
    "Estimate",
    "auroc",
    "grouped_auroc",
    "grouped_correlation",
    "grouped_mean",
    "spearman",
    "track_correlation",
]

Float = NDArray[np.float64]

_Z: Final = NormalDist().inv_cdf(0.975)
_FEWEST: Final = 4
_FEWEST_GROUPS: Final = 5


class _Interval(Protocol):
    @property
    def value(self) -> float | None: ...
    @property
    def n(self) -> int: ...
    @property
    def ci_low(self) -> float | None: ...
    @property
    def ci_high(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number over n things with its 95 % interval; ``None`` where it does not exist.

    Attributes
    ----------
    n_positive
        Of an AUROC: how many of the n are of the class that should score high.
    """

    n: int
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n_positive: int | None = None

    @classmethod
    def of(cls, found: _Interval) -> Self:
        """A share or a mean, as an estimate of the same things."""
        return cls(found.n, found.value, found.ci_low, found.ci_high)


def spearman(predicted: Float, observed: Float) -> Estimate:
    """Spearman's rho of two (n,) arrays, with `spearman_interval`.

    There is none of fewer than 4 pairs, or where one side does not vary.
    """
    n = _paired(predicted, observed)
    if n < _FEWEST or is_constant(predicted) or is_constant(observed):
        return Estimate(n)
    rho = spearman_r(predicted, observed)
    return Estimate(n, rho, *spearman_interval(rho, n))


def auroc(score: Float, positive: NDArray[np.bool_]) -> Estimate:
    """Chance that a positive scores above a negative, ties counting half; both (n,).

    The interval is that of Hanley and McNeil 1982 (Radiology 143, 29), cut at 0 and 1. There is none where
    all are of one class.
    """
    n, ones = _paired(score, positive), int(np.count_nonzero(positive))
    zeros = n - ones
    if not ones or not zeros:
        return Estimate(n, n_positive=ones)
    ranks = average_ranks(score)
    area = float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
    two_ones, two_zeros = area / (2 - area), 2 * area**2 / (1 + area)
    spread = (area * (1 - area) + (ones - 1) * (two_ones - area**2) + (zeros - 1) * (two_zeros - area**2)) / (
        ones * zeros
    )
    half = _Z * float(np.sqrt(max(spread, 0.0)))
    return Estimate(n, area, max(0.0, area - half), min(1.0, area + half), ones)


def _paired(first: NDArray[np.generic], second: NDArray[np.generic]) -> int:
    if first.shape != second.shape or first.ndim != 1:
        raise InputError(
            "A rank statistic needs two values each of the same things.",
            expected=first.shape,
            got=second.shape,
        )
    return len(first)


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
    draw. There is no estimate where `correlate` has none, and no interval of fewer than five groups.

    Parameters
    ----------
    group
        (n,) which group each pair belongs to.
    """
    found = correlate(predicted, observed)
    value = found.spearman_r if ranks else found.pearson_r
    if value is None:
        return Estimate(found.n)
    x, y = (average_ranks(v) if ranks else np.asarray(v, np.float64) for v in (predicted, observed))
    sums = _group_sums(_products(x, y), group)
    if len(sums) < _FEWEST_GROUPS:
        return Estimate(found.n, value)
    return Estimate(found.n, value, *_drawn(_r, sums, rng, draws))


def grouped_mean(
    values: Float,
    group: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    less: Float | None = None,
    draws: int = 1000,
) -> Estimate:
    """Mean of (n,) values, such as of right signs; 95 % interval of a bootstrap over groups.

    There is no interval where fewer than five groups have a value, or where all values are the same, since no
    draw then says how far off they may be. NaN stands for no value.

    Parameters
    ----------
    group
        (n,) which group each value belongs to.
    less
        (n,) values whose mean over their own known ones is taken off, in the same draws.
    """
    sides = [np.asarray(side, np.float64) for side in (values, less) if side is not None]
    known = [np.isfinite(side) for side in sides]
    n = int(np.count_nonzero(known[0]))
    if not all(map(np.any, known)):
        return Estimate(n)
    columns = [column for side, there in zip(sides, known, strict=True) for column in (there, _zeroed(side))]
    sums = _group_sums(np.column_stack(columns).astype(np.float64), group)
    value = float(_mean_of(sums.sum(axis=0)))
    fewest = min(np.count_nonzero(sums[:, count]) for count in range(0, sums.shape[1], 2))
    alike = all(np.ptp(side[there]) == 0 for side, there in zip(sides, known, strict=True))
    if fewest < _FEWEST_GROUPS or alike:
        return Estimate(n, value)
    return Estimate(n, value, *_drawn(_mean_of, sums, rng, draws))


def _zeroed(values: Float) -> Float:
    return np.where(np.isfinite(values), values, 0.0)


def _mean_of(sums: Float) -> Float:
    """Sum over count, (..., 2) or less a second one (..., 4); NaN where a draw has none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[..., 1::2] / sums[..., 0::2]
    return np.asarray(means[..., 0] - (means[..., 1] if means.shape[-1] > 1 else 0.0), np.float64)


def grouped_auroc(
    score: Float,
    positive: NDArray[np.bool_],
    group: NDArray[np.int64],
    rng: np.random.Generator,
    draws: int = 1000,
) -> Estimate:
    """As `auroc`, with the 95 % interval of a bootstrap over groups; there is none of fewer than five groups.

    Parameters
    ----------
    group
        (n,) which group each belongs to.
    """
    found = auroc(score, positive)
    _, index = np.unique(group, return_inverse=True)
    size = int(index.max(initial=-1)) + 1
    if found.value is None or size < _FEWEST_GROUPS:
        return Estimate(found.n, found.value, n_positive=found.n_positive)
    _, rank = np.unique(with_ties(score), return_inverse=True)
    areas = np.full(draws, np.nan)
    for draw in range(draws):
        weight = np.bincount(rng.integers(size, size=size), minlength=size)[index].astype(np.float64)
        ones, zeros = (np.bincount(rank, weight * kind) for kind in (positive, ~positive))
        if ones.sum() and zeros.sum():
            below = np.cumsum(zeros) - zeros / 2
            areas[draw] = ones @ below / (ones.sum() * zeros.sum())
    low, high = np.nanquantile(areas, (0.025, 0.975))
    return Estimate(found.n, found.value, float(low), float(high), found.n_positive)


def _group_sums(values: Float, group: NDArray[np.int64]) -> Float:
    """(G, K) sums of (n, K) values."""
    _, index = np.unique(group, return_inverse=True)
    sums = np.zeros((int(index.max()) + 1, values.shape[1]))
    np.add.at(sums, index, values)
    return sums


def _drawn(
    statistic: Callable[[Float], Float], sums: Float, rng: np.random.Generator, draws: int
) -> tuple[float, float]:
    """95 % of a statistic of (G, K) sums, rows drawn with replacement; draws without it are left out."""
    times = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)
    low, high = np.nanquantile(statistic(times @ sums), (0.025, 0.975))
    return float(low), float(high)


def track_correlation(
    predicted: Float, observed: Float, stretch: int, rng: np.random.Generator, draws: int = 1000
) -> Estimate:
    """Pearson's r over (n,) bins; 95 % interval of a bootstrap over stretches of `stretch` bins.

    There is none where the prediction or the track does not vary, and no interval of a single stretch.

    Raises
    ------
    InputError
        Shapes differ.
    """
    if predicted.shape != observed.shape or predicted.ndim != 1:
        raise InputError(
            "A track's prediction and measurement must be of the same bins.",
            expected=predicted.shape,
            got=observed.shape,
        )
    starts = np.arange(0, len(predicted), stretch)
    sums = np.add.reduceat(_products(predicted, observed), starts, axis=0)  # (stretches, 6)
    value = _r(sums.sum(axis=0))
    if not np.isfinite(value):
        return Estimate(len(predicted))
    if len(sums) < 2:
        return Estimate(len(predicted), float(value))
    return Estimate(len(predicted), float(value), *_drawn(_r, sums, rng, draws))


def _products(x: Float, y: Float) -> Float:
    """(n, 6) 1, x, y, xx, yy, xy; x and y centred, so that rounding is small."""
    x, y = x - x.mean(), y - y.mean()
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def _r(sums: Float) -> Float:
    """Pearson's r of sums of `_products`, (..., 6); NaN where a side does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = (n * xx - x * x) * (n * yy - y * y)
    with np.errstate(invalid="ignore", divide="ignore"):
        r: Float = np.where(spread > 0, (n * xy - x * y) / np.sqrt(spread), np.nan)
    return r
