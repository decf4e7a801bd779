"""Gene-level p-values: slow twins, agreement of the two forms, calibration without effect."""

import numpy as np
import pytest
from scipy import stats

from hapsight.least_squares import Design
from hapsight.stats.eqtl import CisDosage, p_of_r2
from hapsight.stats.eqtl_permutations import (
    beta_approximation,
    draw_permutations,
    map_gene,
    permutation_maxima,
)
from tests.stats.eqtl_naive import largest_r2, simulated


def prepared(n_variants=30, n=60, n_covariates=4, seed=0):
    rng = np.random.default_rng(seed)
    dosage, covariates = simulated(n_variants, n, n_covariates, rng)
    design = Design.of(n, covariates)
    return dosage, covariates, design, rng


def test_maxima_are_those_of_one_regression_at_a_time():
    dosage, covariates, design, rng = prepared(n_variants=600)  # more than one block of rows
    expression = design.residuals(rng.standard_normal(60))
    permutations = draw_permutations(60, 5, rng)
    found = permutation_maxima(CisDosage.of(dosage, design), expression, permutations)
    slow = [largest_r2(dosage, expression[order], covariates) for order in permutations]
    np.testing.assert_allclose(found, slow, rtol=2e-6)


def test_single_precision_gives_the_p_values_of_double():
    dosage, _, design, rng = prepared(n_variants=400, n=200)
    cis = CisDosage.of(dosage, design)
    permutations = draw_permutations(200, 999, rng)
    unit = (cis.rows - cis.mean[:, None]) / cis.norm[:, None]
    for effect in (0.0, 0.15, 0.5):
        expression = design.residuals(effect * dosage[7] + rng.standard_normal(200))
        found = map_gene(cis, expression, permutations)
        shuffled = design.residuals(expression[permutations])
        r2 = ((unit @ (shuffled / np.linalg.norm(shuffled, axis=1, keepdims=True)).T) ** 2).max(axis=0)
        observed = float(((unit @ expression) ** 2).max() / (expression @ expression))
        twin = beta_approximation(observed, r2, design.dof)
        assert found.pval_perm == (1 + np.sum(r2 >= observed)) / 1000
        assert found.beta.pval_beta == pytest.approx(twin.pval_beta, rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_ties_count_as_reached(seed):
    """One variant with two carriers: r^2 depends on whose expression they get; every pair is listed."""
    rng = np.random.default_rng(seed)
    dosage = np.zeros((1, 24), np.uint8)
    dosage[0, :2] = 1
    counts = rng.poisson(3.0, 24).astype(float)
    design = Design.of(24, None)
    found = map_gene(CisDosage.of(dosage, design), design.residuals(counts), draw_permutations(24, 4000, rng))
    size = [abs(counts[i] + counts[j] - 2 * counts.mean()) for i in range(24) for j in range(i)]
    exact = np.mean(np.array(size) >= abs(counts[:2].sum() - 2 * counts.mean()) - 1e-9)
    assert found.pval_perm == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 4000) + 1 / 4000)


def test_ties_among_many_people_are_those_of_whole_numbers():
    rng = np.random.default_rng(9)
    dosage = np.zeros((1, 3000), np.uint8)
    dosage[0, :3] = 1
    measured = rng.integers(0, 2, 3000).astype(float)
    design, permutations = Design.of(3000, None), draw_permutations(3000, 300, rng)
    found = map_gene(CisDosage.of(dosage, design), design.residuals(measured), permutations)
    away = np.abs(measured[permutations][:, :3].sum(axis=1) - 3 * measured.mean())
    reached = np.sum(away >= abs(measured[:3].sum() - 3 * measured.mean()) - 1e-9)
    assert found.pval_perm == (1 + reached) / 301


