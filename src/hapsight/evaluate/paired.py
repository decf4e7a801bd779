"""Means of R over genes: of held-out folds, and of the difference between two methods on the same genes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["Mean", "mean_fold_r", "mean_interval"]


class Mean(NamedTuple):
    """A mean over `n` genes with its 95 % t interval; None where there are too few."""

    value: float | None
    n: int
    ci_low: float | None
    ci_high: float | None


def mean_interval(values: NDArray[np.float64]) -> Mean:
    """Mean of (G,) numbers, genes taken as independent."""
    if not len(values):
        return Mean(None, 0, None, None)
    centre = float(values.mean())
    return _mean(centre, values - centre)


def mean_fold_r(fold_r: Sequence[NDArray[np.float64]]) -> Mean:
    """Mean R of all held-out folds of all genes that have one; a fold without R is NaN.

    Every fold counts the same, so without effect the mean is 0: what was learned outside a fold knows
    nothing of it. (R of a gene over all its folds leans to the negative, because methods that may find
    nothing find something where the rest of the people disagrees.) The interval takes genes as the
    independent units (a ratio of sums; Cochran 1977, Sampling Techniques, section 6).
    """
    found = [r[np.isfinite(r)] for r in (np.asarray(r, dtype=np.float64) for r in fold_r)]
    found = [r for r in found if len(r)]
    if not found:
        return Mean(None, 0, None, None)
    sizes = np.array([len(r) for r in found], dtype=np.float64)
    mean = float(np.concatenate(found).mean())
    return _mean(mean, np.array([(r - mean).sum() for r in found]) / sizes.mean())


def _mean(mean: float, deviations: NDArray[np.float64]) -> Mean:
    n = len(deviations)
    if n < 2:
        return Mean(mean, n, None, None)
    half = float(stats.t.ppf(0.975, n - 1) * np.sqrt(deviations @ deviations / (n - 1) / n))
    return Mean(mean, n, mean - half, mean + half)
