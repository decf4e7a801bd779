"""SuSiE: a sum of single effects, each of one variant, under prior probabilities of the variants.

Effects are fitted in turn to what the others leave over, until predictions stand still: "iterative Bayesian
stepwise selection" of Wang, Sarkar, Carbonetto and Stephens (J. R. Stat. Soc. B 82:1273, 2020). Unlike there,
an effect's prior variance is not estimated, but averaged over (see `hapsight.baseline.single_effect`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.linear import LinearFit, mean_only
from hapsight.baseline.predictors import Predictors
from hapsight.baseline.single_effect import SingleEffect, single_effect
from hapsight.errors import InputError

__all__ = ["EFFECTS", "SusieFit", "fit_susie"]

Floats = NDArray[np.float64]

EFFECTS: Final = 5
"""Single effects of a sum; those that are not needed come out near 0."""

_SWEEPS: Final = 100
_STILL: Final = 1e-3
"""Change of any prediction, in standard deviations of the outcome, below which a fit has converged."""

_LEAST_NOISE: Final = 0.01
"""Share of the outcome's variance that stays noise."""


@dataclass(frozen=True, slots=True, eq=False)
class SusieFit(LinearFit):
    """Posterior mean effects of V variants, and how sure it is that they have any.

    Attributes
    ----------
    inclusion
        (V,) posterior inclusion probability, SuSiE's PIP: ``1 - prod_l (1 - alpha_l)``.
    """

    inclusion: Floats = field(default_factory=lambda: np.empty(0))


def fit_susie(predictors: Predictors, outcome: Floats, log_prior: Floats) -> SusieFit:
    """Fit `EFFECTS` single effects of the usable variants.

    Parameters
    ----------
    predictors
        Of V variants and n people; variants that are not usable get weight 0.
    outcome
        (n,) values to predict.
    log_prior
        (V,) logarithm of the prior probability of each variant, up to a constant; SuSiE's ``prior_weights``.

    Raises
    ------
    InputError
        A prior is not a finite number, or there is not one for each variant.
    """
    n_variants = len(predictors.mean)
    if log_prior.shape != (n_variants,) or not np.isfinite(log_prior).all():
        raise InputError(
            "SuSiE needs the prior of every variant.",
            where="log_prior",
            expected=f"{n_variants} finite numbers",
            got=f"shape {log_prior.shape}, {int((~np.isfinite(log_prior)).sum())} not finite",
        )
    inclusion = np.zeros(n_variants)
    if not predictors.can_tell(outcome):
        nothing = mean_only(n_variants, outcome)
        return SusieFit(nothing.weights, nothing.intercept, inclusion=inclusion)
    group, deviation = predictors.distinct.group, outcome.std()
    pooled, share = predictors.pooled(log_prior)
    effects = _sum_of_effects(predictors.rows, (outcome - outcome.mean()) / deviation, pooled)
    mean = np.sum([effect.mean for effect in effects], axis=0) * deviation
    inclusion[predictors.usable] = 1.0 - np.prod([1.0 - e.inclusion[group] * share for e in effects], axis=0)
    return SusieFit(*predictors.line(share * mean[group], outcome), inclusion=inclusion)


def _sum_of_effects(rows: Floats, outcome: Floats, log_prior: Floats) -> list[SingleEffect]:
    """Single effects of standardised rows (V, n) on an outcome (n,) of mean 0 and variance 1."""
    effects: list[SingleEffect] = []
    parts, noise = np.zeros((EFFECTS, len(outcome))), 1.0
    for _ in range(_SWEEPS):
        before, effects = parts.sum(axis=0), []
        for place in range(EFFECTS):
            parts[place] = 0.0
            left = outcome - parts.sum(axis=0)
            effects.append(single_effect(rows, left, noise / len(outcome), log_prior))
            parts[place] = effects[place].prediction
        noise = _residual_variance(outcome, parts, effects)
        if np.abs(parts.sum(axis=0) - before).max() < _STILL:
            break
    return effects


def _residual_variance(outcome: Floats, parts: Floats, effects: list[SingleEffect]) -> float:
    """Expectation of the mean squared residual under the posterior, parts (L, n) being independent."""
    residual = np.mean((outcome - parts.sum(axis=0)) ** 2)
    uncertain = sum(effect.square.sum() for effect in effects) - np.mean(parts**2, axis=1).sum()
    return float(max(residual + uncertain, _LEAST_NOISE))
