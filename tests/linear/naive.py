"""The slow, obvious elastic net: one coordinate after the other, until nothing moves."""

from __future__ import annotations

import math

import numpy as np


def soft(value: float, threshold: float) -> float:
    return math.copysign(max(abs(value) - threshold, 0.0), value)


def elastic_net(
    dosage: np.ndarray, outcome: np.ndarray, penalty: float, alpha: float, factors: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Weights (V,) and intercept of glmnet's problem at one lambda, times each variant's factor."""
    n = len(outcome)
    factors = np.ones(len(dosage)) if factors is None else factors / factors.mean()
    deviation = outcome.std()
    y = (outcome - outcome.mean()) / deviation
    size = dosage.std(axis=1)
    x = (dosage - dosage.mean(axis=1, keepdims=True)) / np.where(size > 0, size, 1.0)[:, None]
    lam = penalty / deviation
    target, products = x @ y / n, x @ x.T / n
    b = np.zeros(len(dosage))
    for _ in range(100_000):
        before = b.copy()
        for j in np.flatnonzero(size):
            partial = target[j] - products[j] @ b + b[j]
            mine = lam * factors[j]
            b[j] = soft(partial, mine * alpha) / (1.0 + mine * (1.0 - alpha))
        if np.abs(b - before).max() < 1e-9:
            break
    weights = np.divide(b * deviation, size, out=np.zeros_like(b), where=size > 0)
    return weights, float(outcome.mean() - weights @ dosage.mean(axis=1))


def largest_lambda(dosage: np.ndarray, outcome: np.ndarray, alpha: float) -> float:
    """The least lambda at which every weight is 0."""
    size = dosage.std(axis=1)
    covariance = (dosage - dosage.mean(axis=1, keepdims=True)) @ (outcome - outcome.mean()) / len(outcome)
    return float(np.max(np.abs(covariance[size > 0]) / size[size > 0]) / alpha)


def squared_errors(
    dosage: np.ndarray,
    outcome: np.ndarray,
    fold: np.ndarray,
    lambdas: np.ndarray,
    alpha: float,
    factors: np.ndarray | None = None,
) -> np.ndarray:
    """(L,) mean over people of the squared error on held-out folds."""
    predicted = np.empty((len(lambdas), len(outcome)))
    for k in np.unique(fold):
        test = fold == k
        for i, penalty in enumerate(lambdas):
            weights, intercept = elastic_net(dosage[:, ~test], outcome[~test], penalty, alpha, factors)
            predicted[i, test] = intercept + weights @ dosage[:, test]
    return np.mean((predicted - outcome) ** 2, axis=1)