def test_variants_that_do_not_vary_are_not_counted():
    dosage, _, design, rng = prepared()
    expression, permutations = design.residuals(rng.standard_normal(60)), draw_permutations(60, 99, rng)
    dosage[3] = 1
    found = map_gene(CisDosage.of(dosage, design), expression, permutations)
    without = map_gene(CisDosage.of(np.delete(dosage, 3, axis=0), design), expression, permutations)
    assert found.num_var == without.num_var == 29
    assert found.pval_perm == without.pval_perm
    assert map_gene(CisDosage.of(dosage[3:4], design), expression, permutations) is None
    assert map_gene(CisDosage.of(dosage, design), np.zeros(60), permutations) is None


def test_permutations_are_orders_of_everyone_and_come_from_the_generator():
    one, again = (draw_permutations(20, 50, np.random.default_rng(3)) for _ in range(2))
    assert (one == again).all()
    assert (np.sort(one, axis=1) == np.arange(20)).all()
    assert len(np.unique(one, axis=0)) == 50


def test_shapes_are_the_most_likely_and_the_first_is_one_by_moments():
    dosage, _, design, rng = prepared(n_variants=200, n=100)
    cis = CisDosage.of(dosage, design)
    null = permutation_maxima(
        cis, design.residuals(rng.standard_normal(100)), draw_permutations(100, 500, rng)
    )
    found = beta_approximation(0.2, null, design.dof)
    pvalues = p_of_r2(null, found.true_df)
    mean, variance = pvalues.mean(), pvalues.var()
    assert mean * (mean * (1 - mean) / variance - 1) == pytest.approx(1.0, abs=1e-8)
    first, second, _, _ = stats.beta.fit(pvalues, floc=0, fscale=1)
    assert found.beta_shape1 == pytest.approx(first, rel=1e-3)
    assert found.beta_shape2 == pytest.approx(second, rel=1e-3)
    here = stats.beta.logpdf(pvalues, found.beta_shape1, found.beta_shape2).sum()
    for scale in ((1.01, 1.0), (0.99, 1.0), (1.0, 1.01), (1.0, 0.99)):
        shapes = (found.beta_shape1 * scale[0], found.beta_shape2 * scale[1])
        assert stats.beta.logpdf(pvalues, *shapes).sum() < here
    assert found.pval_true_df == pytest.approx(float(p_of_r2(0.2, found.true_df)))
    assert found.pval_beta == pytest.approx(
        stats.beta.cdf(found.pval_true_df, found.beta_shape1, found.beta_shape2)
    )


def test_a_null_without_spread_has_no_beta():
    assert beta_approximation(0.2, np.full(99, 0.1), 50) is None


def test_both_p_values_are_uniform_without_effect():
    dosage, _, design, rng = prepared(n_variants=60, n=80, seed=5)
    cis, permutations = CisDosage.of(dosage, design), draw_permutations(80, 199, rng)
    tests = [map_gene(cis, design.residuals(rng.standard_normal(80)), permutations) for _ in range(300)]
    for pvalues in ([t.pval_perm for t in tests], [t.beta.pval_beta for t in tests]):
        assert stats.kstest(pvalues, "uniform").pvalue > 0.01
    nominal = [t.pval_nominal for t in tests]
    assert stats.kstest(nominal, "uniform").pvalue < 1e-10  # the best of many is no single test


def test_heavy_covariates_do_not_make_chance_significant():
    """Residuals of many covariates have fewer dimensions than people: permuted ones must, too."""
    dosage, _, design, rng = prepared(n_variants=60, n=60, n_covariates=35, seed=6)
    cis, permutations = CisDosage.of(dosage, design), draw_permutations(60, 199, rng)
    pvalues = [
        map_gene(cis, design.residuals(rng.standard_normal(60)), permutations).pval_perm for _ in range(200)
    ]
    assert stats.kstest(pvalues, "uniform").pvalue > 0.01


def test_beta_reaches_beyond_the_permutations():
    dosage, _, design, rng = prepared(n_variants=50, n=150)
    expression = design.residuals(dosage[11] + 0.5 * rng.standard_normal(150))
    found = map_gene(CisDosage.of(dosage, design), expression, draw_permutations(150, 199, rng))
    assert found.variant == 11
    assert found.pval_perm == 1 / 200
    assert found.beta.pval_beta < 1e-12
