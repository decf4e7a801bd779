import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hapsight.errors import InputError
from hapsight.stats.correlation import (
    average_ranks,
    correlate,
    fisher_interval,
    is_constant,
    normal_scores,
    spearman_p,
    spearman_r,
    with_ties,
)


def test_by_hand():
    found = correlate(np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5]))
    assert found.n == 5
    assert found.status == "ok"
    assert found.pearson_r == pytest.approx(0.8)
    assert found.spearman_r == pytest.approx(0.8)
    half = 1.959963985 / np.sqrt(2)
    assert found.ci_low == pytest.approx(np.tanh(np.arctanh(0.8) - half))
    assert found.ci_high == pytest.approx(np.tanh(np.arctanh(0.8) + half))
    t = 0.8 * np.sqrt(3 / (1 - 0.64))
    assert found.pval_nominal == pytest.approx(2 * stats.t.sf(t, 3))


def test_constant_is_a_status_and_not_a_number():
    varied = np.arange(10.0)
    assert correlate(np.full(10, 0.3), varied).status == "constant_prediction"
    assert correlate(np.full(10, 0.3), varied).pearson_r is None
    assert correlate(varied, np.zeros(10)).status == "constant_expression"
    assert correlate(varied[:3], varied[:3]).status == "too_few"


def test_rounding_of_float32_is_not_variation():
    noise = np.float32(3.7) + np.array([0, 1, -1, 2], np.float32) * np.spacing(np.float32(3.7))
    assert is_constant(noise.astype(np.float64))
    assert not is_constant(np.array([3.7, 3.7001, 3.7]))
    assert is_constant(np.zeros(4))


def test_interval_covers_the_truth():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2000, 50))
    y = 0.5 * x + np.sqrt(0.75) * rng.standard_normal(x.shape)
    inside = [
        low < 0.5 < high
        for low, high in (fisher_interval(stats.pearsonr(*p)[0], 50) for p in zip(x, y, strict=True))
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_bad_input():
    with pytest.raises(InputError, match=r"same things[\s\S]*\(3,\)[\s\S]*\(4,\)"):
        correlate(np.zeros(3), np.zeros(4))
    with pytest.raises(InputError, match="finite"):
        correlate(np.array([1.0, np.nan, 2, 3]), np.arange(4.0))


@pytest.mark.parametrize("seed", range(5))
def test_values_that_rounding_tells_apart_are_ties(seed):
    """scipy on exactly tied values, and ours on the same values with noise in the last digits."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 3, (2, 200)) / 7 + 0.1
    noisy = [v * (1 + rng.integers(-4, 5, 200) * np.finfo(float).eps) for v in (x, y)]
    exact = stats.spearmanr(x, y).statistic
    assert stats.spearmanr(*noisy).statistic != pytest.approx(exact, abs=1e-6)
    assert spearman_r(*noisy) == correlate(*noisy).spearman_r == pytest.approx(exact, abs=1e-14)


def test_with_ties_keeps_the_order_of_all_else():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.standard_normal(50), 1e-6 * rng.standard_normal(50), [np.inf, -np.inf]])
    assert stats.rankdata(with_ties(values)).tolist() == stats.rankdata(values).tolist()
    assert with_ties(np.array([True, False, True])).tolist() == [1, 0, 1]
    assert with_ties(np.empty(0)).tolist() == []


def test_ranks_of_ties_are_scipys():
    rng = np.random.default_rng(5)
    for values in (rng.integers(0, 9, 40).astype(float), rng.normal(size=40), np.ones(3), np.empty(0)):
        assert average_ranks(values).tobytes() == stats.rankdata(values).tobytes()


def test_normal_scores_are_quantiles_of_scipys_ranks():
    values = np.random.default_rng(6).integers(0, 30, (5, 50)).astype(float)
    expected = stats.norm.ppf(stats.rankdata(values, axis=1) / 51)
    assert normal_scores(values).tobytes() == expected.tobytes()


@given(st.integers(4, 60), st.floats(-4, 4), st.integers(0, 8), st.integers(0, 2**31))
def test_equals_scipy_from_no_correlation_to_a_perfect_one(n, slope, levels, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n) if levels < 2 else np.append(rng.integers(0, levels, n - 1), levels) * 1.0
    y = slope**3 * x + rng.standard_normal(n)
    found, pearson, spearman = correlate(x, y), stats.pearsonr(x, y), stats.spearmanr(x, y)
    assert found.pearson_r == pytest.approx(pearson.statistic, abs=1e-13)
    assert found.pval_nominal == pytest.approx(pearson.pvalue, rel=1e-7)
    assert found.spearman_r == pytest.approx(spearman.statistic, abs=1e-13)
    assert spearman_p(found.spearman_r, n) == pytest.approx(spearman.pvalue, rel=1e-7, abs=1e-30)


def test_a_line_has_correlation_1_and_nothing_to_doubt():
    x = np.arange(7.0)
    for sign in (1, -1):
        found = correlate(sign * x, x)
        assert (found.pearson_r, found.spearman_r) == pytest.approx((sign, sign))
        assert found.pval_nominal == pytest.approx(0.0, abs=1e-15)
        assert spearman_p(float(sign), 7) == 0.0
