"""One variant's effect: what an outcome says for each variant, and what remains to be believed of its effect.

Rows are standardised, and the outcome has variance 1 but for noise. The effect of a variant is 0, or normal
with one of a few variances, equally likely; then the Bayes factor against 0 is Wakefield's (Genet. Epidemiol.
33:79, 2009), and exactly one variant having an effect is the "single effect regression" of SuSiE.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hapsight.baseline.loops import dot, subtract

__all__ = ["VARIANCES", "SingleEffect", "log_bayes_factors", "single_effect"]

Floats = NDArray[np.float64]

VARIANCES: Final = np.array([0.01, 0.03, 0.1, 0.3])
"""Prior variances of an effect, as shares of the outcome's; each as likely as the others."""


class SingleEffect(NamedTuple):
    """Posterior of one effect among V variants, of n people.

    Attributes
    ----------
    inclusion
        (V,) probability that it is this variant's; their sum is 1.
    mean, square
        (V,) expectation of the variant's effect, and of its square, being 0 where the effect is another's.
    prediction
        (n,) expectation of the outcome.
    """

    inclusion: Floats
    mean: Floats
    square: Floats
    prediction: Floats


def log_bayes_factors(slope: Floats, noise: float) -> Floats:
    """(V, K) log Bayes factors of an effect with each of K `VARIANCES` against none.

    Parameters
    ----------
    slope
        (V,) least-squares effects per standard deviation of dosage.
    noise
        Their sampling variance.
    """
    shrinkage = VARIANCES / (VARIANCES + noise)
    factors: Floats = 0.5 * (np.log1p(-shrinkage) + np.multiply.outer(slope**2 / noise, shrinkage))
    return factors


@njit(cache=True, nogil=True)
def single_effect(rows: Floats, outcome: Floats, noise: float, log_prior: Floats) -> SingleEffect:
    """The posterior, by one reading of the rows, which takes longer than the arithmetic.

    Weights are relative to the largest so far; where a larger one is met, what was summed up is scaled down.

    Parameters
    ----------
    rows
        (V, n) standardised.
    outcome
        (n,) of mean 0.
    noise
        Sampling variance of a variant's least-squares effect.
    log_prior
        (V,) logarithm of the prior probability that the effect is a variant's, up to a constant.
    """
    shrinkage = VARIANCES / (VARIANCES + noise)
    at_zero = 0.5 * np.log1p(-shrinkage)
    found = np.zeros((4, len(rows)))
    inclusion, mean, square, scale = found[0], found[1], found[2], found[3]
    prediction, weight = np.zeros(len(outcome)), np.empty(len(VARIANCES))
    largest, total = -np.inf, 0.0
    for j in range(len(rows)):
        slope = dot(rows[j], outcome) / len(outcome)
        evidence, highest = 0.5 * slope * slope / noise, -np.inf
        for k in range(len(weight)):
            weight[k] = log_prior[j] + at_zero[k] + evidence * shrinkage[k]
            highest = max(highest, weight[k])
        if highest > largest:
            total *= np.exp(largest - highest)
            prediction *= np.exp(largest - highest)
            largest = highest
        for k in range(len(weight)):
            share, effect = np.exp(weight[k] - largest), slope * shrinkage[k]
            inclusion[j] += share
            mean[j] += share * effect
            square[j] += share * (effect * effect + noise * shrinkage[k])
        total += inclusion[j]
        subtract(prediction, -mean[j], rows[j])
        scale[j] = largest
    scale[:] = np.exp(scale - largest) / total
    return SingleEffect(inclusion * scale, mean * scale, square * scale, prediction / total)
