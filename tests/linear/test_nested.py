"""Nested cross-validation: nothing of a person leaks into the model that predicts that person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.errors import ConfigError, InputError
from hapsight.least_squares import residualise
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import Predictors, make_folds
from hapsight.linear.methods import Blup, ElasticNet, method_named
from hapsight.linear.nested import (
    GeneStatus,
    fit_held_out,
    fit_together,
    haplotype_differences,
    require_people,
)
from tests.linear.cohort import simulated_dosage, simulated_gene


def net(inner: int) -> ElasticNet:
    return ElasticNet(ElasticNetOptions(inner=inner))


SMALL = ElasticNet(ElasticNetOptions(n_lambdas=20, inner=5, thresh=1e-6))


def gene(seed: int = 1, n: int = 100, noise: float = 0.5) -> tuple[np.ndarray, ...]:
    dosage, expression, _ = simulated_gene(60, n, seed, noise)
    rng = np.random.default_rng(seed)
    covariates = rng.normal(size=(n, 4))
    return dosage, expression + covariates @ rng.normal(size=4), covariates, make_folds(n, 5, rng)


@given(st.integers(2, 200), st.integers(1, 12), st.integers(0, 2**32))
def test_folds_are_balanced_and_repeatable(n: int, k: int, seed: int) -> None:
    k = min(n, k)
    folds = make_folds(n, k, np.random.default_rng(seed))
    sizes = np.bincount(folds, minlength=k)
    assert sizes.sum() == n
    assert len(sizes) == k
    assert np.ptp(sizes) <= 1
    np.testing.assert_array_equal(folds, make_folds(n, k, np.random.default_rng(seed)))


def test_folds_are_shuffled() -> None:
    assert make_folds(50, 5, np.random.default_rng(1)).tolist() != (np.arange(50) % 5).tolist()


def test_more_folds_than_people_are_refused() -> None:
    said = r"cannot be divided[\s\S]*1 to 3 folds[\s\S]*got: 4[\s\S]*outer_folds and inner_folds"
    with pytest.raises(ConfigError, match=said):
        make_folds(3, 4, np.random.default_rng(0))


def test_residuals_equal_the_normal_equations_of_the_training_people() -> None:
    rng = np.random.default_rng(3)
    y, c = rng.normal(size=30), rng.normal(size=(30, 3)) * [1, 1e6, 1e-6]
    train, test = residualise(y[:20], c[:20], y[20:], c[20:])
    design = np.column_stack([np.ones(30), c])
    scaled = design / np.abs(design).max(axis=0)
    b = np.linalg.solve(scaled[:20].T @ scaled[:20], scaled[:20].T @ y[:20])
    np.testing.assert_allclose(np.concatenate([train, test]), y - scaled @ b, atol=1e-10)
    assert np.abs(design[:20].T @ train / np.abs(design).max(axis=0)).max() < 1e-9


def test_without_covariates_only_the_training_mean_is_subtracted() -> None:
    train, test = residualise(np.array([1.0, 3.0]), None, np.array([10.0]), None)
    assert train == pytest.approx([-1.0, 1.0])
    assert test == pytest.approx([8.0])


def test_too_many_covariates_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"leave nothing[\s\S]*at most 7 covariates for 10[\s\S]*got: 9"):
        residualise(rng.normal(size=10), rng.normal(size=(10, 9)), np.zeros(1), np.zeros((1, 9)))


def test_planted_effects_are_predicted() -> None:
    fit = fit_held_out(*gene(), 7, SMALL)
    assert fit.status == GeneStatus.OK
    assert np.nanmean(fit.fold_r) > 0.6
    assert fit.n_nonzero == np.count_nonzero(fit.weights) > 0
    for k in range(5):
        held_out = fit.fold == k
        r = np.corrcoef(fit.observed[held_out], fit.predicted[held_out])[0, 1]
        assert fit.fold_r[k] == pytest.approx(r)


def test_a_person_changes_nothing_in_the_model_that_predicts_that_person() -> None:
    dosage, expression, covariates, folds = gene()
    person = int(np.flatnonzero(folds == 2)[0])
    one = fit_held_out(dosage, expression, covariates, folds, 7, SMALL)
    altered = expression.copy()
    altered[person] += 50.0
    other = fit_held_out(dosage, altered, covariates, folds, 7, SMALL)
    same = folds == 2
    np.testing.assert_array_equal(one.predicted[same], other.predicted[same])
    assert one.fold_lambda[2] == other.fold_lambda[2]
    assert one.observed[person] + 50.0 == pytest.approx(other.observed[person])
    assert not np.array_equal(one.predicted[~same], other.predicted[~same])
    dosage, covariates = dosage.copy(), covariates.copy()
    dosage[:, person], covariates[person] = 2 - dosage[:, person], 9.0
    third = fit_held_out(dosage, expression, covariates, folds, 7, SMALL)
    others = same & (np.arange(len(folds)) != person)
    np.testing.assert_array_equal(one.predicted[others], third.predicted[others])
    np.testing.assert_array_equal(one.observed[others], third.observed[others])


def test_permuted_expression_is_not_predicted() -> None:
    rng = np.random.default_rng(11)
    dosage = simulated_dosage(60, 100, rng)
    r = []
    for seed in range(16):
        fit = fit_held_out(dosage, rng.normal(size=100), None, make_folds(100, 5, rng), seed, SMALL)
        r.extend(fit.fold_r[np.isfinite(fit.fold_r)])
    assert len(r) > 20
    assert abs(np.mean(r)) < 4 * np.std(r) / np.sqrt(len(r))


def test_the_same_seed_gives_the_same_and_another_does_not() -> None:
    one, again, other = (fit_held_out(*gene(noise=3.0), seed, SMALL) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.predicted, again.predicted)
    np.testing.assert_array_equal(one.weights, again.weights)
    assert not np.array_equal(one.fold_lambda, other.fold_lambda)


def test_final_weights_predict_on_the_scale_of_alt_alleles() -> None:
    dosage, expression, covariates, folds = gene(noise=0.01)
    fit = fit_held_out(dosage, expression, covariates, folds, 7, SMALL)
    residuals, _ = residualise(expression, covariates, expression, covariates)
    predicted = fit.intercept + fit.weights @ dosage
    assert np.corrcoef(predicted, residuals)[0, 1] > 0.98
    assert predicted.mean() == pytest.approx(residuals.mean(), abs=1e-9)


def test_statuses() -> None:
    dosage, expression, covariates, folds = gene()
    noise = np.random.default_rng(11).normal(size=100)
    assert fit_held_out(dosage[:0], expression, covariates, folds, 1, SMALL).status == "no_variants"
    assert fit_held_out(dosage * 0, expression, covariates, folds, 1, SMALL).status == "no_variants"
    constant = fit_held_out(dosage, np.full(100, 0.3), covariates, folds, 1, SMALL)
    assert constant.status == "constant_expression"
    assert np.isnan(constant.fold_r).all()
    assert np.isnan(constant.final_lambda)
    nothing = fit_held_out(dosage, noise, None, folds, 1, SMALL)
    assert nothing.status == "no_model"
    assert np.isnan(nothing.fold_r).all()


@pytest.mark.parametrize(
    ("method", "folds", "cure", "right"),
    [
        (Blup(), 3, "of random folds, outer_folds = 6", (Blup(), 6)),
        (net(5), 3, "inner_folds = 4", (net(4), 3)),
        (net(5), 3, "outer_folds = 6", (net(5), 6)),
        (net(6), 3, "inner_folds = 4; or no such method in `methods`", (net(4), 3)),
    ],
)
def test_what_leaves_enough_people_is_told_and_true(method, folds, cure, right) -> None:
    with pytest.raises(ConfigError) as error:
        require_people(np.arange(12) % folds, method)
    assert cure in error.value.details["to mend"]
    require_people(np.arange(12) % right[1], right[0])


def test_population_folds_have_no_cure_of_random_ones() -> None:
    with pytest.raises(ConfigError, match=r"to mend: under \[baseline\], no such method in"):
        require_people(np.array([0] * 9 + [1]), Blup())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"expression": np.full(100, np.nan)}, InputError, r"The expression has a value that is missing"),
        (
            {"dosage": np.full((3, 100), 3)},
            InputError,
            r"dosage\[0, 0\][\s\S]*0 to 2[\s\S]*3 \(and 299 more\)",
        ),
        ({"dosage": np.ones((3, 99))}, InputError, r"\(3, 100\)[\s\S]*got: \(3, 99\)"),
        ({"covariates": np.ones((99, 2))}, InputError, r"\(100, 2\)"),
        ({"covariates": np.full((100, 2), np.inf)}, InputError, r"covariates\[0, 0\]"),
        ({"outer_folds": np.zeros(99, int)}, InputError, r"\(100,\)[\s\S]*got: \(99,\)"),
        ({"outer_folds": np.arange(100) % 4 * 4 // 3}, ConfigError, r"0 to 4[\s\S]*got: \[0, 1, 2, 4\]"),
        (
            {"outer_folds": np.minimum(np.arange(100), 4)},
            ConfigError,
            r"too few people to learn from[\s\S]*at least 10[\s\S]*got: 4 of 100",
        ),
        ({"rng_seed": -1}, ConfigError, r"seed[\s\S]*got: -1"),
        (
            {"method": ElasticNet(ElasticNetOptions(inner=41))},
            ConfigError,
            r"at least 82 people[\s\S]*got: 80 of 100",
        ),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], error: type[Exception], message: str) -> None:
    dosage, expression, covariates, folds = gene()
    good = {
        "dosage": dosage,
        "expression": expression,
        "covariates": covariates,
        "outer_folds": folds,
        "rng_seed": 1,
        "method": SMALL,
    }
    with pytest.raises(error, match=message):
        fit_held_out(**{**good, **change})


def test_differences_between_haplotypes_are_those_of_the_other_folds_weights() -> None:
    rng = np.random.default_rng(5)
    alleles = (rng.random((40, 100, 2)) < 0.3).astype(np.uint8)
    dosage = alleles.sum(axis=2).astype(np.float64)
    covariates, folds = rng.normal(size=(100, 2)), make_folds(100, 5, rng)
    expression = dosage[:3].sum(axis=0) + 0.5 * rng.normal(size=100) + covariates @ [1.0, -1.0]
    found = haplotype_differences(dosage, alleles, expression, covariates, folds, 3, SMALL)
    for k in range(5):
        test = folds == k
        outcome, _ = residualise(expression[~test], covariates[~test], expression[test], covariates[test])
        shown = Predictors.of(dosage[:, ~test], SMALL.min_maf)
        model = SMALL.fit(shown, outcome, np.random.default_rng((3, k)))
        first, second = (model.predict(alleles[:, test, side].astype(np.float64)) for side in (0, 1))
        np.testing.assert_allclose(found[test], first - second, atol=1e-12)
    both = fit_held_out(dosage, expression, covariates, folds, 3, SMALL)
    truth = alleles[:3, :, 0].sum(axis=0).astype(float) - alleles[:3, :, 1].sum(axis=0)
    assert np.corrcoef(found, truth)[0, 1] > 0.9
    assert np.corrcoef(both.predicted, both.observed)[0, 1] > 0.7


def test_methods_that_share_predictors_find_what_each_finds_alone() -> None:
    dosage, expression, covariates, folds = gene()
    methods = [method_named(name, SMALL.options) for name in ("elastic_net", "blup", "top_snp")]
    methods.append(method_named("top_snp", replace(SMALL.options, min_maf=0.45)))
    together = fit_together(dosage, expression, covariates, folds, 7, [[one] * 6 for one in methods])
    for found, method in zip(together, methods, strict=True):
        alone = fit_held_out(dosage, expression, covariates, folds, 7, method)
        assert (found.status, found.final_lambda, found.intercept) == (
            alone.status,
            alone.final_lambda,
            alone.intercept,
        ) or np.isnan(alone.final_lambda)
        for name in ("observed", "predicted", "fold", "fold_r", "fold_lambda", "weights"):
            np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
    assert len({found.predicted.tobytes() for found in together}) == len(methods)
