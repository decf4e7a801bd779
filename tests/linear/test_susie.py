"""SuSiE and single effects against twins that enumerate, and BLUP with prior variances against ridge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hapsight.errors import InputError
from hapsight.linear import susie
from hapsight.linear.fits import Predictors
from hapsight.linear.predictors import fit_blup
from hapsight.linear.susie import VARIANCES, fit_susie, log_bayes_factors, single_effect
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
    means, squares = (np.zeros((susie.EFFECTS, len(rows))) for _ in range(2))
    for _ in range(sweeps):
        for place in range(susie.EFFECTS):
            others = sum(means[other] @ rows for other in range(susie.EFFECTS) if other != place)
            slope = np.array([row @ (y - others) / (row @ row) for row in rows])
            means[place], squares[place] = slow_effect(slope, noise / n, log_prior)
        residual = ((y - sum(means) @ rows) ** 2).sum()
        for mean, square in zip(means, squares, strict=True):
            residual += sum(square * (rows**2).sum(axis=1)) - ((mean @ rows) ** 2).sum()
        noise = residual / n
    weights: np.ndarray = np.sum(means, axis=0) * outcome.std() / dosage.std(axis=1)
    return weights


class SlowSum:
    """The sum of effects with its ELBO, a term for every effect, variant and variance."""

    def __init__(self, rows: np.ndarray, y: np.ndarray, log_prior: np.ndarray, *start: np.ndarray) -> None:
        self.shape = (susie.EFFECTS, len(rows), len(VARIANCES))
        prior = np.exp(log_prior - log_prior.max())
        self.rows, self.y, self.prior = rows, y, prior / prior.sum() / len(VARIANCES)
        self.mean, self.noise = np.zeros(self.shape[:2]), 1.0
        if start:
            self.mean, self.noise = start[0].copy(), float(start[1])
        for _ in range(60):
            self._sweep()

    def _sweep(self) -> None:
        n, kl, squares = len(self.y), 0.0, 0.0
        self.weight = np.zeros(self.shape)
        for place in range(susie.EFFECTS):
            self.mean[place] = 0.0
            slope = self.rows @ (self.y - self.mean.sum(axis=0) @ self.rows) / n
            error = self.noise / n
            with np.errstate(divide="ignore"):
                log = np.log(self.prior)[:, None] - stats.norm.logpdf(slope, 0.0, error**0.5)[:, None]
            log = log + stats.norm.logpdf(slope[:, None], 0.0, np.sqrt(error + VARIANCES))
            weight = np.exp(log - log.max())
            weight /= weight.sum()
            variance = 1.0 / (1.0 / VARIANCES + 1.0 / error)
            centre = slope[:, None] * variance / error
            normal = 0.5 * ((variance + centre**2) / VARIANCES - 1.0 - np.log(variance / VARIANCES))
            some = weight > 0
            ratio = weight / np.where(self.prior > 0, self.prior, 1.0)[:, None]
            kl += (weight[some] * (np.log(ratio[some]) + normal[some])).sum()
            self.mean[place], self.weight[place] = (weight * centre).sum(axis=1), weight
            squares += (weight * (centre**2 + variance)).sum() - ((self.mean[place] @ self.rows) ** 2).mean()
        self.noise = float(((self.y - self.mean.sum(axis=0) @ self.rows) ** 2).mean() + squares)
        self.elbo = -0.5 * n * (np.log(2 * np.pi * self.noise) + 1.0) - kl

    def sets(self) -> set[tuple[int, ...]]:
        """Credible sets, variants added one by one."""
        found = set()
        for inclusion in self.weight.sum(axis=2):
            chosen: list[int] = []
            for j in np.argsort(-inclusion):
                if inclusion[chosen].sum() < 0.95:
                    chosen.append(int(j))
            if np.abs(np.corrcoef(self.rows[chosen])).min() >= 0.5 and len(chosen) < len(self.rows):
                found.add(tuple(sorted(chosen)))
        return found


def slow_refined(rows: np.ndarray, y: np.ndarray, log_prior: np.ndarray) -> list[SlowSum]:
    """The first fit, and each better one that restarts led to."""
    path = [SlowSum(rows, y, log_prior)]
    while True:
        again = []
        for excluded in path[-1].sets():
            others = np.where(np.isin(np.arange(len(rows)), excluded), -np.inf, log_prior)
            without = SlowSum(rows, y, others)
            again.append(SlowSum(rows, y, log_prior, without.mean, without.noise))
        best = max(again, key=lambda fit: fit.elbo, default=path[-1])
        if best.elbo <= path[-1].elbo + 1e-2:
            return path
        path.append(best)


def proxy(seed: int, people: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Two causal variants (0 and 1), and one (2) that goes with their sum.

    Of the first 100 seeds 49 have a first fit that is a lower peak; the tests take two.
    """
    rng = np.random.default_rng(seed)
    first, second = rng.binomial(2, 0.4, (2, people))
    both = np.clip((first + second + rng.normal(0, 0.4, people)) / 2, 0.0, 2.0)
    dosage = np.vstack([first, second, both, rng.binomial(2, 0.3, (5, people))]).astype(float)
    return dosage, first + second + rng.normal(0, 1.2, people)


