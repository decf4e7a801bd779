"""Logistic regression with a ridge penalty: columns may separate the classes or repeat each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["log_loss", "ridge_logistic"]

Float = NDArray[np.float64]

_STEPS = 100
_TOLERANCE = 1e-10


def ridge_logistic(columns: Float, outcome: NDArray[np.bool_], penalty: float) -> Float:
    """Minimise ``-log likelihood + penalty / 2 * sum(beta^2)``; the intercept is not penalised.

    Newton's method, steps halved where the objective would rise.

    Parameters
    ----------
    columns
        (n, K), K >= 0.
    outcome
        (n,), both values present.
    penalty
        Above 0.

    Returns
    -------
    (K + 1,) intercept, then one coefficient a column.
    """
    design = np.column_stack([np.ones(len(outcome)), columns])
    y = outcome.astype(np.float64)
    weights = np.full(design.shape[1], penalty)
    weights[0] = 0.0
    beta = np.zeros(design.shape[1])
    beta[0] = special.logit(y.mean())
    value = _objective(design, y, beta, weights)
    for _ in range(_STEPS):
        p = special.expit(design @ beta)
        score = design.T @ (y - p) - weights * beta
        step = np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]) + np.diag(weights), score)
        while (new := _objective(design, y, beta + step, weights)) > value + _TOLERANCE:
            step /= 2.0
        beta, gained, value = beta + step, value - new, new
        if gained < _TOLERANCE * max(value, 1.0):
            break
    return beta


def log_loss(logits: Float, outcome: NDArray[np.bool_]) -> float:
    """Mean -log likelihood of (n,) outcomes."""
    return float(np.mean(np.logaddexp(0.0, logits) - outcome * logits))


def _objective(design: Float, y: Float, beta: Float, weights: Float) -> float:
    eta = design @ beta
    return float(np.sum(np.logaddexp(0.0, eta) - y * eta) + 0.5 * weights @ beta**2)
