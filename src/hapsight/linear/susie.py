"""SuSiE: a sum of single effects, each of one variant, fitted in turn to what the others leave over.

The method is that of Wang, Sarkar, Carbonetto and Stephens (J. R. Stat. Soc. B 82:1273, 2020). Unlike there,
an effect's prior variance is not estimated, but averaged over: it is normal with one of a few variances,
equally likely; the Bayes factor against 0 is Wakefield's (Genet. Epidemiol. 33:79, 2009). Rows are
standardised, and the outcome has variance 1 but for noise.

The fit climbs the evidence lower bound (ELBO), and may end on a lower peak. Refined as in susieR
(``refine = TRUE``): the variants of each credible set are excluded in turn, what is found without them is
where a fit of all variants starts, and the best of these is kept as long as the bound rises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.files import compiled
from hapsight.linear.fits import LinearFit, Predictors, mean_only
from hapsight.linear.kernel import dot, subtract

__all__ = [
    "COVERAGE",
    "EFFECTS",
    "PURITY",
    "VARIANCES",
    "SingleEffect",
    "SusieFit",
    "credible_sets",
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
    evidence
        Log Bayes factor of an effect against none, averaged over variants and variances by their prior.
    """

    inclusion: Floats
    mean: Floats
    square: Floats
    prediction: Floats
    evidence: float


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


@compiled()
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
    top = log_prior.max()
    prior = top + np.log(len(VARIANCES) * np.exp(log_prior - top).sum())
    evidence = largest + np.log(total) - prior
    return SingleEffect(inclusion * scale, mean * scale, square * scale, prediction / total, evidence)


EFFECTS: Final = 5
"""Single effects of a sum; those that are not needed come out near 0."""

_SWEEPS: Final = 100
_STILL: Final = 1e-3
"""Change of any prediction, in standard deviations of the outcome, below which a fit has converged."""

_LEAST_NOISE: Final = 0.01
"""Share of the outcome's variance that stays noise."""

COVERAGE: Final = 0.95
"""Least probability that a credible set holds the variant of its effect."""

PURITY: Final = 0.5
"""Least absolute correlation of any two variants of a credible set; where it is lower, there is no set."""

_NEVER: Final = -1e9
"""Logarithm of the prior probability of a variant that is excluded."""

_RISE: Final = 1e-2
"""Rise of the ELBO below which a fit is as good as the one before, within how far fits converge."""


@dataclass(frozen=True, slots=True, eq=False)
class SusieFit(LinearFit):
    """Posterior mean effects of V variants, and how sure it is that they have any.

    Attributes
    ----------
    inclusion
        (V,) posterior inclusion probability, SuSiE's PIP: ``1 - prod_l (1 - alpha_l)``.
    elbo
        Evidence lower bound of the outcome divided by its standard deviation; NaN where nothing was fitted.
    restarts
        How many times a restart led to a higher one.
    """

    inclusion: Floats = field(default_factory=lambda: np.empty(0))
    elbo: float = float("nan")
    restarts: int = 0


