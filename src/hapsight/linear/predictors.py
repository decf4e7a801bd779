"""The best single variant, as a predictor.

Best linear unbiased prediction from all cis variants: ridge regression whose penalty comes from REML.

The outcome is ``mean + g + e`` with ``g ~ N(0, s_g^2 K)`` and ``e ~ N(0, s_e^2 I)``, where K is the kernel of
standardised dosages, ``K = Z'Z / V``, or with a prior share p of the variance for each, ``K = Z' diag(p) Z``.
K is made tridiagonal once, which gives the restricted likelihood at any share of variance (as the
eigenvalues of Kang et al. 2008, Genetics 178:1709, "EMMA"), and the weights of the variants after it. Where
there are fewer distinct variants than people it is had from their products, and no matrix of people by people
is made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapsight.linear.fits import LinearFit, Predictors, mean_only
from hapsight.stats.heritability import Likelihood, products_of_variants

__all__ = ["fit_blup", "fit_top_snp"]

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


def fit_blup(predictors: Predictors, outcome: Floats, variances: Floats | None = None) -> LinearFit:
    """Fit all usable variants at once, shrunk by the ratio of residual to genetic variance.

    The weights are those of ridge regression on standardised dosages with penalty ``s_e^2 / (p_j s_g^2)`` for
    variant j, where the p are the prior variances as shares of their sum: 1 / V of V equal ones.

    Parameters
    ----------
    predictors
        Of V variants and n people; variants that are not usable get weight 0.
    outcome
        (n,) values to predict. If covariates were regressed out of it, the kernel does not know.
    variances
        (V,) prior variances of the effects of standardised dosages, up to a common factor, some above 0 among
        the usable variants; else all are equal.

    Returns
    -------
    LinearFit
        Its `penalty` is ``s_e^2 / s_g^2``: infinite, and all weights 0, where REML finds no genetic variance.
    """
    if not predictors.can_tell(outcome):
        return mean_only(len(predictors.mean), outcome, float("inf"))
    group, usable = predictors.distinct.group, predictors.usable
    shares = np.ones(len(usable)) if variances is None else variances[usable]
    shares = shares / shares.sum()
    root = np.sqrt(np.bincount(group, shares))
    solve = _solve_variants if len(root) < len(outcome) else _solve_people
    share, effects = solve(predictors, root, outcome - outcome.mean())
    if share == 0.0:
        return mean_only(len(predictors.mean), outcome, float("inf"))
    effects = np.divide(effects, root, out=np.zeros_like(effects), where=root > 0)
    return LinearFit(*predictors.line(shares * effects[group], outcome), (1.0 - share) / share)


def _solve_people(predictors: Predictors, root: Floats, outcome: Floats) -> tuple[float, Floats]:
    """Genetic share of variance, and (P,) ``Z (Z' Z + penalty)^-1 outcome`` of rows times their root, Z."""
    scaled = predictors.rows * root[:, None]
    kernel = (scaled.T @ scaled).T  # of trace n; the mean is of eigenvalue 0
    likelihood = Likelihood.of(kernel, outcome, float(outcome @ outcome), len(outcome) - 1, False)
    share = likelihood.best()
    return share, scaled @ likelihood.effects(share)


def _solve_variants(predictors: Predictors, root: Floats, outcome: Floats) -> tuple[float, Floats]:
    """The same from products of rows, (P, P), where there are fewer of these than people."""
    first = predictors.first
    products = products_of_variants(
        predictors.dosage[first], predictors.mean[first], predictors.deviation, outcome
    )
    kernel = products.kernel
    kernel *= root
    kernel *= root[:, None]
    likelihood = Likelihood.of(
        kernel, products.covariance * root, float(outcome @ outcome), len(outcome) - 1, of_variants=True
    )
    share = likelihood.best()
    return share, likelihood.effects(share)
