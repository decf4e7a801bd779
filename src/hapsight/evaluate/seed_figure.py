"""The lines of the seed figure: R across people against the strength of the gene's eQTL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.evaluate.correlation import is_constant

__all__ = ["Line", "lines_by_sign"]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """Least squares of R on -log10 P over the genes of one sign; None where there is no line.

    Attributes
    ----------
    right
        Whether these are the genes with R > 0.
    n
        Genes.
    slope, ci_low, ci_high
        Change of R per unit of -log10 P, and its 95 % t interval (None with fewer than 3 genes).
    start, end
        (x, y) of the ends, at the smallest and the largest x of these genes.
    """

    right: bool
    n: int
    slope: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    start: tuple[float, float] | None = None
    end: tuple[float, float] | None = None


def lines_by_sign(neg_log10_p: Float, r: Float) -> tuple[Line, Line]:
    """The line of the genes with R > 0, and that of those with R < 0.

    Parts that are chosen by the sign of R slope away from 0 wherever the spread of R grows; what tells is
    how the two slopes differ in size, and how many genes each has.
    """
    return _line(neg_log10_p, r, True), _line(neg_log10_p, r, False)


def _line(x: Float, r: Float, right: bool) -> Line:
    chosen = r > 0 if right else r < 0
    x, r = x[chosen], r[chosen]
    n = len(x)
    if n < 2 or is_constant(x):
        return Line(right, n)
    fit = stats.linregress(x, r)
    low, high = float(x.min()), float(x.max())
    half = float(stats.t.ppf(0.975, n - 2) * fit.stderr) if n > 2 else None
    return Line(
        right=right,
        n=n,
        slope=float(fit.slope),
        ci_low=None if half is None else float(fit.slope) - half,
        ci_high=None if half is None else float(fit.slope) + half,
        start=(low, float(fit.intercept + fit.slope * low)),
        end=(high, float(fit.intercept + fit.slope * high)),
    )
