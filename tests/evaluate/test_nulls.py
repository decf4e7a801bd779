import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hapsight.errors import InputError
from hapsight.evaluate.nulls import benjamini_hochberg, empirical_p, null_test, random_weights_null


def test_null_equals_its_naive_twin():
    rng = np.random.default_rng(3)
    dosage = rng.integers(0, 3, (6, 40)).astype(np.uint8)
    dosage[2] = 1  # does not vary
    expression = rng.standard_normal(40)
    null = random_weights_null(dosage, expression, 20, np.random.default_rng(9))
    weights = np.random.default_rng(9).standard_normal((20, 5))
    varying = dosage[[0, 1, 3, 4, 5]].astype(float)
    naive = [abs(stats.pearsonr(w @ varying, expression)[0]) for w in weights]
    np.testing.assert_allclose(null, naive, rtol=1e-10)


def test_p_is_uniform_without_effect():
    rng = np.random.default_rng(5)
    pvalues = []
    for _ in range(400):
        dosage = rng.integers(0, 3, (8, 60)).astype(np.uint8)
        expression = rng.standard_normal(60)
        r = stats.pearsonr(rng.standard_normal(8) @ dosage, expression)[0]
        null = random_weights_null(dosage, expression, 199, rng)
        pvalues.append(null_test(r, null).pval_empirical)
    assert stats.kstest(pvalues, "uniform").pvalue > 0.01


def test_empirical_p_counts_ties_and_is_never_zero():
    null = np.array([0.1, 0.2, 0.3])
    assert empirical_p(0.2, null) == 3 / 4
    assert empirical_p(0.9, null) == 1 / 4
    tested = null_test(-0.4, null)
    assert tested.z == pytest.approx((0.4 - 0.2) / 0.1)
    assert tested.null_draws == 3


def test_nothing_that_varies_is_an_error():
    with pytest.raises(InputError, match="vary"):
        random_weights_null(np.ones((3, 5), np.uint8), np.arange(5.0), 10, np.random.default_rng(0))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_by_definition(pvalues):
    p = np.array(pvalues)
    order = np.argsort(p)
    n = len(p)
    expected = np.empty(n)
    for rank, i in enumerate(order):
        expected[i] = min(min(1, p[j] * n / (k + 1)) for k, j in list(enumerate(order))[rank:])
    np.testing.assert_allclose(benjamini_hochberg(p), expected)
