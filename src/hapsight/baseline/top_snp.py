"""The best single variant, as a predictor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.linear import LinearFit, mean_only
from hapsight.baseline.predictors import Predictors

__all__ = ["fit_top_snp"]

Floats = NDArray[np.float64]


def fit_top_snp(predictors: Predictors, outcome: Floats) -> LinearFit:
    """Regress the outcome on the variant it correlates with most; the first of several that tie.

    Parameters
    ----------
    predictors
        Of V variants and n people.
    outcome
        (n,) values to predict; where they do not vary, the fit is their mean.
    """
    if not predictors.can_tell(outcome):
        return mean_only(len(predictors.mean), outcome)
    covariance = predictors.rows @ (outcome - outcome.mean()) / len(outcome)
    best = int(np.argmax(np.abs(covariance)))
    effects = np.zeros(len(predictors.usable))
    effects[predictors.distinct.first[best]] = covariance[best]
    return LinearFit(*predictors.line(effects, outcome))
