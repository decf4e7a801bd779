"""The best single variant, as a predictor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.elastic_net import usable_variants
from hapsight.baseline.linear import LinearFit, mean_only, standardised

__all__ = ["fit_top_snp"]

Floats = NDArray[np.float64]


def fit_top_snp(dosage: Floats, outcome: Floats, min_maf: float) -> LinearFit:
    """Regress the outcome on the variant it correlates with most; the first of several that tie.

    Parameters
    ----------
    dosage
        (V, n) dosages; rows that do not vary, or are rarer than `min_maf`, are not looked at.
    outcome
        (n,) values to predict; where they do not vary, the fit is their mean.
    """
    usable = np.flatnonzero(usable_variants(dosage, min_maf))
    if not len(usable) or np.ptp(outcome) == 0.0:
        return mean_only(len(dosage), outcome)
    rows, deviation = standardised(dosage[usable])
    covariance = rows @ (outcome - outcome.mean()) / len(outcome)
    best = int(np.argmax(np.abs(covariance)))
    weights = np.zeros(len(dosage))
    weights[usable[best]] = covariance[best] / deviation[best]
    return LinearFit(weights, float(outcome.mean() - weights @ dosage.mean(axis=1)))
