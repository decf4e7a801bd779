"""One variant's effect: what an outcome says for each variant, and what remains to be believed of its effect.

Rows are standardised, and the outcome has variance 1 but for noise. The effect of a variant is 0, or normal
with one of a few variances, equally likely; then the Bayes factor against 0 is Wakefield's (Genet. Epidemiol.
33:79, 2009), and exactly one variant having an effect is the "single effect regression" of SuSiE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["VARIANCES", "SingleEffect", "log_bayes_factors", "single_effect"]

Floats = NDArray[np.float64]

VARIANCES: Final = np.array([0.01, 0.03, 0.1, 0.3])
"""Prior variances of an effect, as shares of the outcome's; each as likely as the others."""


@dataclass(frozen=True, slots=True, eq=False)
class SingleEffect:
    """Posterior of one effect among V variants.

    Attributes
    ----------
    inclusion
        (V,) probability that it is this variant's; their sum is 1.
    mean, square
        (V,) expectation of the variant's effect, and of its square, being 0 where the effect is another's.
    """

    inclusion: Floats
    mean: Floats
    square: Floats


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


def single_effect(slope: Floats, noise: float, log_prior: Floats) -> SingleEffect:
    """The posterior, given the logarithm (V,) of the prior probability that the effect is a variant's.

    Other arguments as in `log_bayes_factors`.
    """
    shrinkage = VARIANCES / (VARIANCES + noise)
    weight = log_bayes_factors(slope, noise) + log_prior[:, None]
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    mean = np.multiply.outer(slope, shrinkage)
    square = mean**2 + noise * shrinkage
    return SingleEffect(weight.sum(axis=1), (weight * mean).sum(axis=1), (weight * square).sum(axis=1))
