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

from hapsight.baseline.elastic_net import usable_variants
from hapsight.baseline.linear import LinearFit, mean_only, standardised
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


def fit_susie(dosage: Floats, outcome: Floats, log_prior: Floats, min_maf: float) -> SusieFit:
    """Fit `EFFECTS` single effects of the usable variants.

    Parameters
    ----------
    dosage
        (V, n) dosages; rows that do not vary, or are rarer than `min_maf`, get weight 0.
    outcome
        (n,) values to predict.
    log_prior
        (V,) logarithm of the prior probability of each variant, up to a constant; SuSiE's ``prior_weights``.

    Raises
    ------
    InputError
        A prior is not a finite number, or there is not one for each variant.
    """
    if log_prior.shape != (len(dosage),) or not np.isfinite(log_prior).all():
        raise InputError(
            "SuSiE needs the prior of every variant.",
            where="log_prior",
            expected=f"{len(dosage)} finite numbers",
            got=f"shape {log_prior.shape}, {int((~np.isfinite(log_prior)).sum())} not finite",
        )
    usable = np.flatnonzero(usable_variants(dosage, min_maf))
    deviation = outcome.std()
    if not len(usable) or np.ptp(outcome) == 0.0:
        nothing = mean_only(len(dosage), outcome)
        return SusieFit(nothing.weights, nothing.intercept, inclusion=np.zeros(len(dosage)))
    rows, spread = standardised(dosage[usable])
    effects = _sum_of_effects(rows, (outcome - outcome.mean()) / deviation, log_prior[usable])
    weights, inclusion = np.zeros(len(dosage)), np.zeros(len(dosage))
    weights[usable] = sum(effect.mean for effect in effects) * deviation / spread
    inclusion[usable] = 1.0 - np.prod([1.0 - effect.inclusion for effect in effects], axis=0)
    return SusieFit(weights, float(outcome.mean() - weights @ dosage.mean(axis=1)), inclusion=inclusion)


def _sum_of_effects(rows: Floats, outcome: Floats, log_prior: Floats) -> list[SingleEffect]:
    """Single effects of standardised rows (V, n) on an outcome (n,) of mean 0 and variance 1."""
    n = len(outcome)
    nothing = np.zeros(len(rows))
    effects = [SingleEffect(nothing, nothing, nothing)] * EFFECTS
    parts, noise = np.zeros((EFFECTS, n)), 1.0
    for _ in range(_SWEEPS):
        before = parts.sum(axis=0)
        for place in range(EFFECTS):
            parts[place] = 0.0
            slope = rows @ (outcome - parts.sum(axis=0)) / n
            effects[place] = single_effect(slope, noise / n, log_prior)
            parts[place] = effects[place].mean @ rows
        noise = _residual_variance(outcome, parts, effects)
        if np.abs(parts.sum(axis=0) - before).max() < _STILL:
            break
    return effects


def _residual_variance(outcome: Floats, parts: Floats, effects: list[SingleEffect]) -> float:
    """Expectation of the mean squared residual under the posterior, parts (L, n) being independent."""
    residual = np.mean((outcome - parts.sum(axis=0)) ** 2)
    uncertain = sum(effect.square.sum() for effect in effects) - np.mean(parts**2, axis=1).sum()
    return float(max(residual + uncertain, _LEAST_NOISE))
