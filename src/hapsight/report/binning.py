"""Counts of points in bins: what a histogram or a heat map draws instead of every point."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["CORRELATION_EDGES", "grid", "histogram", "log_floor", "round_edges"]

Values = NDArray[np.float64]

CORRELATION_EDGES: Final[Values] = np.round(np.linspace(-1.0, 1.0, 41), 2)
"""Edges of the bins of every distribution of per-gene R: 0.05 wide, from -1 to 1."""

_STEPS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
_MOST_BINS: Final = 40
_SKEWED: Final = 30.0


def histogram(values: Values, edges: Values) -> pl.DataFrame:
    """Count values in bins ``[start, end)``; the last bin includes its end.

    Parameters
    ----------
    values
        (N,) numbers within the edges.
    edges
        (B + 1,) increasing.

    Returns
    -------
    B rows: ``start, end, count``.
    """
    counts, _ = np.histogram(values, edges)
    return pl.DataFrame({"start": edges[:-1], "end": edges[1:], "count": counts.astype(np.int64)})


def round_edges(values: Values) -> Values:
    """Edges at round numbers that hold all `values` (correlations, N >= 1) in at most 40 bins or so."""
    low, high = float(values.min()), float(values.max())
    step = next((s for s in _STEPS if (high - low) / s <= _MOST_BINS), _STEPS[-1])
    first, last = np.floor(low / step), np.floor(high / step) + 1
    return np.round(np.arange(first, last + 1) * step, 3)


def log_floor(values: Values) -> float | None:
    """Decide whether values want a logarithmic axis, and above which value it is logarithmic.

    Returns
    -------
    A tenth of the median, where no value is negative and the largest is over 30 medians; None (a linear
    axis) otherwise.
    """
    centre = float(np.median(values))
    skewed = centre > 0 and values.min() >= 0 and values.max() > _SKEWED * centre
    return centre / 10 if skewed else None


def grid(x: Values, y: Values, bins: int = 60) -> pl.DataFrame:
    """Count points in the cells of a `bins` x `bins` grid over their range; even on the axis of `log_floor`.

    Parameters
    ----------
    x, y
        (N,) each, N >= 1, finite.

    Returns
    -------
    One row per cell that is not empty: ``x, x_end, y, y_end, count``.
    """
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=(_edges(x, bins), _edges(y, bins)))
    column, row = np.nonzero(counts)
    return pl.DataFrame(
        {
            "x": x_edges[column],
            "x_end": x_edges[column + 1],
            "y": y_edges[row],
            "y_end": y_edges[row + 1],
            "count": counts[column, row].astype(np.int64),
        }
    )


def _edges(values: Values, bins: int) -> Values:
    floor = log_floor(values)
    if floor is None:
        return np.histogram_bin_edges(values, bins)
    edges: Values = floor * np.expm1(np.histogram_bin_edges(np.log1p(values / floor), bins))
    edges[[0, -1]] = values.min(), values.max()
    return edges
