"""Slow, obvious twins of the eQTL statistics."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats


def simulated(n_variants: int, n: int, n_covariates: int, rng: np.random.Generator):
    """Dosages (V, n) in some linkage, and covariates (n, C)."""
    dosage = rng.binomial(2, rng.uniform(0.1, 0.5, (n_variants, 1)), (n_variants, n)).astype(np.uint8)
    for v in range(1, n_variants):
        copied = rng.random(n) < 0.6
        dosage[v] = np.where(copied, dosage[v - 1], dosage[v])
    return dosage, rng.standard_normal((n, n_covariates))


def regression(dosage: np.ndarray, expression: np.ndarray, covariates: np.ndarray) -> dict[str, float]:
    """Least squares of expression on intercept, covariates and one dosage: the dosage's row of the table."""
    design = np.column_stack([np.ones(len(expression)), covariates, dosage])
    coefficients, _, rank, _ = np.linalg.lstsq(design, expression, rcond=None)
    dof = len(expression) - rank
    variance = np.sum((expression - design @ coefficients) ** 2) / dof
    slope = coefficients[-1]
    slope_se = np.sqrt(variance * np.linalg.inv(design.T @ design)[-1, -1])
    return {
        "slope": slope,
        "slope_se": slope_se,
        "t": slope / slope_se,
        "pval_nominal": 2 * stats.t.sf(abs(slope / slope_se), dof),
        "dof": dof,
    }


def residual(values: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    design = np.column_stack([np.ones(len(values)), covariates])
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def largest_r2(dosage: np.ndarray, expression: np.ndarray, covariates: np.ndarray) -> float:
    """Of residual dosages with residual expression, one by one."""
    outcome = residual(expression, covariates)
    return max(np.corrcoef(residual(g.astype(float), covariates), outcome)[0, 1] ** 2 for g in dosage)


def restricted_log_likelihood(
    h2: float, kinship: np.ndarray, expression: np.ndarray, covariates: np.ndarray
) -> float:
    """Of the textbook: dense matrices, the scale at its best, constants left out."""
    design = np.column_stack([np.ones(len(expression)), covariates])
    inverse = np.linalg.inv(h2 * kinship + (1 - h2) * np.eye(len(expression)))
    middle = design.T @ inverse @ design
    projection = inverse - inverse @ design @ np.linalg.inv(middle) @ design.T @ inverse
    free = len(expression) - design.shape[1]
    scale = expression @ projection @ expression / free
    determinants = -np.linalg.slogdet(inverse)[1] + np.linalg.slogdet(middle)[1]
    return -0.5 * (free * np.log(scale) + determinants)


def reml(kinship: np.ndarray, expression: np.ndarray, covariates: np.ndarray) -> float:
    """Heritability of the largest restricted likelihood, by a fine grid and a refinement."""
    grid = np.linspace(0, 0.999, 100)
    values = [restricted_log_likelihood(h2, kinship, expression, covariates) for h2 in grid]
    best = grid[int(np.argmax(values))]
    found = optimize.minimize_scalar(
        lambda h2: -restricted_log_likelihood(h2, kinship, expression, covariates),
        bounds=(max(best - 0.01, 0), min(best + 0.01, 0.999999)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(found.x)


def haseman_elston(kinship: np.ndarray, expression: np.ndarray, covariates: np.ndarray) -> float:
    """Products of residuals of all pairs of people, on relationship and identity of residuals."""
    design = np.column_stack([np.ones(len(expression)), covariates])
    project = np.eye(len(expression)) - design @ np.linalg.pinv(design)
    outcome = project @ expression
    columns = np.column_stack([(project @ kinship @ project).ravel(), project.ravel()])
    genetic, rest = np.linalg.lstsq(columns, np.outer(outcome, outcome).ravel(), rcond=None)[0]
    return float(genetic / (genetic + rest))


def relationship(dosage):
    """Genetic relationship of people (N, N) over all V variants, and V; all of them vary."""
    standard = (dosage - dosage.mean(axis=1, keepdims=True)) / dosage.std(axis=1, keepdims=True)
    return standard.T @ standard / len(dosage), len(dosage)
