"""The choice of lambda against the slow twin and against R glmnet's stored answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hapsight.errors import ConfigError, InputError
from hapsight.least_squares import distinct_rows
from hapsight.linear.elastic_net import ElasticNetOptions, fit_cross_validated, lambda_ladder, shared_penalty
from hapsight.linear.paths import lockstep_paths
from tests.linear.cohort import simulated_gene
from tests.linear.naive import elastic_net, squared_errors

GOLDEN = Path(__file__).with_name("data")
COEFFICIENTS = {"simulated": 2e-3, "chr22": 1e-2}  # glmnet is slow to share among identical columns
EXACT = ElasticNetOptions(min_maf=0.0, thresh=1e-12, patience=100)


def test_cross_validation_equals_the_slow_twin() -> None:
    dosage, outcome, fold = simulated_gene(45, 40, seed=2, noise=2.0)
    options = ElasticNetOptions(min_maf=0.0, thresh=1e-14, n_lambdas=5, patience=5)
    fit = fit_cross_validated(dosage.astype(float), outcome, fold % 3, options)
    errors = squared_errors(dosage, outcome, fold % 3, fit.lambdas, 0.5)
    np.testing.assert_allclose(fit.squared_error, errors, rtol=1e-4)
    assert fit.lambda_min == fit.lambdas[np.argmin(errors)]
    weights, intercept = elastic_net(dosage, outcome, fit.lambda_min, 0.5)
    expected = intercept + weights @ dosage
    np.testing.assert_allclose(fit.predict(dosage.astype(float)), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["simulated", "chr22"])
@pytest.mark.parametrize("thresh", [1e-10, 1e-7])
def test_glmnet_gives_the_same(name: str, thresh: float) -> None:
    golden = np.load(GOLDEN / f"glmnet_{name}.npz")
    dosage, outcome = golden["dosage"].astype(float), golden["outcome"]
    options = ElasticNetOptions(min_maf=0.0, thresh=thresh, patience=100)
    fit = fit_cross_validated(dosage, outcome, golden["fold"], options)
    loose = 2.0 if thresh < 1e-9 else 30.0
    size = outcome.std()
    np.testing.assert_allclose(fit.lambdas, golden["lambdas"], rtol=1e-10)
    np.testing.assert_allclose(fit.squared_error, golden["error"], rtol=5e-4 * loose)
    assert fit.lambda_min == pytest.approx(golden["chosen"][0])
    np.testing.assert_allclose(fit.predict(dosage), golden["predicted"][0], atol=5e-4 * loose * size)


@pytest.mark.parametrize("name", ["simulated", "chr22"])
def test_glmnet_gives_the_same_along_the_path(name: str) -> None:
    golden = np.load(GOLDEN / f"glmnet_{name}.npz")
    dosage, outcome = golden["dosage"].astype(float), golden["outcome"]
    distinct = distinct_rows(dosage)
    rows = dosage[distinct.first] - dosage[distinct.first].mean(axis=1, keepdims=True)
    ladder = lambda_ladder(100, len(outcome), len(dosage))
    penalty = shared_penalty(distinct, np.ones(len(dosage)), 0.5)
    nobody = np.zeros((1, len(outcome)), np.bool_)
    _, slopes, _, _ = lockstep_paths(rows, penalty.pieces, outcome, nobody, ladder, 0.5, 1e-13, 100)
    size = dosage.std(axis=1) / outcome.std()
    for mine, judge in zip(slopes[::9], golden["coefficients"][:, 1:], strict=True):
        weights = penalty.spread(mine, size[distinct.first])
        np.testing.assert_allclose(weights * size, judge * size, atol=COEFFICIENTS[name])
        np.testing.assert_allclose(
            mine @ rows, judge @ dosage - np.mean(judge @ dosage), atol=2e-3 * outcome.std()
        )


def test_ladder_goes_down_as_far_as_glmnets() -> None:
    assert lambda_ladder(100, 50, 51)[[0, -1]].tolist() == pytest.approx([1.0, 0.01])
    assert lambda_ladder(100, 50, 50)[-1] == pytest.approx(1e-4)


def test_rare_variants_take_no_part() -> None:
    dosage, outcome, fold = simulated_gene(30, 100, seed=7)
    dosage[5] = 0
    dosage[5, :3] = 1
    outcome = outcome + 20.0 * dosage[5]
    common = fit_cross_validated(dosage.astype(float), outcome, fold, ElasticNetOptions(min_maf=0.02))
    all_of_them = fit_cross_validated(dosage.astype(float), outcome, fold, ElasticNetOptions(min_maf=0.0))
    assert common.weights[5] == 0.0
    assert all_of_them.weights[5] != 0.0


def test_at_the_first_lambda_there_is_no_model_and_no_rounding_of_one() -> None:
    """No slope differs from 0 there; one of 1e-17 would be a model, with an R of its own in every fold."""
    options, fold = ElasticNetOptions(n_lambdas=20, patience=5), np.arange(60) % 5
    empty = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        dosage, outcome = rng.integers(0, 3, (20, 60)).astype(np.uint8), rng.normal(size=60)
        fit = fit_cross_validated(dosage, outcome - outcome.mean(), fold, options)
        if fit.lambda_min == fit.lambdas[0]:
            empty += 1
            assert not fit.weights.any()
            assert np.ptp(fit.predict(dosage)) == 0.0
    assert empty > 3


@pytest.mark.parametrize(
    ("dosage", "outcome"),
    [
        (np.ones((3, 30)), np.arange(30.0)),
        (np.empty((0, 30)), np.arange(30.0)),
        (np.arange(30.0)[None] % 3, np.full(30, 7.5)),
        (np.arange(30.0)[None] % 3, np.eye(30)[4]),
    ],
    ids=["no variation", "no variant", "constant outcome", "constant without one fold"],
)
def test_without_variation_the_fit_is_the_mean(dosage: np.ndarray, outcome: np.ndarray) -> None:
    fit = fit_cross_validated(dosage, outcome, np.arange(30) % 10, EXACT)
    assert np.isnan(fit.lambda_min)
    assert not fit.weights.any()
    np.testing.assert_allclose(fit.predict(dosage), outcome.mean())


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_of_the_outcome_do_not_matter(scale: float) -> None:
    dosage, outcome, fold = simulated_gene(40, 60, seed=8)
    one = fit_cross_validated(dosage.astype(float), outcome, fold, ElasticNetOptions())
    other = fit_cross_validated(dosage.astype(float), outcome * scale, fold, ElasticNetOptions())
    assert other.lambda_min == pytest.approx(one.lambda_min * scale)
    np.testing.assert_allclose(other.weights, one.weights * scale, rtol=1e-6, atol=1e-12 * scale)


def test_a_descent_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        return np.empty(0), np.empty((0, 40)), np.empty((0, 60)), False

    monkeypatch.setattr("hapsight.linear.elastic_net.lockstep_paths", never)
    dosage, outcome, fold = simulated_gene(40, 60, seed=8)
    with pytest.raises(InputError, match=r"did not converge[\s\S]*40 variants, 60 people[\s\S]*raise thresh"):
        fit_cross_validated(dosage.astype(float), outcome, fold, ElasticNetOptions())


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("alpha", 0.0, "above 0 and at most 1"),
        ("n_lambdas", 1, "2 or more"),
        ("outer", 1, "2 or more folds"),
        ("inner", 2, "3 or more folds"),
        ("min_maf", 0.5, "from 0 to below 0.5"),
        ("thresh", 0.0, "above 0 and at most 0.001"),
        ("patience", 0, "1 or more lambdas"),
    ],
)
def test_options_that_make_no_sense_are_refused(option: str, value: float, expected: str) -> None:
    with pytest.raises(ConfigError, match=rf"this {option}\.[\s\S]*{expected}[\s\S]*got: {value}"):
        ElasticNetOptions(**{option: value})
