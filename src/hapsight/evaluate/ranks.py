"""Rank statistics over genes with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.errors import InputError
from hapsight.evaluate.correlation import is_constant, spearman_r, with_ties

__all__ = ["Estimate", "auroc", "spearman"]

Float = NDArray[np.float64]

_Z: Final = NormalDist().inv_cdf(0.975)
_FEWEST: Final = 4


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


def spearman(predicted: Float, observed: Float) -> Estimate:
    """Spearman's rho of two (n,) arrays; interval by Bonett and Wright 2000 (Psychometrika 65, 23).

    There is none of fewer than 4 pairs, or where one side does not vary.
    """
    n = _paired(predicted, observed)
    if n < _FEWEST or is_constant(predicted) or is_constant(observed):
        return Estimate(n)
    rho = spearman_r(predicted, observed)
    if abs(rho) >= 1.0:
        return Estimate(n, rho, rho, rho)
    half = _Z * np.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return Estimate(n, rho, float(low), float(high))


def auroc(score: Float, positive: NDArray[np.bool_]) -> Estimate:
    """Chance that a positive scores above a negative, ties counting half; both (n,).

    The interval is that of Hanley and McNeil 1982 (Radiology 143, 29), cut at 0 and 1. There is none where
    all are of one class.
    """
    n, ones = _paired(score, positive), int(np.count_nonzero(positive))
    zeros = n - ones
    if not ones or not zeros:
        return Estimate(n, n_positive=ones)
    ranks = stats.rankdata(with_ties(score))
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
