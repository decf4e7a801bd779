"""Marginal effects: against least squares one by one, and against scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hapsight.errors import InputError
from hapsight.least_squares import Design
from hapsight.stats.eqtl import CisDosage, allele_counts, half_scan, nominal_scan, strongest
from tests.stats.eqtl_naive import regression, simulated


def scan(dosage, expression, covariates=None):
    return nominal_scan(CisDosage.of(dosage, Design.of(len(expression), covariates)), expression)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_covariates=st.integers(0, 6),
    offset=st.floats(-100, 100),
    size=st.floats(0.1, 100),
)
def test_every_slope_is_that_of_least_squares_with_the_covariates(seed, n_covariates, offset, size):
    rng = np.random.default_rng(seed)
    dosage, covariates = simulated(6, 40, n_covariates, rng)
    dosage = dosage[dosage.var(axis=1) > 0]
    covariates = covariates * size + offset
    expression = offset + size * (dosage[0] + rng.standard_normal(40))
    found = scan(dosage, expression, covariates)
    for v, row in enumerate(dosage):
        twin = regression(row, expression, covariates)
        assert found.dof == twin.pop("dof") == 38 - n_covariates
        for name, value in twin.items():
            assert getattr(found, name)[v] == pytest.approx(value, rel=1e-6, abs=1e-9 * size), name


def test_without_covariates_it_is_a_simple_regression():
    rng = np.random.default_rng(3)
    dosage, _ = simulated(5, 30, 0, rng)
    expression = rng.standard_normal(30)
    found = scan(dosage, expression)
    for v, row in enumerate(dosage):
        twin = stats.linregress(row, expression)
        assert found.slope[v] == pytest.approx(twin.slope)
        assert found.slope_se[v] == pytest.approx(twin.stderr)
        assert found.r[v] == pytest.approx(twin.rvalue)
        assert found.pval_nominal[v] == pytest.approx(twin.pvalue)


def test_tiny_p_values_keep_their_digits():
    rng = np.random.default_rng(1)
    dosage, _ = simulated(1, 300, 0, rng)
    expression = dosage[0] + 0.1 * rng.standard_normal(300)
    found = scan(dosage, expression)
    assert 0 < found.pval_nominal[0] < 1e-150
    assert np.log(found.pval_nominal[0]) == pytest.approx(
        np.log(2) + stats.t.logsf(found.t[0], found.dof), rel=1e-9
    )


def test_exchanged_alleles_turn_the_slope_and_nothing_else():
    rng = np.random.default_rng(2)
    dosage, covariates = simulated(8, 50, 3, rng)
    expression = rng.standard_normal(50)
    one, other = scan(dosage, expression, covariates), scan(2 - dosage, expression, covariates)
    np.testing.assert_allclose(other.slope, -one.slope, rtol=1e-10)
    np.testing.assert_allclose(other.slope_se, one.slope_se, rtol=1e-10)
    np.testing.assert_allclose(other.pval_nominal, one.pval_nominal, rtol=1e-9)


def test_variants_that_do_not_vary_or_are_covariates_have_no_effect():
    rng = np.random.default_rng(4)
    dosage, covariates = simulated(4, 30, 2, rng)
    dosage[1] = 2
    covariates[:, 0] = 5.0 - 3.0 * dosage[2]
    found = scan(dosage, rng.standard_normal(30), covariates)
    nothing = [False, True, True, False]
    for name in ("r", "slope", "slope_se", "t", "pval_nominal"):
        assert np.isnan(getattr(found, name)).tolist() == nothing, name


def test_constant_expression_has_no_effects():
    rng = np.random.default_rng(5)
    dosage, covariates = simulated(4, 30, 2, rng)
    for expression in (np.full(30, 7.3), 4.0 + covariates @ [1.0, 2.0]):
        found = scan(dosage, expression, covariates)
        assert np.isnan(found.slope).all()
        assert strongest(found) is None
        assert not Design.of(30, covariates).residuals(expression).any()


def test_the_first_of_equal_variants_is_the_strongest():
    rng = np.random.default_rng(6)
    dosage, _ = simulated(5, 40, 0, rng)
    dosage[4], dosage[2] = dosage[1], 2 - dosage[1]
    expression = dosage[1] + 0.5 * rng.standard_normal(40)
    assert strongest(scan(dosage, expression)) == 1
    assert strongest(scan(dosage[[0, 2, 1]], expression)) == 1
    assert strongest(scan(dosage[:0], expression)) is None


def test_a_covariate_that_others_explain_costs_no_degree_of_freedom():
    rng = np.random.default_rng(7)
    dosage, covariates = simulated(3, 30, 3, rng)
    doubled = np.column_stack([covariates, covariates[:, 0] - 2 * covariates[:, 1], np.ones(30)])
    expression = rng.standard_normal(30)
    plain, same = scan(dosage, expression, covariates), scan(dosage, expression, doubled)
    assert plain.dof == same.dof == 25
    np.testing.assert_allclose(same.pval_nominal, plain.pval_nominal, rtol=1e-9)


def test_too_many_covariates_are_an_error():
    with pytest.raises(
        InputError,
        match=r"leave nothing to test[\s\S]*expected: at most 5 covariates for 8 people\s+got: 6[\s\S]*fewer",
    ):
        Design.of(8, np.random.default_rng(0).standard_normal((8, 6)))
    assert Design.of(8, np.random.default_rng(0).standard_normal((8, 5))).dof == 1


def test_copies_of_a_variant_and_of_its_other_allele_have_the_effects_that_each_has_alone():
    rng = np.random.default_rng(9)
    dosage, covariates = simulated(12, 40, 3, rng)
    dosage = np.vstack([dosage, dosage[3:6], 2 - dosage[:5], np.full((1, 40), 2)]).astype(np.uint8)
    expression = rng.standard_normal(40) + dosage[3]
    found, half = scan(dosage, expression, covariates), np.arange(40) < 25
    cis = CisDosage.of(dosage, Design.of(40, covariates))
    of_half = half_scan(dosage, expression, covariates, half, cis.distinct)
    assert len(cis.rows) < len(dosage) == len(cis.tested)
    for variant, row in enumerate(dosage):
        one = scan(row[None], expression, covariates)
        one_of_half = half_scan(row[None], expression, covariates, half)
        for name in ("r", "slope", "slope_se", "t", "pval_nominal"):
            values = [getattr(each, name)[variant] for each in (found, of_half)]
            alone = [getattr(each, name)[0] for each in (one, one_of_half)]
            np.testing.assert_allclose(values, alone, rtol=1e-9)


def test_other_covariates_for_the_same_variants():
    rng = np.random.default_rng(8)
    dosage, covariates = simulated(4, 30, 3, rng)
    design = Design.of(30, covariates)
    again = CisDosage.of(dosage, Design.of(30, None)).under(design)
    np.testing.assert_allclose(again.norm, CisDosage.of(dosage, design).norm, rtol=1e-12)


@pytest.mark.parametrize(
    ("dosage", "af", "people", "copies"),
    [
        ([0, 0, 1, 2], 0.375, 2, 3),
        ([2, 2, 1, 0], 0.625, 2, 3),
        ([1, 1, 1, 1], 0.5, 4, 4),
        ([0, 2, 2, 0], 0.5, 2, 4),
        ([0, 0, 0, 0], 0.0, 0, 0),
        ([2, 2, 2, 2], 1.0, 0, 0),
    ],
)
def test_allele_counts(dosage, af, people, copies):
    found = allele_counts(np.array([dosage], np.uint8))
    assert (found.af[0], found.ma_samples[0], found.ma_count[0]) == (af, people, copies)