def fit_susie(
    predictors: Predictors, outcome: Floats, log_prior: Floats, *, refine: bool = False
) -> SusieFit:
    """Fit `EFFECTS` single effects of the usable variants.

    Parameters
    ----------
    predictors
        Of V variants and n people; variants that are not usable get weight 0.
    outcome
        (n,) values to predict.
    log_prior
        (V,) logarithm of the prior probability of each variant, up to a constant; SuSiE's ``prior_weights``.
    refine
        Whether to restart without each credible set, as long as the evidence lower bound rises.

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
    standard, restarts = (outcome - outcome.mean()) / deviation, 0
    found = _sum_of_effects(predictors.rows, standard, pooled)
    if refine:
        found, restarts = _refined(predictors.rows, standard, pooled, found)
    mean = np.sum([effect.mean for effect in found.effects], axis=0) * deviation
    none = np.prod([1.0 - effect.inclusion[group] * share for effect in found.effects], axis=0)
    inclusion[predictors.usable] = 1.0 - none
    weights, intercept = predictors.line(share * mean[group], outcome)
    return SusieFit(weights, intercept, inclusion=inclusion, elbo=found.elbo, restarts=restarts)


class _Sum(NamedTuple):
    """Single effects, the parts (L, n) of the outcome they predict, its noise, and the ELBO of all this."""

    effects: list[SingleEffect]
    parts: Floats
    noise: float
    elbo: float


def _sum_of_effects(rows: Floats, outcome: Floats, log_prior: Floats, start: _Sum | None = None) -> _Sum:
    """Single effects of standardised rows (V, n) on an outcome (n,) of mean 0 and variance 1."""
    effects: list[SingleEffect] = []
    parts, noise = np.zeros((EFFECTS, len(outcome))), 1.0
    if start is not None:
        parts, noise = start.parts.copy(), start.noise
    for _ in range(_SWEEPS):
        before, effects, divergence = parts.sum(axis=0), [], 0.0
        for place in range(EFFECTS):
            parts[place] = 0.0
            left = outcome - parts.sum(axis=0)
            effects.append(effect := single_effect(rows, left, noise / len(outcome), log_prior))
            parts[place] = effect.prediction
            divergence += _divergence(effect, left, noise)
        residual = _squared_residual(outcome, parts, effects)
        noise = max(residual, _LEAST_NOISE)
        if np.abs(parts.sum(axis=0) - before).max() < _STILL:
            break
    likelihood = -0.5 * len(outcome) * (np.log(2.0 * np.pi * noise) + residual / noise)
    return _Sum(effects, parts, noise, float(likelihood - divergence))


def _divergence(effect: SingleEffect, outcome: Floats, noise: float) -> float:
    """Kullback-Leibler divergence of an effect's posterior, given an outcome (n,), from its prior."""
    explained = 2.0 * outcome @ effect.prediction - len(outcome) * effect.square.sum()
    return float(0.5 * explained / noise - effect.evidence)


def _squared_residual(outcome: Floats, parts: Floats, effects: list[SingleEffect]) -> float:
    """Expectation of the mean squared residual under the posterior, parts (L, n) being independent."""
    residual = np.mean((outcome - parts.sum(axis=0)) ** 2)
    uncertain = sum(effect.square.sum() for effect in effects) - np.mean(parts**2, axis=1).sum()
    return float(residual + uncertain)


def _refined(rows: Floats, outcome: Floats, log_prior: Floats, found: _Sum) -> tuple[_Sum, int]:
    """The best that restarts lead to, and how many times they led higher."""
    restarts = 0
    while True:
        again = [_restarted(rows, outcome, log_prior, one) for one in credible_sets(rows, found.effects)]
        best = max(again, key=lambda one: one.elbo, default=found)
        if best.elbo <= found.elbo + _RISE:
            return found, restarts
        found, restarts = best, restarts + 1


def _restarted(rows: Floats, outcome: Floats, log_prior: Floats, excluded: NDArray[np.intp]) -> _Sum:
    """A fit of all rows that starts from one without those excluded."""
    others = log_prior.copy()
    others[excluded] = _NEVER
    return _sum_of_effects(rows, outcome, log_prior, _sum_of_effects(rows, outcome, others))


def credible_sets(rows: Floats, effects: list[SingleEffect]) -> Iterator[NDArray[np.intp]]:
    """Places of the fewest rows that hold an effect with probability `COVERAGE`, each set once.

    A set is left out where it is not pure, or holds all rows (V, n), which are standardised.
    """
    seen: set[bytes] = set()
    for effect in effects:
        order = np.argsort(-effect.inclusion, kind="stable")
        size = int(np.searchsorted(np.cumsum(effect.inclusion[order]), COVERAGE)) + 1
        chosen = np.sort(order[:size])
        if size < len(rows) and chosen.tobytes() not in seen and _is_pure(rows, chosen, order[0]):
            seen.add(chosen.tobytes())
            yield chosen


def _is_pure(rows: Floats, chosen: NDArray[np.intp], first: np.intp) -> bool:
    """Whether all pairs correlate; one row's own correlations rule most sets out before."""
    some, least = rows[chosen], PURITY * rows.shape[1]
    return bool(np.abs(some @ rows[first]).min() >= least and np.abs(some @ some.T).min() >= least)
