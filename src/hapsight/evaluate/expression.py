"""Expression as it is compared: transformed, or as ranks on a normal scale."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.errors import ConfigError, InputError
from hapsight.evaluate.correlation import with_ties

__all__ = ["Transform", "normal_scores", "transform"]

Float = NDArray[np.float64]
Transform = Literal["log10", "none"]


def transform(values: Float, how: Transform, pseudocount: float = 0.1) -> Float:
    """``log10(x + pseudocount)``, or nothing; shape kept.

    Raises
    ------
    InputError
        A logarithm is asked of values that are not positive with the pseudocount added.
    """
    if how == "none":
        return values
    if how != "log10":
        raise ConfigError("Unknown transform of the expression.", expected=get_args(Transform), got=how)
    if np.min(values, initial=np.inf) + pseudocount <= 0:
        raise InputError(
            "Expression has values whose logarithm does not exist.",
            expected=f"values above {-pseudocount}",
            got=f"minimum {np.min(values):g}",
            fix='if it is on a log or normal scale already, set `transform = "none"` under [expression]',
        )
    return np.asarray(np.log10(values + pseudocount), dtype=np.float64)


def normal_scores(values: Float) -> Float:
    """Ranks along the last axis as quantiles of a standard normal (van der Waerden); no outlier is left."""
    ranks = np.apply_along_axis(lambda row: stats.rankdata(with_ties(row)), -1, values)
    return np.asarray(stats.norm.ppf(ranks / (values.shape[-1] + 1)), dtype=np.float64)