@pytest.mark.parametrize("seed", [10, 28])
def test_restarts_find_the_variants_that_their_proxy_hides_and_equal_their_slow_twin(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(susie, "_SWEEPS", 60)
    monkeypatch.setattr(susie, "_STILL", 0.0)
    dosage, outcome = proxy(seed)
    log_prior = np.random.default_rng(seed).normal(0.0, 0.3, len(dosage))
    rows = (dosage - dosage.mean(axis=1, keepdims=True)) / dosage.std(axis=1, keepdims=True)
    path = slow_refined(rows, (outcome - outcome.mean()) / outcome.std(), log_prior)
    predictors = Predictors.of(dosage, 0.0)
    found = [fit_susie(predictors, outcome, log_prior, refine=refine) for refine in (False, True)]
    assert [fit.restarts for fit in found] == [0, len(path) - 1]
    assert found[1].elbo > found[0].elbo + 1.0
    assert found[0].inclusion[:2].max() < 0.9
    assert found[1].inclusion[:2].min() > 0.99 > found[1].inclusion[2]
    for fit, slow in zip(found, (path[0], path[-1]), strict=True):
        assert fit.elbo == pytest.approx(slow.elbo, abs=1e-8)
        effects = slow.mean.sum(axis=0) * outcome.std() / dosage.std(axis=1)
        np.testing.assert_allclose(fit.weights, effects, atol=1e-8)


def test_a_restart_that_leads_no_higher_changes_nothing() -> None:
    dosage, outcome = gene(3, people=600)
    one, other = (
        fit_susie(Predictors.of(dosage, 0.01), outcome, np.zeros(len(dosage)), refine=refine)
        for refine in (False, True)
    )
    assert other.restarts == 0
    assert other.elbo == one.elbo
    np.testing.assert_array_equal(other.weights, one.weights)
    nothing = fit_susie(Predictors.of(dosage, 0.01), np.ones(600), np.zeros(len(dosage)), refine=True)
    assert np.isnan(nothing.elbo)


def slow_ridge(dosage: np.ndarray, outcome: np.ndarray, variances: np.ndarray, penalty: float) -> np.ndarray:
    """Weights of BLUP by a system of equations, one for each variant."""
    spread = dosage.std(axis=1)
    rows = (dosage - dosage.mean(axis=1, keepdims=True)) / spread[:, None]
    ridge = rows @ rows.T + np.diag(penalty * variances.sum() / variances)
    weights: np.ndarray = np.linalg.solve(ridge, rows @ (outcome - outcome.mean())) / spread
    return weights


def test_the_sum_of_effects_equals_its_slow_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(susie, "_SWEEPS", 6)
    monkeypatch.setattr(susie, "_STILL", 0.0)
    dosage, outcome = gene(1)
    dosage = dosage[dosage.std(axis=1) > 0]
    prior = np.random.default_rng(2).standard_normal(len(dosage))
    fit = fit_susie(Predictors.of(dosage, 0.0), outcome, prior)
    np.testing.assert_allclose(fit.weights, slow_susie(dosage, outcome, prior, 6), atol=1e-10)
    np.testing.assert_allclose(fit.predict(dosage).mean(), outcome.mean())


def test_copies_and_complements_share_as_if_each_were_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(susie, "_SWEEPS", 4)
    monkeypatch.setattr(susie, "_STILL", 0.0)
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
