"""Heritability: dense textbook twins, and recovery of what was simulated."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest
from scipy import optimize, stats

from hapsight.least_squares import Design
from hapsight.linear.fits import Predictors
from hapsight.linear.predictors import fit_blup
from hapsight.stats import heritability
from hapsight.stats.heritability import (
    Likelihood,
    _of_people,
    _of_variants,
    cis_heritability,
    products_of_variants,
)
from tests.stats.eqtl_naive import haseman_elston, relationship, reml, restricted_log_likelihood, simulated


def simulate(h2, n=300, n_variants=100, n_covariates=5, seed=0):
    rng = np.random.default_rng(seed)
    dosage, covariates = simulated(n_variants, n, n_covariates, rng)
    standard = (dosage - dosage.mean(axis=1, keepdims=True)) / dosage.std(axis=1, keepdims=True)
    genetic = standard.T @ rng.standard_normal(n_variants) * np.sqrt(h2 / n_variants)
    expression = (
        genetic + np.sqrt(1 - h2) * rng.standard_normal(n) + covariates @ rng.normal(size=n_covariates)
    )
    return dosage, expression, covariates


@pytest.mark.parametrize("h2", [0.0, 0.1, 0.5, 0.9])
def test_equals_the_dense_likelihood(h2):
    dosage, expression, covariates = simulate(h2, n=80, seed=round(10 * h2))
    found = cis_heritability(dosage, expression, Design.of(80, covariates))
    kinship, num_var = relationship(dosage)
    twin = reml(kinship, expression, covariates)
    assert found.h2 == pytest.approx(twin, abs=2e-5)
    assert found.h2_he == pytest.approx(haseman_elston(kinship, expression, covariates), rel=1e-8)
    ratio = 2 * (
        restricted_log_likelihood(twin, kinship, expression, covariates)
        - restricted_log_likelihood(0.0, kinship, expression, covariates)
    )
    expected = 0.5 * stats.chi2.sf(ratio, 1) if found.h2 > 1e-6 else 1.0
    assert found.pval == pytest.approx(expected, rel=1e-4)
    assert found.num_var == num_var == 100


@pytest.mark.parametrize(("h2", "n_variants"), [(0.0, 60), (0.3, 100), (0.9, 110), (0.5, 1)])
def test_variants_and_people_say_the_same(h2, n_variants):
    """Fewer variants than people: copies among them, and more than the covariates leave dimensions."""
    dosage, expression, covariates = simulate(h2, n=120, n_variants=n_variants, n_covariates=20, seed=3)
    dosage = np.vstack([dosage, dosage[:5], 2 - dosage[:3]])
    design = Design.of(120, covariates)
    mean, scale = dosage.mean(axis=1), dosage.std(axis=1) * np.sqrt(len(dosage))
    outcome = design.residuals(expression)
    people, variants = (of(dosage, outcome, design, mean, scale) for of in (_of_people, _of_variants))
    for at in (0.0, 0.2, 0.7, 0.999):
        assert variants.log_likelihood(at) == pytest.approx(people.log_likelihood(at), rel=1e-8)
        assert variants.standard_error(at) == pytest.approx(people.standard_error(at), rel=1e-8)
    assert variants.haseman_elston() == pytest.approx(people.haseman_elston(), rel=1e-8)
    found = cis_heritability(dosage, expression, design)
    assert found.h2 == pytest.approx(variants.best(), abs=1e-10)
    assert variants.best() == pytest.approx(people.best(), abs=1e-10)
    assert found.num_var == len(dosage)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
@pytest.mark.parametrize(("size", "rank"), [(1, 1), (2, 2), (40, 40), (40, 7), (41, 1)])
def test_the_tridiagonal_form_says_what_the_whole_kernel_says(size, rank, share):
    rng = np.random.default_rng(size + rank)
    rows, vector = rng.standard_normal((rank, size)), rng.standard_normal(size)
    kernel, squares = rows.T @ rows, float(vector @ vector)
    found = Likelihood.of(kernel, vector, squares, size, False)
    variance = share * kernel + (1 - share) * np.eye(size)
    solved = np.linalg.solve(variance, vector)
    np.testing.assert_allclose(found.effects(share), share * solved, rtol=1e-9, atol=1e-10)
    twin = -0.5 * (size * np.log(vector @ solved / size) + np.linalg.slogdet(variance)[1])
    assert found.log_likelihood(share) == pytest.approx(twin, rel=1e-10, abs=1e-9)
    change = kernel - np.eye(size)
    slope = -0.5 * (
        np.trace(np.linalg.solve(variance, change)) - size * (solved @ change @ solved) / (vector @ solved)
    )
    assert found.slope(share) == pytest.approx(slope, rel=1e-9, abs=1e-8)
    values = np.linalg.eigvalsh(kernel)
    np.testing.assert_allclose(found.eigenvalues(), values, atol=1e-12 * values[-1])
    assert found._along_kernel() == pytest.approx(vector @ kernel @ vector, rel=1e-10)
    of_variants = Likelihood.of(rows @ rows.T, rows @ vector, squares, size, True)
    assert of_variants.log_likelihood(share) == pytest.approx(twin, rel=1e-9, abs=1e-9)
    assert of_variants.slope(share) == pytest.approx(slope, rel=1e-9, abs=1e-8)
    np.testing.assert_allclose(rows.T @ of_variants.effects(share), kernel @ found.effects(share), atol=1e-9)
    np.testing.assert_allclose(of_variants.eigenvalues(), values, atol=1e-12 * values[-1])
    assert of_variants._along_kernel() == pytest.approx(vector @ kernel @ vector, rel=1e-10)


@pytest.mark.parametrize("h2", [0.1, 0.5, 0.9])
def test_the_best_share_is_the_root_of_the_slope_in_eigenvectors(h2):
    """To 1e-10, where values of the likelihood tell shares apart to some 1e-7."""
    dosage, expression, covariates = simulate(h2, n=150, seed=11)
    kinship, _ = relationship(dosage)
    basis = np.linalg.qr(np.column_stack([np.ones(150), covariates]), mode="complete")[0][:, 6:]
    values, vectors = np.linalg.eigh(basis.T @ kinship @ basis)
    z2 = (vectors.T @ basis.T @ expression) ** 2

    def slope(share):
        variance, change = share * values + 1 - share, values - 1
        return len(z2) * (z2 * change / variance**2).sum() / (z2 / variance).sum() - (change / variance).sum()

    found = cis_heritability(dosage, expression, Design.of(150, covariates))
    assert 0 < found.h2 < 0.99
    assert found.h2 == pytest.approx(optimize.brentq(slope, found.h2 - 1e-3, found.h2 + 1e-3), abs=1e-10)


def test_a_likelihood_goes_with_its_last_user():
    """Its reflections are as large as the kernel, and garbage is sought seldom."""
    rng = np.random.default_rng(4)
    rows, vector = rng.standard_normal((60, 40)), rng.standard_normal(40)
    gc.disable()
    try:
        found = Likelihood.of(rows.T @ rows / 60, vector + rows[0], 80.0, 40, False)
        assert 0 < found.best() < 0.99
        reflections = weakref.ref(found._reflections[0])
        del found
        assert reflections() is None
    finally:
        gc.enable()


def test_no_matrix_of_people_is_made():
    """2,000 people and 20 variants: a matrix of people would take 32 MB, and all dosages take .3."""
    dosage, expression, covariates = simulate(0.5, n=2000, n_variants=20)
    design, predictors = Design.of(2000, covariates), Predictors.of(dosage, 0.0)
    tracemalloc.start()
    cis_heritability(dosage, expression, design)
    fit_blup(predictors, expression)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6


@pytest.mark.parametrize("h2", [0.1, 0.4, 0.8])
def test_simulated_heritability_is_recovered(h2):
    found = []
    for seed in range(40):
        dosage, expression, covariates = simulate(h2, seed=seed)
        found.append(cis_heritability(dosage, expression, Design.of(300, covariates)))
    estimates = np.array([one.h2 for one in found])
    error = estimates.std(ddof=1) / np.sqrt(len(found))
    assert abs(estimates.mean() - h2) < 3 * error
    assert error < 0.02
    assert np.mean([one.h2_se for one in found]) == pytest.approx(estimates.std(ddof=1), rel=0.4)
    assert np.mean([one.h2_he for one in found]) == pytest.approx(h2, abs=0.06)
    assert np.mean([one.pval < 0.05 for one in found]) > (0.5 if h2 < 0.2 else 0.99)


def test_without_heritability_half_are_zero_and_few_significant():
    found = []
    for seed in range(120):
        dosage, _, covariates = simulate(0.0, n=100, seed=seed)
        expression = np.random.default_rng(1000 + seed).standard_normal(100)
        found.append(cis_heritability(dosage, expression, Design.of(100, covariates)))
    assert np.mean([one.h2 == 0 for one in found]) > 0.35
    assert stats.binomtest(sum(one.pval < 0.1 for one in found), 120, 0.1).pvalue > 0.001
    assert all(one.pval == 1.0 for one in found if one.h2 == 0)


def test_covariates_and_scale_do_not_matter():
    dosage, expression, covariates = simulate(0.5, n=100)
    design = Design.of(100, covariates)
    plain = cis_heritability(dosage, expression, design)
    moved = cis_heritability(2 - dosage, 100 + 7 * expression + covariates @ np.arange(5.0), design)
    assert moved.h2 == pytest.approx(plain.h2, abs=1e-6)
    assert moved.h2_he == pytest.approx(plain.h2_he)


def test_nothing_to_explain_or_to_explain_with():
    dosage, expression, covariates = simulate(0.5, n=60)
    design = Design.of(60, covariates)
    assert cis_heritability(dosage[:0], expression, design) is None
    assert cis_heritability(np.ones((5, 60), np.uint8), expression, design) is None
    assert cis_heritability(dosage, np.full(60, 3.3), design) is None


def test_one_variant_explains_everything():
    dosage, _, _ = simulate(0.0, n=60)
    found = cis_heritability(dosage[:1], dosage[0] * 2.0, Design.of(60, None))
    assert found.h2 > 0.99


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
@pytest.mark.parametrize("block", [1, 7, 90, 4_000_000])
def test_products_of_variants_add_up_over_blocks_of_people(block, kind, monkeypatch):
    rng = np.random.default_rng(block)
    dosage = rng.integers(0, 3, (12, 90)).astype(kind)
    outcome, basis = rng.standard_normal(90), np.linalg.qr(rng.standard_normal((90, 4)))[0]
    monkeypatch.setattr(heritability, "_TOGETHER", 12 * block)
    mean, spread = dosage.mean(axis=1), dosage.std(axis=1)
    found = products_of_variants(dosage, mean, spread, outcome, basis)
    whole = (dosage - mean[:, None]) / spread[:, None]
    np.testing.assert_allclose(np.tril(found.kernel), np.tril(whole @ whole.T), atol=1e-11)
    np.testing.assert_allclose(found.covariance, whole @ outcome, atol=1e-12)
    np.testing.assert_allclose(found.explained, whole @ basis, atol=1e-12)
    one = cis_heritability(dosage, outcome, Design.of(90, basis))
    monkeypatch.undo()
    assert one is not None
    twin = cis_heritability(dosage, outcome, Design.of(90, basis))
    assert (one.h2, one.h2_he) == pytest.approx((twin.h2, twin.h2_he), abs=1e-6)


def test_products_of_whole_numbers_are_added_up_in_single_precision_only_where_that_is_exact():
    rng = np.random.default_rng(2)
    dosage = rng.integers(250, 256, (3, 400)).astype(np.uint8)  # sums of products above 2^24
    mean, outcome = dosage.mean(axis=1), rng.standard_normal(400)
    whole = dosage - mean[:, None]
    found = products_of_variants(dosage, mean, 1.0, outcome)
    np.testing.assert_allclose(np.tril(found.kernel), np.tril(whole @ whole.T), rtol=1e-10, atol=1e-8)


def test_variants_that_the_covariates_explain_have_no_part():
    rng = np.random.default_rng(1)
    dosage = rng.integers(0, 3, (3, 80)).astype(float)
    design = Design.of(80, dosage.T)
    found = cis_heritability(dosage, rng.standard_normal(80), design)
    assert found is not None
    assert found.h2 == 0.0 or np.isnan(found.h2_se)
    more = np.vstack([dosage, rng.integers(0, 3, (2, 80))])
    expression = rng.standard_normal(80)
    found, twin = (cis_heritability(one, expression, design) for one in (more, more[3:]))
    assert found is not None
    assert twin is not None
    assert found.num_var == 5
    assert found.pval == pytest.approx(twin.pval, rel=1e-4)
