"""Every linear method against its slow twin, and against data without effect."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.linear_model import LinearRegression, Ridge

from hapsight.errors import ConfigError
from hapsight.linear import predictors
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import Predictors, make_folds, population_folds, usable_variants
from hapsight.linear.methods import METHODS, ElasticNet, method_named
from hapsight.linear.nested import fit_held_out
from hapsight.linear.predictors import fit_blup, fit_top_snp
from hapsight.stats.heritability import Likelihood
from tests.linear.cohort import simulated_dosage, simulated_gene

SMALL = ElasticNetOptions(n_lambdas=20, inner=5, thresh=1e-6)


def reml_ratio(dosage: np.ndarray, outcome: np.ndarray) -> float:
    """Residual over genetic variance by whole matrices: the likelihood of contrasts free of the mean."""
    n = len(outcome)
    z = (dosage - dosage.mean(axis=1, keepdims=True)) / dosage.std(axis=1, keepdims=True)
    contrasts = np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, 1:]]))[0][:, 1:]

    def deviance(log_ratio: float) -> float:
        covariance = contrasts.T @ (z.T @ z / len(z) + np.exp(log_ratio) * np.eye(n)) @ contrasts
        y = contrasts.T @ outcome
        scale = y @ np.linalg.solve(covariance, y) / (n - 1)
        return float((n - 1) * np.log(scale) + np.linalg.slogdet(covariance)[1])

    grid = np.linspace(-6, 8, 141)
    start = grid[np.argmin([deviance(x) for x in grid])]
    found = optimize.minimize_scalar(deviance, bounds=(start - 0.2, start + 0.2), method="bounded")
    return float(np.exp(found.x))


@pytest.mark.parametrize(("n_variants", "n"), [(150, 60), (25, 60)])
def test_blup_is_ridge_with_the_ratio_of_reml(n_variants: int, n: int) -> None:
    dosage, outcome, _ = simulated_gene(n_variants, n, 5)
    dosage = dosage[np.ptp(dosage, axis=1) > 0].astype(float)
    found = fit_blup(Predictors.of(dosage, 0.0), outcome)
    ratio = reml_ratio(dosage, outcome)
    assert found.penalty == pytest.approx(ratio, rel=1e-3)
    z = (dosage - dosage.mean(axis=1, keepdims=True)) / dosage.std(axis=1, keepdims=True)
    twin = Ridge(alpha=found.penalty * len(dosage)).fit(z.T, outcome)
    np.testing.assert_allclose(found.predict(dosage), twin.predict(z.T), atol=1e-8)
    np.testing.assert_allclose(found.weights * dosage.std(axis=1), twin.coef_, atol=1e-8)


def test_blup_finds_nothing_where_reml_finds_nothing() -> None:
    dosage, _, _ = simulated_gene(200, 80, 3)
    predictors = Predictors.of(dosage, 0.01)
    ratios = [fit_blup(predictors, y).penalty for y in np.random.default_rng(2).normal(size=(30, 80))]
    assert 5 < np.isinf(ratios).sum() < 25  # about half: the estimate is on the bound
    nothing = fit_blup(predictors, np.ones(80))
    assert not nothing.weights.any()
    assert nothing.intercept == 1.0


def test_blup_uses_an_outcome_without_noise_as_far_as_it_may() -> None:
    dosage = np.random.default_rng(1).integers(0, 3, (10, 50)).astype(float)
    outcome = np.random.default_rng(2).normal(size=10) @ dosage
    assert np.corrcoef(fit_blup(Predictors.of(dosage, 0.0), outcome).predict(dosage), outcome)[0, 1] > 0.9999


@pytest.mark.parametrize("seed", range(4))
def test_top_snp_is_the_best_of_all_regressions(seed: int) -> None:
    dosage, outcome, _ = simulated_gene(40, 50, seed)
    dosage = dosage.astype(float)
    found = fit_top_snp(Predictors.of(dosage, 0.05), outcome)
    usable = np.flatnonzero(usable_variants(dosage, 0.05))
    scores = [LinearRegression().fit(dosage[[v]].T, outcome).score(dosage[[v]].T, outcome) for v in usable]
    best = usable[int(np.argmax(scores))]
    twin = LinearRegression().fit(dosage[[best]].T, outcome)
    assert np.count_nonzero(found.weights) == 1
    np.testing.assert_allclose(found.predict(dosage), twin.predict(dosage[[best]].T), atol=1e-10)
    assert found.intercept == pytest.approx(float(twin.intercept_))


def test_the_lasso_is_the_elastic_net_at_alpha_1() -> None:
    dosage, outcome, _ = simulated_gene(40, 50, 3)
    shown = Predictors.of(dosage.astype(float), SMALL.min_maf)
    lasso, rng = method_named("lasso", SMALL), np.random.default_rng
    same = ElasticNet(ElasticNetOptions(alpha=1.0, n_lambdas=20, inner=5, thresh=1e-6))
    one, other = (m.fit(shown, outcome, rng(1)) for m in (lasso, same))
    np.testing.assert_array_equal(one.weights, other.weights)
    net = method_named("elastic_net", SMALL).fit(shown, outcome, rng(1))
    assert 0 < np.count_nonzero(one.weights) < np.count_nonzero(net.weights)


@pytest.mark.parametrize("name", METHODS)
def test_a_person_changes_nothing_in_what_is_learned_from_the_others(name: str) -> None:
    dosage, expression, _ = simulated_gene(60, 100, 1, 0.5)
    rng = np.random.default_rng(1)
    covariates, folds = rng.normal(size=(100, 4)), make_folds(100, 5, rng)
    method = method_named(name, SMALL)
    one = fit_held_out(dosage, expression, covariates, folds, 7, method)
    assert one.status == "ok"
    assert np.nanmean(one.fold_r) > 0.5
    altered = expression.copy()
    altered[folds == 2] += rng.normal(size=(folds == 2).sum()) * 50
    other = fit_held_out(dosage, altered, covariates, folds, 7, method)
    np.testing.assert_array_equal(one.predicted[folds == 2], other.predicted[folds == 2])
    assert not np.allclose(one.predicted[folds != 2], other.predicted[folds != 2])


@pytest.mark.parametrize("name", METHODS)
def test_without_effect_the_held_out_r_is_null(name: str) -> None:
    """One held-out fold at a time: what is predicted there is independent of what it is compared with.

    R over all folds together is not judged: a pair of people in two folds counts in both, so R spreads more
    than that of independent predictions; and methods that may find nothing lean to the negative in the rest.
    """
    rng, method = np.random.default_rng(5), method_named(name, SMALL)
    folds, r, p = make_folds(100, 5, rng), [], []
    for seed in range(150):
        dosage = simulated_dosage(30, 100, rng)
        covariates = rng.normal(size=(100, 3))
        fit = fit_held_out(dosage, rng.normal(size=100), covariates, folds, seed, method)
        first = folds == 0
        r.extend(fit.fold_r[np.isfinite(fit.fold_r)])
        if np.isfinite(fit.fold_r[0]):
            p.append(permutation_p(fit.predicted[first], fit.observed[first], rng))
    assert len(p) > 30
    assert abs(np.mean(r)) < 4 * np.std(r) / np.sqrt(len(r))
    assert stats.kstest(p, "uniform").pvalue > 0.001


def permutation_p(
    predicted: np.ndarray, observed: np.ndarray, rng: np.random.Generator, draws: int = 199
) -> float:
    """One-sided p of the correlation when people are exchanged."""
    permuted = rng.permuted(np.tile(observed, (draws, 1)), axis=1)
    return float(
        1 + np.sum(permuted @ (predicted - predicted.mean()) >= observed @ (predicted - predicted.mean()))
    ) / (draws + 1)


def test_each_population_is_a_fold() -> None:
    folds, names = population_folds(["TSI", "CEU", "TSI", "GBR"])
    assert names == ("CEU", "GBR", "TSI")
    assert folds.tolist() == [2, 0, 2, 1]


@pytest.mark.parametrize(
    ("populations", "got"),
    [
        (["CEU", None, "TSI"], r"2 populations \(CEU, TSI\), 1 person without one"),
        (["CEU"] * 3, r"1 population \(CEU\)"),
    ],
)
def test_populations_that_cannot_be_held_out_are_refused(populations: list[str | None], got: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"held out by population[\s\S]*at least 2 populations[\s\S]*{got}"
    ):
        population_folds(populations)


def test_people_without_a_population_may_be_left_out() -> None:
    with pytest.raises(ConfigError) as error:
        population_folds(["CEU", None, "TSI"])
    assert error.value.details["to mend"].endswith('populations = ["CEU", "TSI"] there')
    assert population_folds(["CEU", "TSI"])[1] == ("CEU", "TSI")


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"no such baseline[\s\S]*elastic_net, lasso, blup, top_snp[\s\S]*got: ridge"
    ):
        method_named("ridge", SMALL)


@pytest.mark.parametrize("n_variants", [5, 40, 75])
def test_blup_from_products_of_variants_is_that_of_people(
    n_variants: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(n_variants)
    dosage = simulated_dosage(n_variants, 80, rng)
    dosage = np.vstack([dosage, dosage[:2], 2 - dosage[1:3]])
    outcome = rng.standard_normal(len(dosage)) @ dosage + 3.0 * rng.standard_normal(80)
    variances = rng.exponential(size=len(dosage))
    variances[0] = 0.0
    shown = Predictors.of(dosage, 0.0)
    assert len(shown.rows) < 80
    free = fit_blup(shown, outcome)
    best = Likelihood.best
    monkeypatch.setattr(Likelihood, "best", lambda likelihood: round(best(likelihood), 4))
    given = (None, variances)
    found = [fit_blup(shown, outcome, one) for one in given]
    monkeypatch.setattr(predictors, "_solve_variants", predictors._solve_people)
    for fit, twin in zip(found, [fit_blup(shown, outcome, one) for one in given], strict=True):
        assert fit.penalty == twin.penalty
        np.testing.assert_allclose(fit.predict(dosage), twin.predict(dosage), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(fit.weights, twin.weights, rtol=1e-8, atol=1e-8)
    monkeypatch.undo()
    monkeypatch.setattr(predictors, "_solve_variants", predictors._solve_people)
    assert free.penalty == pytest.approx(fit_blup(shown, outcome).penalty, rel=1e-5)  # as far as it is sought
