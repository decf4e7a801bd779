"""Expression as it is compared: transformed, or as ranks on a normal scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.cohort.expression import Transform, transform
from hapsight.evaluate.correlation import with_ties

__all__ = ["Transform", "normal_scores", "transform"]

Float = NDArray[np.float64]


def normal_scores(values: Float) -> Float:
    """Ranks along the last axis as quantiles of a standard normal (van der Waerden); no outlier is left."""
    ranks = np.apply_along_axis(lambda row: stats.rankdata(with_ties(row)), -1, values)
    return np.asarray(stats.norm.ppf(ranks / (values.shape[-1] + 1)), dtype=np.float64)
