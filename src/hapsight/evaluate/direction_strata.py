"""Where is the sign right? Genes in strata of one factor at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.evaluate.direction import share_true
from hapsight.evaluate.paired import mean_interval

__all__ = ["CLASSES", "Stratum", "cut", "strata"]

Float = NDArray[np.float64]

_TERCILES: Final = (1 / 3, 2 / 3)

CLASSES: Final = MappingProxyType(
    {
        "distance": (1e3, 1e4, 1e5),
        "abs_slope": None,
        "maf": (0.05, 0.2),
        "mean_expression": None,
        "n_ld80": (1.0, 5.0, 20.0),
        "n_signals": (1.0, 2.0),
        "neg_log10_p": (4.0, 8.0),
        "in_window": (1.0,),
        "h2": None,
    }
)
"""Factor -> edges of its strata, each the first value of the upper one; None: terciles of the genes."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """The genes of one stratum of one factor.

    Attributes
    ----------
    rank
        0 is the lowest; the last may be the genes whose factor is not known.
    low, high
        Its smallest value, and the first value that is beyond it; None where it is open, or not known.
    known
        Whether the factor is known of these genes.
    n
        Genes.
    share_right, ci_low, ci_high
        Share with R > 0 and its 95 % Wilson interval.
    mean_r, mean_r_ci_low, mean_r_ci_high
        With the 95 % t interval; None where there are too few genes.
    """

    factor: str
    rank: int
    low: float | None
    high: float | None
    known: bool
    n: int
    share_right: float | None
    ci_low: float | None
    ci_high: float | None
    mean_r: float | None
    mean_r_ci_low: float | None
    mean_r_ci_high: float | None


def cut(factor: str, values: Float) -> tuple[float, ...]:
    """Edges of the strata of a factor: fixed ones, or terciles of the (n,) values (NaN where not known).

    Edges that part nothing (all values on one side) are left out, so a factor that is the same in all
    genes has one stratum.
    """
    fixed, values = CLASSES[factor], values[np.isfinite(values)]
    edges = np.quantile(values, _TERCILES) if fixed is None and len(values) else np.array(fixed or ())
    return tuple(float(edge) for edge in np.unique(edges) if (values < edge).any() and (values >= edge).any())


def strata(factor: str, values: Float, r: Float, edges: Sequence[float]) -> Iterator[Stratum]:
    """Every stratum of a factor that has genes; together they hold each gene once.

    Parameters
    ----------
    values
        (G,) the factor; NaN where it is not known.
    r
        (G,) correlation over people; not 0.
    edges
        Increasing, of `cut`; those of all models' genes, so that models have the same strata.
    """
    known = np.isfinite(values)
    bounds = (None, *edges, None)
    place = np.where(known, np.searchsorted(edges, values, side="right"), -1)
    for rank in range(len(edges) + 1):
        if (place == rank).any():
            yield _stratum(factor, rank, bounds[rank : rank + 2], True, r[place == rank])
    if not known.all():
        yield _stratum(factor, len(edges) + 1, (None, None), False, r[~known])


def _stratum(factor: str, rank: int, bounds: tuple[float | None, ...], known: bool, r: Float) -> Stratum:
    right, mean = share_true(r > 0), mean_interval(r)
    return Stratum(
        factor=factor,
        rank=rank,
        low=bounds[0],
        high=bounds[1],
        known=known,
        n=len(r),
        share_right=right.value,
        ci_low=right.ci_low,
        ci_high=right.ci_high,
        mean_r=mean.value,
        mean_r_ci_low=mean.ci_low,
        mean_r_ci_high=mean.ci_high,
    )
