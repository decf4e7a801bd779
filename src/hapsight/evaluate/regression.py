"""Logistic and linear regression without penalty, with intervals: all that one table of factors needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

__all__ = ["Fit", "linear", "logistic"]

Float = NDArray[np.float64]

_STEPS = 50
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A regression of n outcomes on an intercept and K columns.

    Attributes
    ----------
    coefficient, ci_low, ci_high, pval
        (K,) of each column, without the intercept; 95 % interval, two-sided p. Wald's with the observed
        information for a logistic fit, t for a linear one.
    deviance, null_deviance
        What is left with the columns, and with the intercept alone: -2 log likelihood of a logistic fit,
        the sum of squared residuals of a linear one.
    """

    coefficient: Float
    ci_low: Float
    ci_high: Float
    pval: Float
    deviance: float
    null_deviance: float

    @property
    def explained(self) -> float:
        """Share of the null deviance: McFadden's R2 of a logistic fit, R2 of a linear one."""
        return 1.0 - self.deviance / self.null_deviance


def logistic(columns: Float, outcome: NDArray[np.bool_]) -> Fit | None:
    """Maximum likelihood by Newton's method, steps halved where the likelihood would fall.

    Parameters
    ----------
    columns
        (n, K) standardised, K >= 0.
    outcome
        (n,), both values present.

    Returns
    -------
    None where there is no maximum: the columns separate the classes, or are not independent.
    """
    design = np.column_stack([np.ones(len(outcome)), columns])
    y = outcome.astype(np.float64)
    beta = np.zeros(design.shape[1])
    deviance = _deviance(design, y, beta)
    for _ in range(_STEPS):
        information, score = _derivatives(design, y, beta)
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, score)
        while (new := _deviance(design, y, beta + step)) > deviance + _TOLERANCE:
            step /= 2.0
        beta, improved, deviance = beta + step, deviance - new, new
        if improved < _TOLERANCE * deviance and np.abs(step).max() < 1e-6:
            break
    else:
        return None
    se = np.sqrt(np.diagonal(np.linalg.inv(_derivatives(design, y, beta)[0])))[1:]
    mean = y.mean()
    null = -2.0 * len(y) * (special.xlogy(mean, mean) + special.xlogy(1 - mean, 1 - mean))
    return _fit(beta[1:], se, stats.norm(), deviance, float(null))


def linear(columns: Float, outcome: Float) -> Fit | None:
    """Ordinary least squares.

    Parameters
    ----------
    columns
        (n, K), K >= 0.
    outcome
        (n,), not constant.

    Returns
    -------
    None where the columns are not independent, or leave no degree of freedom.
    """
    design = np.column_stack([np.ones(len(outcome)), columns])
    dof = len(outcome) - design.shape[1]
    if dof < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    beta, *_ = np.linalg.lstsq(design, outcome)
    left = outcome - design @ beta
    variance = left @ left / dof
    se = np.sqrt(variance * np.diagonal(np.linalg.inv(design.T @ design)))[1:]
    centred = outcome - outcome.mean()
    kept = np.asarray(beta[1:], np.float64)
    return _fit(kept, se, stats.t(dof), float(left @ left), float(centred @ centred))


def _deviance(design: Float, y: Float, beta: Float) -> float:
    eta = design @ beta
    return float(2.0 * np.sum(np.logaddexp(0.0, eta) - y * eta))


def _derivatives(design: Float, y: Float, beta: Float) -> tuple[Float, Float]:
    """Information (K + 1, K + 1) and score (K + 1,) at `beta`."""
    p = special.expit(design @ beta)
    return design.T @ (design * (p * (1 - p))[:, None]), design.T @ (y - p)


def _fit(beta: Float, se: Float, law: stats.rv_frozen, deviance: float, null: float) -> Fit:
    half = law.ppf(0.975) * se
    pval = np.asarray(2.0 * law.sf(np.abs(beta) / np.where(se > 0, se, np.nan)), np.float64)
    return Fit(beta, beta - half, beta + half, pval, deviance, null)
