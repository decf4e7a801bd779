import numpy as np
import pytest
from scipy import stats

from hapsight.errors import InputError
from hapsight.evaluate.correlation import correlate, fisher_interval, is_constant


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
