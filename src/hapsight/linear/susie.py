"""SuSiE: a sum of single effects, each of one variant, under prior probabilities of the variants.

Effects are fitted in turn to what the others leave over, until predictions stand still: "iterative Bayesian
stepwise selection" of Wang, Sarkar, Carbonetto and Stephens (J. R. Stat. Soc. B 82:1273, 2020). Unlike there,
an effect's prior variance is not estimated, but averaged over (see `hapsight.linear.susie`).

One variant's effect: what an outcome says for each variant, and what remains to be believed of its effect.

Rows are standardised, and the outcome has variance 1 but for noise. The effect of a variant is 0, or normal
with one of a few variances, equally likely; then the Bayes factor against 0 is Wakefield's (Genet. Epidemiol.
33:79, 2009), and exactly one variant having an effect is the "single effect regression" of SuSiE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.linear.fits import LinearFit, mean_only
from hapsight.linear.kernel import dot, subtract
from hapsight.linear.predictors import Predictors

__all__ = [
    "EFFECTS",
    "VARIANCES",
    "SingleEffect",
    "SusieFit",
    "fit_susie",
    "log_bayes_factors",
    "single_effect",
]

Floats = NDArray[np.float64]

VARIANCES: Final = np.array([0.01, 0.03, 0.1, 0.3])
"""Prior variances of an effect, as shares of the outcome's; each as likely as the others."""


class SingleEffect(NamedTuple):
    """Posterior of one effect among V variants, of n people.

    Attributes
    ----------
    inclusion
        (V,) probability that it is this variant's; their sum is 1.
    mean, square
        (V,) expectation of the variant's effect, and of its square, being 0 where the effect is another's.
    prediction
        (n,) expectation of the outcome.
    """

    inclusion: Floats
    mean: Floats
    square: Floats
    prediction: Floats


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


@njit(cache=True, nogil=True)
def single_effect(rows: Floats, outcome: Floats, noise: float, log_prior: Floats) -> SingleEffect:
    """The posterior, by one reading of the rows, which takes longer than the arithmetic.

    Weights are relative to the largest so far; where a larger one is met, what was summed up is scaled down.

    Parameters
    ----------
    rows
        (V, n) standardised.
    outcome
        (n,) of mean 0.
    noise
        Sampling variance of a variant's least-squares effect.
    log_prior
        (V,) logarithm of the prior probability that the effect is a variant's, up to a constant.
    """
    shrinkage = VARIANCES / (VARIANCES + noise)
    at_zero = 0.5 * np.log1p(-shrinkage)
    found = np.zeros((4, len(rows)))
    inclusion, mean, square, scale = found[0], found[1], found[2], found[3]
    prediction, weight = np.zeros(len(outcome)), np.empty(len(VARIANCES))
    largest, total = -np.inf, 0.0
    for j in range(len(rows)):
        slope = dot(rows[j], outcome) / len(outcome)
        evidence, highest = 0.5 * slope * slope / noise, -np.inf
        for k in range(len(weight)):
            weight[k] = log_prior[j] + at_zero[k] + evidence * shrinkage[k]
            highest = max(highest, weight[k])
        if highest > largest:
            total *= np.exp(largest - highest)
            prediction *= np.exp(largest - highest)
            largest = highest
        for k in range(len(weight)):
            share, effect = np.exp(weight[k] - largest), slope * shrinkage[k]
            inclusion[j] += share
            mean[j] += share * effect
            square[j] += share * (effect * effect + noise * shrinkage[k])
        total += inclusion[j]
        subtract(prediction, -mean[j], rows[j])
        scale[j] = largest
    scale[:] = np.exp(scale - largest) / total
    return SingleEffect(inclusion * scale, mean * scale, square * scale, prediction / total)


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
