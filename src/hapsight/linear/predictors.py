"""The best single variant, as a predictor.

Best linear unbiased prediction from all cis variants: ridge regression whose penalty comes from REML.

The outcome is ``mean + g + e`` with ``g ~ N(0, s_g^2 K)`` and ``e ~ N(0, s_e^2 I)``, where K is the kernel of
standardised dosages, ``K = Z'Z / V``, or with a prior share p of the variance for each, ``K = Z' diag(p) Z``.
One eigen-decomposition of K gives the restricted likelihood at any share of variance (Kang et al. 2008,
Genetics 178:1709, "EMMA"), and the weights of the variants after it. Where there are fewer distinct variants
than people it is had from their products, and no matrix of people by people is made.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.linear.fits import LinearFit, Predictors, mean_only
from hapsight.stats.heritability import Along, products_of_variants, variant_coordinates

__all__ = ["fit_blup", "fit_top_snp", "reml_share", "restricted_deviance"]

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


LARGEST_SHARE = 1.0 - 1e-6
"""Genetic share of variance above which the likelihood is not looked at: no noise at all is left there."""
_GRID = np.linspace(0.0, LARGEST_SHARE, 101)


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
    kernel = scaled.T @ scaled  # of trace n
    along = Along.of(kernel + 2.0, outcome)  # lifts the mean, of eigenvalue 0, above all others: the last
    values = np.maximum(along.values[:-1], 0.0)
    share = reml_share(values, along.coordinates[:-1] ** 2)
    shrunk = along.coordinates / (np.append(values, np.inf) + _penalty(share))
    return share, scaled @ along.vector(shrunk)


def _solve_variants(predictors: Predictors, root: Floats, outcome: Floats) -> tuple[float, Floats]:
    """The same from products of rows, (P, P), where there are fewer of these than people."""
    first = predictors.first
    products = products_of_variants(
        predictors.dosage[first], predictors.mean[first], predictors.deviation, outcome
    )
    found = variant_coordinates(
        products.kernel * np.outer(root, root),
        products.covariance * root,
        float(outcome @ outcome),
        len(outcome) - 1,
    )
    share, known = reml_share(found.values, found.squares), slice(len(root) - found.rank, None)
    shrunk = np.zeros(len(root))
    shrunk[known] = found.along.coordinates[known] / (found.along.values[known] + _penalty(share))
    return share, found.along.vector(shrunk)


def _penalty(share: float) -> float:
    return (1.0 - share) / share if share > 0.0 else float("inf")


def reml_share(values: Floats, squares: Floats) -> float:
    """Share of variance along the kernel that maximises the restricted likelihood; 0 where none does better.

    Parameters
    ----------
    values
        (n - 1,) eigenvalues of the centred kernel, that of the mean left out.
    squares
        (n - 1,) squared projections of the outcome on their eigenvectors.
    """
    coarse = restricted_deviance(_GRID, values, squares)
    best = int(np.argmin(coarse))
    bounds = (_GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)])
    fine = scipy.optimize.minimize_scalar(
        lambda share: restricted_deviance(np.array([share]), values, squares)[0],
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-8},
    )
    candidates = {float(_GRID[best]): float(coarse[best]), float(fine.x): float(fine.fun)}
    return min(candidates, key=lambda share: (candidates[share], share))


def restricted_deviance(share: Floats, values: Floats, squares: Floats) -> Floats:
    """Minus twice the restricted log-likelihood (S,), up to a constant, at the best total variance.

    Parameters
    ----------
    share
        (S,) genetic shares of variance h; a direction of eigenvalue d has variance ``h d + 1 - h``.
    """
    variance = share[:, None] * values + (1.0 - share[:, None])
    deviance: Floats = len(values) * np.log((squares / variance).mean(axis=1)) + np.log(variance).sum(axis=1)
    return deviance
