"""Correlation along a chromosome, with an interval that knows that neighbouring bins are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.evaluate.ranks import Estimate

__all__ = ["track_correlation"]

Float = NDArray[np.float64]


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
    sums = _sums(predicted, observed, stretch)  # (stretches, 6)
    value = _r(sums.sum(axis=0))
    if not np.isfinite(value):
        return Estimate(len(predicted))
    if len(sums) < 2:
        return Estimate(len(predicted), float(value))
    chosen = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)
    low, high = np.nanquantile(_r(chosen @ sums), (0.025, 0.975))
    return Estimate(len(predicted), float(value), float(low), float(high))


def _sums(x: Float, y: Float, stretch: int) -> Float:
    """For each stretch: n, and the sums of x, y, xx, yy, xy; x and y centred, so that rounding is small."""
    x, y = x - x.mean(), y - y.mean()
    parts = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    return np.add.reduceat(parts, np.arange(0, len(x), stretch), axis=0)


def _r(sums: Float) -> Float:
    """Pearson's r of such sums, (..., 6); NaN where a side does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = (n * xx - x * x) * (n * yy - y * y)
    with np.errstate(invalid="ignore", divide="ignore"):
        r: Float = np.where(spread > 0, (n * xy - x * y) / np.sqrt(spread), np.nan)
    return r
