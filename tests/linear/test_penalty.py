"""Penalty factors against a slow twin that merges nothing, and against R glmnet's stored answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.errors import InputError
from hapsight.least_squares import distinct_rows
from hapsight.linear.elastic_net import (
    ElasticNetOptions,
    fit_cross_validated,
    rescaled_factors,
    shared_penalty,
)
from tests.linear.cohort import simulated_gene
from tests.linear.naive import elastic_net, squared_errors

GOLDEN = Path(__file__).with_name("data") / "glmnet_factors.npz"


def with_copies(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A small gene with identical and complementary variants, and factors that differ among these."""
    dosage, outcome, fold = simulated_gene(14, 60, seed, noise=3.0)
    dosage = np.vstack([dosage, dosage[:6], 2 - dosage[:4], dosage[:2]]).astype(float)
    factors = np.random.default_rng(seed).choice([0.2, 0.5, 0.5, 1.0, 3.0], len(dosage))
    return dosage, outcome, fold, factors


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), alpha=st.sampled_from([0.2, 0.5]))
def test_merged_copies_equal_the_slow_twin_that_keeps_them_apart(seed: int, alpha: float) -> None:
    dosage, outcome, fold, factors = with_copies(seed)
    options = ElasticNetOptions(alpha=alpha, min_maf=0.0, thresh=1e-14, n_lambdas=8, patience=2)
    fit = fit_cross_validated(dosage, outcome, fold, options, factors)
    weights, intercept = elastic_net(dosage, outcome, fit.lambda_min, alpha, factors)
    np.testing.assert_allclose(fit.weights, weights, atol=1e-4)
    np.testing.assert_allclose(fit.intercept, intercept, atol=1e-4)


def test_cross_validation_with_factors_equals_the_slow_twin() -> None:
    dosage, outcome, fold, factors = with_copies(3)
    options = ElasticNetOptions(min_maf=0.0, thresh=1e-14, n_lambdas=5, patience=5)
    fit = fit_cross_validated(dosage, outcome, fold % 3, options, factors)
    errors = squared_errors(dosage, outcome, fold % 3, fit.lambdas[:3], 0.5, factors)
    np.testing.assert_allclose(fit.squared_error[:3], errors, rtol=1e-4)


def test_a_large_coefficient_is_shared_and_a_small_one_is_not() -> None:
    groups = distinct_rows(np.array([[0.0, 1, 2], [0, 1, 2], [2, 1, 0]]))
    penalty = shared_penalty(groups, np.array([1.0, 2.0, 4.0]), 0.5)
    # b_i = 2 u / f_i - 1 where that is above 0: u = 0.95, 1.5 and 4
    for size, shares in ((0.9, [0.9, 0, 0]), (-2.5, [-2.0, -0.5, 0]), (11.0, [7, 3, -1])):
        found = penalty.spread(np.array([size]), np.array([1.0]))
        np.testing.assert_allclose(found, np.array(shares), atol=1e-12)


def test_the_lasso_gives_all_to_the_cheapest_copies() -> None:
    dosage, outcome, fold, factors = with_copies(5)
    fit = fit_cross_validated(dosage, outcome, fold, ElasticNetOptions(alpha=1.0, min_maf=0.0), factors)
    groups = distinct_rows(dosage)
    for group in range(len(groups.first)):
        same = groups.group == group
        cheapest = factors[same] == factors[same].min()
        assert not fit.weights[same][~cheapest].any()
        assert np.ptp((fit.weights * groups.sign)[same][cheapest]) == 0.0


@pytest.mark.parametrize("factor", [1.0, 0.25, 40.0])
def test_equal_factors_are_no_factors(factor: float) -> None:
    dosage, outcome, fold = simulated_gene(120, 60, seed=4)
    given_, without = (
        fit_cross_validated(dosage.astype(float), outcome, fold, ElasticNetOptions(), factors)
        for factors in (np.full(120, factor), None)
    )
    np.testing.assert_array_equal(given_.weights, without.weights)
    np.testing.assert_array_equal(given_.squared_error, without.squared_error)


def test_glmnet_gives_the_same_with_penalty_factors() -> None:
    golden = np.load(GOLDEN)
    dosage, outcome = golden["dosage"].astype(float), golden["outcome"]
    options = ElasticNetOptions(min_maf=0.0, thresh=1e-10, patience=100)
    fit = fit_cross_validated(dosage, outcome, golden["fold"], options, golden["factors"])
    np.testing.assert_allclose(fit.lambdas, golden["lambdas"], rtol=1e-10)
    np.testing.assert_allclose(fit.squared_error, golden["error"], rtol=1e-3)
    assert fit.lambda_min == pytest.approx(golden["chosen"][0])
    np.testing.assert_allclose(fit.predict(dosage), golden["predicted"][0], atol=1e-3 * outcome.std())


@pytest.mark.parametrize("bad", [0.0, -1.0, 1e-9, np.nan, np.inf])
def test_a_variant_that_is_not_penalised_is_refused(bad: float) -> None:
    with pytest.raises(InputError, match=r"factor is too small[\s\S]*factors\[2\][\s\S]*1e-08 of their mean"):
        rescaled_factors(np.array([1.0, 1.0, bad, 1.0]))


def test_factors_have_mean_one_among_the_variants_that_take_part() -> None:
    assert rescaled_factors(np.array([1.0, 3.0])).tolist() == [0.5, 1.5]
