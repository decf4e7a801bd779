import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hapsight.stats.direction import Effects, direction_and_magnitude, same_sign, share_true, variant_effect


def agreement(**changed) -> dict:
    rng = np.random.default_rng(0)
    eqtl = rng.standard_normal(200)
    plan = {
        "r": np.where(np.arange(200) < 120, 0.1, -0.1),
        "model_slope": np.abs(eqtl) * rng.choice([-1, 1], 200),
        "eqtl_slope": eqtl,
        "dosage_sd": np.full(200, 0.5),
        "significant": np.arange(200) < 50,
    }
    return {found.quantity: found for found in direction_and_magnitude(Effects(**plan | changed))}


def test_a_model_that_knows_size_and_not_sign():
    found = agreement()
    assert found["sign_right"].value == pytest.approx(0.6)
    assert found["sign_right"].pval == pytest.approx(stats.binomtest(120, 200).pvalue)
    interval = stats.binomtest(120, 200).proportion_ci(method="wilson")
    assert (found["sign_right"].ci_low, found["sign_right"].ci_high) == (interval.low, interval.high)
    assert found["sign_right.significant"][2:4] == (1.0, 50)
    agrees = found["variant_sign_agrees"]
    assert agrees.ci_low < 0.5 < agrees.ci_high
    for name in ("magnitude_spearman", "magnitude_log_pearson", "magnitude_spearman_per_sd"):
        assert found[name].value == pytest.approx(1.0)


@pytest.mark.parametrize("n", [1, 2, 7, 50, 1001])
def test_a_share_is_tested_as_scipy_does(n):
    for k in {0, 1, n // 2, n - n // 3, n}:
        found, twin = share_true(np.arange(n) < k), stats.binomtest(k, n)
        interval = twin.proportion_ci(method="wilson")
        assert found.pval == pytest.approx(twin.pvalue, rel=1e-10)
        assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high), abs=1e-14)


def test_rare_alleles_make_sizes_agree_per_allele_only():
    rng = np.random.default_rng(1)
    spread = rng.uniform(0.1, 0.7, 2000)
    noise = np.abs(rng.standard_normal((2, 2000))) / spread
    found = agreement(
        r=np.ones(2000),
        model_slope=noise[0],
        eqtl_slope=noise[1],
        dosage_sd=spread,
        significant=np.zeros(2000, bool),
    )
    assert found["magnitude_spearman"].ci_low > 0.1
    fair = found["magnitude_spearman_per_sd"]
    assert fair.ci_low < 0 < fair.ci_high
    assert found["magnitude_spearman.significant"][2:] == (None, 0, None, None, None)


def test_effects_of_zero_have_no_sign():
    slopes = np.ones(200)
    slopes[:30] = 0.0
    r = np.full(200, 0.2)
    r[:10] = 0.0
    found = agreement(model_slope=slopes, r=r)
    assert (found["variant_sign_agrees"].n, found["magnitude_log_pearson"].n) == (170, 170)
    assert (found["sign_right"].n, found["magnitude_spearman"].n) == (190, 200)


def test_a_coin_gives_p_values_that_are_not_too_small():
    rng = np.random.default_rng(2)
    pvalues = np.array([share_true(rng.random(400) < 0.5).pval for _ in range(600)])
    for level in (0.05, 0.2, 0.5):
        assert np.mean(pvalues <= level) < level + 0.06
    assert np.mean(pvalues <= 0.5) > 0.35


def test_a_share_of_nothing_is_none():
    assert share_true(np.zeros(0, bool)) == (None, 0, None, None, None)


@given(st.integers(0, 2**32 - 1), st.floats(-5, 5))
def test_the_effect_is_the_slope_of_least_squares(seed, effect):
    rng = np.random.default_rng(seed)
    dosage = rng.integers(0, 3, 30).astype(np.uint8)
    dosage[:2] = 0, 2
    predicted = 3.0 + effect * dosage + rng.standard_normal(30)
    found = variant_effect(predicted, dosage)
    twin = stats.linregress(dosage, predicted).slope
    assert found.slope == pytest.approx(twin, rel=1e-9, abs=1e-9)
    assert found.slope_sd == pytest.approx(twin / np.std(predicted, ddof=1), rel=1e-9, abs=1e-9)


def test_no_effect_where_nothing_varies():
    dosage = np.array([0, 1, 2, 1], np.uint8)
    assert variant_effect(np.full(4, 3.0), dosage) is None
    assert variant_effect(np.arange(4.0), np.ones(4, np.uint8)) is None


def test_same_sign():
    assert same_sign(np.array([1.0, -2.0, 3.0]), np.array([2.0, 2.0, -1.0])).tolist() == [True, False, False]
