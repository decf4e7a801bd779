"""The smallest of many correlated p-values follows a beta distribution: permutation p-values made smooth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from hapsight.evaluate.eqtl import p_of_r2

__all__ = ["BetaApproximation", "beta_approximation"]

Float = NDArray[np.float64]

_REACH = 6.0
"""How far from the nominal degrees of freedom the true ones are looked for, in units of log."""

_STEPS = 50
"""Most steps of Newton's method; half a dozen are usual."""

_SETTLED = 1e-9
"""Step, relative to the shapes, after which they no longer change."""


@dataclass(frozen=True, slots=True)
class BetaApproximation:
    """The beta approximation of a gene's permutation p-value (FastQTL, Ongen 2016; names of tensorQTL).

    Attributes
    ----------
    beta_shape1, beta_shape2
        Maximum-likelihood shapes of the beta distribution of the permutations' smallest p-values.
    true_df
        Degrees of freedom under which the first shape is 1 by the method of moments.
    pval_true_df
        p of the observed r^2 with `true_df` degrees of freedom.
    pval_beta
        Probability of a smaller one under the beta distribution.
    """

    beta_shape1: float
    beta_shape2: float
    true_df: float
    pval_true_df: float
    pval_beta: float


def beta_approximation(r2: float, null: Float, dof: int) -> BetaApproximation | None:
    """p-value of the largest r^2 of a gene beyond the resolution of its permutations.

    Parameters
    ----------
    r2
        Observed.
    null
        (P,) largest r^2 of each permutation.
    dof
        Of a single test.

    Returns
    -------
    ``None`` where the permutations differ too little for a fit (such as very few people).
    """
    true_df = _true_df(null, dof)
    shapes = None if true_df is None else _shapes(_inside(p_of_r2(null, true_df)))
    if true_df is None or shapes is None:
        return None
    pval = float(p_of_r2(r2, true_df))
    return BetaApproximation(*shapes, true_df, pval, float(special.betainc(*shapes, pval)))


def _inside(pvalues: Float) -> Float:
    """p-values kept off 0 and 1, whose logarithms do not exist."""
    return np.clip(pvalues, np.finfo(np.float64).tiny, 1.0 - np.finfo(np.float64).eps)


def _true_df(null: Float, dof: int) -> float | None:
    """Degrees of freedom under which the null's p-values have a first shape of 1 by moments."""

    def excess(log_df: float) -> float:
        return float(np.log(_moments(_inside(p_of_r2(null, np.exp(log_df))))[0]))

    start = np.log(dof)
    low, high = start - 0.5, start + 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        while not excess(low) * excess(high) <= 0:
            low, high = low - 0.5, high + 0.5
            if high - start > _REACH:
                return None
        return float(np.exp(optimize.brentq(excess, low, high, xtol=1e-10)))


def _moments(pvalues: Float) -> tuple[float, float]:
    """Shapes of the beta distribution that has the mean and variance of these p-values."""
    mean, variance = pvalues.mean(), pvalues.var()
    total = mean * (1.0 - mean) / variance - 1.0
    return float(mean * total), float((1.0 - mean) * total)


def _shapes(pvalues: Float) -> tuple[float, float] | None:
    """Maximum-likelihood shapes: those whose expected log p and log (1 - p) are the means found.

    Newton's method on the logarithms of the shapes, from those by moments.
    """
    found = np.array([np.log(pvalues).mean(), np.log1p(-pvalues).mean()])
    log_shapes = np.log(_moments(pvalues))
    for _ in range(_STEPS):
        shapes = np.exp(log_shapes)
        gap = special.digamma(shapes) - special.digamma(shapes.sum()) - found
        slope = np.diag(special.polygamma(1, shapes)) - special.polygamma(1, shapes.sum())
        step = np.linalg.solve(slope * shapes, gap)
        log_shapes = log_shapes - np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < _SETTLED:
            first, second = np.exp(log_shapes)
            return float(first), float(second)
    return None
