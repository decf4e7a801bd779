"""Allelic expression: the likelihood beside scipy's, and a planted effect beside total expression."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from hapsight.stats.alleles import (
    allelic_regression,
    effective_differences,
    haplotype_correlation,
    log_ratio,
    ratio_weight,
    reference_share,
    share_offset,
)
from tests.stats.simulated_alleles import Design, power

LN2 = np.log(2)


def counts(n, rho, slope, seed, offset=0.0, reads=(20, 300)):
    """First and total reads of n people, beta-binomial, and the predictor."""
    rng = np.random.default_rng(seed)
    total, x = rng.integers(*reads, n), rng.choice([-1.0, 0.0, 0.4, 1.0], n)
    p = 1 / (1 + np.exp(-(offset + slope * LN2 * x)))
    size = (1 - rho) / rho
    return rng.binomial(total, rng.beta(p * size, (1 - p) * size)), total, x


def slowly(first, total, x, offset):
    """Slope, overdispersion and p by scipy's distribution and a search without gradients."""

    def minus(slope, log_rho):
        p, rho = 1 / (1 + np.exp(-(offset + slope * LN2 * x))), np.exp(log_rho)
        size = (1 - rho) / rho
        return -stats.betabinom.logpmf(first, total, p * size, (1 - p) * size).sum()

    exact = {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000}
    full = optimize.minimize(lambda v: minus(*v), [0.0, -3.0], method="Nelder-Mead", options=exact)
    null = optimize.minimize(lambda v: minus(0.0, v[0]), [-3.0], method="Nelder-Mead", options=exact)
    return full.x[0], np.exp(full.x[1]), stats.chi2.sf(2 * (null.fun - full.fun), 1)


@pytest.mark.parametrize(("rho", "slope", "seed"), [(0.02, 0.4, 1), (0.1, 0.0, 2), (0.01, -0.8, 3)])
def test_the_fit_is_the_one_of_scipys_beta_binomial(rho, slope, seed):
    first, total, x = counts(40, rho, slope, seed, offset=0.1)
    found = allelic_regression(first, total - first, x, 0.1)
    by_scipy = slowly(first, total, x, 0.1)
    np.testing.assert_allclose((found.slope, found.dispersion, found.pval), by_scipy, rtol=1e-4, atol=1e-6)


def test_counts_without_overdispersion_give_the_logistic_regression():
    first, total, x = counts(60, 1e-9, 0.5, 4)

    def score(slope):
        p = 1 / (1 + np.exp(-slope * x))
        return np.sum((first - total * p) * x)

    slope = optimize.brentq(score, -5, 5)
    p = 1 / (1 + np.exp(-slope * x))
    error = 1 / np.sqrt(np.sum(total * p * (1 - p) * x**2))
    found = allelic_regression(first, total - first, x)
    assert found.dispersion < 2e-6  # its least, as in about half of such draws
    assert found.slope == pytest.approx(slope / LN2, rel=1e-3)
    assert found.slope_se == pytest.approx(error / LN2, rel=1e-2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_which_haplotype_is_the_first_means_nothing(seed):
    first, total, x = counts(25, 0.03, 0.3, seed)
    turned = np.random.default_rng(seed).random(25) < 0.5
    second = total - first
    a, b = np.where(turned, second, first), np.where(turned, first, second)
    one, other = allelic_regression(first, second, x), allelic_regression(a, b, np.where(turned, -x, x))
    np.testing.assert_allclose((one.slope, one.pval), (other.slope, other.pval), rtol=1e-4, atol=1e-6)
    ratio, swapped = log_ratio(first, second)[0], log_ratio(a, b)[0]
    weight = ratio_weight(total, 0.03)
    assert haplotype_correlation(x, ratio, weight).value == pytest.approx(
        haplotype_correlation(np.where(turned, -x, x), swapped, weight).value
    )


def test_a_correlation_through_zero_is_pearsons_of_both_orders():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 30))
    found = haplotype_correlation(x, y + x, np.ones(30))
    both = np.concatenate([x, -x]), np.concatenate([y + x, -y - x])
    assert found.value == pytest.approx(stats.pearsonr(*both).statistic)
    assert found.ci_low < found.value < found.ci_high


