"""SuSiE and single effects against twins that enumerate, and BLUP with prior variances against ridge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hapsight.errors import InputError
from hapsight.linear import informed
from hapsight.linear.informed import VARIANCES, fit_susie, log_bayes_factors, single_effect
from hapsight.linear.predictors import Predictors, fit_blup
from tests.linear.cohort import simulated_dosage


def gene(seed: int, n_variants: int = 30, people: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    dosage = simulated_dosage(n_variants, people, rng).astype(float)
    causal = np.flatnonzero(dosage.std(axis=1) > 0)[[3, 11]]
    score = np.array([0.8, -0.6]) @ dosage[causal]
    return dosage, score + rng.standard_normal(people) * score.std() + 5.0


def enumerated(slope: np.ndarray, noise: float, prior: np.ndarray) -> tuple[np.ndarray, ...]:
    """Every variant and variance by itself: a product of normals on a fine grid of effects."""
    effects = np.linspace(-6, 6, 24_001)
    weight, mean, square = (np.zeros((len(slope), len(VARIANCES))) for _ in range(3))
    for j, found in enumerate(slope):
        for k, variance in enumerate(VARIANCES):
            density = stats.norm.pdf(found, effects, noise**0.5) * stats.norm.pdf(effects, 0, variance**0.5)
            total = density.sum() * (effects[1] - effects[0])
            weight[j, k] = prior[j] * total / stats.norm.pdf(found, 0.0, noise**0.5)
            mean[j, k] = (density * effects).sum() / density.sum()
            square[j, k] = (density * effects**2).sum() / density.sum()
    weight /= weight.sum()
    return weight.sum(axis=1), (weight * mean).sum(axis=1), (weight * square).sum(axis=1)


@pytest.mark.parametrize("noise", [0.02, 0.002])
def test_a_single_effect_equals_its_slow_twin(noise: float) -> None:
    """Also where the likeliest variants come last, and where all that came before is nothing beside them."""
    contrasts = np.linalg.qr(np.column_stack([np.ones(60), np.random.default_rng(1).normal(size=(60, 4))]))[0]
    rows = contrasts[:, 1:].T * np.sqrt(60)  # each of mean 0 and mean square 1, and free of the others
    slope = np.array([0.3, -0.1, 0.0, 0.5])
    prior = np.array([0.2, 0.4, 0.3, 0.1])
    found = single_effect(rows, slope @ rows, noise, np.log(prior))
    inclusion, mean, square = enumerated(slope, noise, prior)
    np.testing.assert_allclose(found.inclusion, inclusion, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.square, square, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.prediction, found.mean @ rows, atol=1e-12)


def test_bayes_factors_are_ratios_of_densities() -> None:
    slope = np.array([0.3, 0.0])
    alone = stats.norm.logpdf(slope, 0.0, 0.02**0.5)
    for k, variance in enumerate(VARIANCES):
        with_effect = stats.norm.logpdf(slope, 0.0, (0.02 + variance) ** 0.5)
        np.testing.assert_allclose(log_bayes_factors(slope, 0.02)[:, k], with_effect - alone)


def slow_effect(slope: np.ndarray, noise: float, log_prior: np.ndarray) -> tuple[np.ndarray, ...]:
    """Posterior mean and mean square of one effect, over all variants and variances at once."""
    weight = np.exp(log_bayes_factors(slope, noise) + log_prior[:, None])
    shrinkage = VARIANCES / (VARIANCES + noise)
    mean = slope[:, None] * shrinkage
    weight /= weight.sum()
    return (weight * mean).sum(axis=1), (weight * (mean**2 + noise * shrinkage)).sum(axis=1)


def slow_susie(dosage: np.ndarray, outcome: np.ndarray, log_prior: np.ndarray, sweeps: int) -> np.ndarray:
    """The same sum of effects, every part computed anew from all effects each time."""
    rows = (dosage - dosage.mean(axis=1, keepdims=True)) / dosage.std(axis=1, keepdims=True)
    y, n, noise = (outcome - outcome.mean()) / outcome.std(), len(outcome), 1.0
    means, squares = (np.zeros((informed.EFFECTS, len(rows))) for _ in range(2))
    for _ in range(sweeps):
        for place in range(informed.EFFECTS):
            others = sum(means[other] @ rows for other in range(informed.EFFECTS) if other != place)
            slope = np.array([row @ (y - others) / (row @ row) for row in rows])
            means[place], squares[place] = slow_effect(slope, noise / n, log_prior)
        residual = ((y - sum(means) @ rows) ** 2).sum()
        for mean, square in zip(means, squares, strict=True):
            residual += sum(square * (rows**2).sum(axis=1)) - ((mean @ rows) ** 2).sum()
        noise = residual / n
    weights: np.ndarray = np.sum(means, axis=0) * outcome.std() / dosage.std(axis=1)
    return weights


def slow_ridge(dosage: np.ndarray, outcome: np.ndarray, variances: np.ndarray, penalty: float) -> np.ndarray:
    """Weights of BLUP by a system of equations, one for each variant."""
    spread = dosage.std(axis=1)
    rows = (dosage - dosage.mean(axis=1, keepdims=True)) / spread[:, None]
    ridge = rows @ rows.T + np.diag(penalty * variances.sum() / variances)
    weights: np.ndarray = np.linalg.solve(ridge, rows @ (outcome - outcome.mean())) / spread
    return weights


def test_the_sum_of_effects_equals_its_slow_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informed, "_SWEEPS", 6)
    monkeypatch.setattr(informed, "_STILL", 0.0)
    dosage, outcome = gene(1)
    dosage = dosage[dosage.std(axis=1) > 0]
    prior = np.random.default_rng(2).standard_normal(len(dosage))
    fit = fit_susie(Predictors.of(dosage, 0.0), outcome, prior)
    np.testing.assert_allclose(fit.weights, slow_susie(dosage, outcome, prior, 6), atol=1e-10)
    np.testing.assert_allclose(fit.predict(dosage).mean(), outcome.mean())


def test_copies_and_complements_share_as_if_each_were_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informed, "_SWEEPS", 4)
    monkeypatch.setattr(informed, "_STILL", 0.0)
    dosage, outcome = gene(9)
    dosage = dosage[dosage.std(axis=1) > 0]
    dosage = np.vstack([dosage, dosage[:5], 2.0 - dosage[3:8]])
    log_prior, variances = np.random.default_rng(2).standard_normal((2, len(dosage)))
    log_prior[-1] = -900.0  # a share of nothing
    predictors = Predictors.of(dosage, 0.0)
    assert len(predictors.rows) <= len(dosage) - 10
    fit = fit_susie(predictors, outcome, log_prior)
    np.testing.assert_allclose(fit.weights, slow_susie(dosage, outcome, log_prior, 4), atol=1e-10)
    blup = fit_blup(predictors, outcome, variances**2)
    np.testing.assert_allclose(
        blup.weights, slow_ridge(dosage, outcome, variances**2, blup.penalty), atol=1e-9
    )


def test_causal_variants_are_found_and_a_prior_decides_between_equals() -> None:
    dosage, outcome = gene(3, people=600)
    varied = np.flatnonzero(dosage.std(axis=1) > 0)
    flat = np.zeros(len(dosage))
    fit = fit_susie(Predictors.of(dosage, 0.01), outcome, flat)
    assert set(np.argsort(-fit.inclusion)[:2]) == set(varied[[3, 11]])
    twice = np.vstack([dosage, dosage[varied[3]]])
    prior = np.append(flat, np.log(4.0))
    shared = fit_susie(Predictors.of(twice, 0.01), outcome, prior).weights
    assert shared[-1] == pytest.approx(4.0 * shared[varied[3]])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.1, 10.0))
def test_weights_follow_the_units_of_the_outcome(seed: int, factor: float) -> None:
    dosage, outcome = gene(seed)
    prior = np.random.default_rng(seed).standard_normal(len(dosage))
    predictors = Predictors.of(dosage, 0.01)
    one, other = (fit_susie(predictors, y, prior) for y in (outcome, -factor * outcome + 1.0))
    np.testing.assert_allclose(other.weights, -factor * one.weights, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(other.inclusion, one.inclusion, rtol=1e-6)
    shifted = fit_susie(predictors, outcome, prior + 7.0)
    np.testing.assert_allclose(shifted.weights, one.weights, rtol=1e-6)


def test_nothing_to_learn_is_the_mean() -> None:
    dosage, outcome = gene(4)
    for rows, y in ((np.ones_like(dosage), outcome), (dosage, np.full_like(outcome, 3.0))):
        fit = fit_susie(Predictors.of(rows, 0.01), y, np.zeros(len(rows)))
        assert not fit.weights.any()
        assert not fit.inclusion.any()
        assert fit.intercept == pytest.approx(y.mean())


def test_a_missing_prior_is_refused() -> None:
    dosage, outcome = gene(5)
    with pytest.raises(
        InputError, match=r"prior of every variant[\s\S]*30 finite numbers[\s\S]*1 not finite"
    ):
        fit_susie(Predictors.of(dosage, 0.01), outcome, np.append(np.zeros(29), np.nan))


def test_blup_with_prior_variances_is_ridge_with_their_inverses() -> None:
    dosage, outcome = gene(6)
    dosage = dosage[dosage.std(axis=1) > 0]
    variances = np.random.default_rng(7).exponential(size=len(dosage))
    fit = fit_blup(Predictors.of(dosage, 0.0), outcome, variances)
    assert np.isfinite(fit.penalty)
    slow = slow_ridge(dosage, outcome, variances, fit.penalty)
    np.testing.assert_allclose(fit.weights, slow, rtol=1e-6, atol=1e-9)


def test_blup_with_equal_variances_is_blup() -> None:
    dosage, outcome = gene(8)
    predictors = Predictors.of(dosage, 0.01)
    one, other = fit_blup(predictors, outcome), fit_blup(predictors, outcome, np.full(len(dosage), 0.3))
    np.testing.assert_allclose(other.weights, one.weights, rtol=1e-6, atol=1e-9)