def test_p_is_uniform_where_nothing_is_planted():
    p = []
    for seed in range(150):
        first, total, x = counts(40, 0.02, 0.0, seed)
        p.append(allelic_regression(first, total - first, x).pval)
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert 0.005 <= np.mean(np.array(p) < 0.05) <= 0.11


def test_an_interval_covers_the_planted_slope():
    inside = 0
    for seed in range(100):
        first, total, x = counts(40, 0.02, 0.5, seed)
        low, high = allelic_regression(first, total - first, x).interval
        inside += low <= 0.5 <= high
    assert 88 <= inside <= 99


def test_the_advantage_of_ref_is_found_and_taken_out():
    rng = np.random.default_rng(6)
    lead = rng.choice([-1.0, 1.0], 300)
    total = rng.integers(30, 200, 300)
    first = rng.binomial(total, 1 / (1 + np.exp(-share_offset(0.54, lead))))
    ref = np.where(lead > 0, first, total - first)
    share, _ = reference_share(ref, total - ref)
    assert share.ci_low < 0.54 < share.ci_high
    assert share.ci_low > 0.5
    with_bias = allelic_regression(first, total - first, lead)
    without = allelic_regression(first, total - first, lead, share_offset(0.54, lead))
    assert with_bias.pval < 1e-6 < 1e-3 < without.pval


def test_nothing_is_fitted_to_people_who_do_not_differ():
    found = allelic_regression(np.array([5.0, 9.0]), np.array([6.0, 8.0]), np.zeros(2))
    assert (found.slope, found.interval, found.n) == (None, None, 2)
    assert allelic_regression(np.zeros(3), np.zeros(3), np.ones(3)).n == 0
    assert haplotype_correlation(np.zeros(3), np.ones(3), np.ones(3)).value is None
    assert effective_differences(np.zeros(3), np.ones(3)) == 0.0


def test_reads_of_one_haplotype_alone_have_a_share_and_no_interval():
    share, _ = reference_share(np.full(10, 30.0), np.zeros(10))
    assert share.value == pytest.approx(1.0)
    assert (share.ci_low, share.ci_high) == (None, None)
    found = allelic_regression(np.full(10, 30.0), np.zeros(10), np.ones(10))
    assert (found.slope_se, found.interval) == (None, None)
    assert found.pval < 1e-6


def test_the_error_of_a_ratio_is_that_of_drawn_counts():
    rng = np.random.default_rng(7)
    drawn = rng.binomial(80, 0.6, 20_000)
    ratio, error = log_ratio(drawn, 80 - drawn)
    assert ratio.std() == pytest.approx(error.mean(), rel=0.03)
    assert ratio.mean() == pytest.approx(np.log2(0.6 / 0.4), abs=0.01)


def test_the_weight_of_a_ratio_is_one_over_the_variance_of_drawn_counts():
    rng = np.random.default_rng(8)
    size = (1 - 0.02) / 0.02
    drawn = rng.binomial(150, rng.beta(size / 2, size / 2, 20_000))
    variance = log_ratio(drawn, 150 - drawn)[0].var()
    assert 1 / ratio_weight(np.array([150]), 0.02).item() == pytest.approx(variance, rel=0.05)


def test_what_acts_on_both_haplotypes_costs_the_ratio_nothing():
    """The same people and effect; confounders take power from total expression and none from the ratio."""
    quiet, loud = Design(confounders=0.0), Design(confounders=1.0)
    total = [power(one, 150, 40, "total", seed=1) for one in (quiet, loud)]
    ratio = [power(one, 150, 40, "ratio", seed=1) for one in (quiet, loud)]
    assert total[0] > total[1] + 0.2
    assert ratio[0] == ratio[1]
    assert ratio[1] > total[1] + 0.2
