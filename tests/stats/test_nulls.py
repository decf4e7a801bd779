import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hapsight.errors import InputError
from hapsight.stats.nulls import (
    SASSE_DRAWS,
    _root,
    benjamini_hochberg,
    empirical_p,
    null_test,
    permutation_null,
    permutations,
    random_weights_null,
    sasse2023_p,
)


@pytest.mark.parametrize("variants", [6, 60])
def test_null_equals_its_naive_twin(variants):
    """Fewer variants than people, and more: the two ways to the norm of a prediction."""
    rng = np.random.default_rng(3)
    dosage = rng.integers(0, 3, (variants, 40)).astype(np.uint8)
    dosage[2] = 1  # does not vary
    expression = rng.standard_normal(40)
    null = random_weights_null(dosage, expression, 20, np.random.default_rng(9))
    weights = np.random.default_rng(9).standard_normal((20, variants - 1))
    varying = np.delete(dosage, 2, axis=0).astype(float)
    naive = [abs(stats.pearsonr(w @ varying, expression)[0]) for w in weights]
    np.testing.assert_allclose(null, naive, rtol=1e-10)


def test_null_of_variants_in_perfect_linkage():
    """Every prediction is the same but for its sign; rounding must not make draws differ."""
    rng = np.random.default_rng(4)
    variant = rng.integers(0, 3, 200).astype(np.uint8)
    expression = rng.standard_normal(200)
    null = random_weights_null(np.stack([variant, 2 - variant] * 20), expression, 999, rng)
    expected = abs(stats.pearsonr(variant, expression)[0])
    np.testing.assert_allclose(null, expected, atol=1e-9)


def test_null_of_people_equals_its_naive_twin():
    """As many draws as people: predictions are drawn as such, from the root of their covariance."""
    rng = np.random.default_rng(6)
    dosage = rng.integers(0, 3, (90, 40)).astype(np.uint8)
    dosage[:, 7] = dosage[:, 3]  # two people who are alike
    expression, centred = rng.standard_normal(40), dosage - dosage.mean(axis=1, keepdims=True)
    root, order = _root(dosage)
    assert root.shape == (40, 38)
    np.testing.assert_allclose(root @ root.T, (centred.T @ centred)[np.ix_(order, order)], atol=1e-11)
    null = random_weights_null(dosage, expression, 40, np.random.default_rng(9))
    predicted = np.random.default_rng(9).standard_normal((40, 38)) @ root.T
    naive = [abs(stats.pearsonr(p, expression[order])[0]) for p in predicted]
    np.testing.assert_allclose(null, naive, rtol=1e-10)
    weights = rng.standard_normal((20_000, 90)) @ dosage
    of_weights = [abs(np.corrcoef(p, expression)[0, 1]) for p in weights]
    many = random_weights_null(dosage, expression, 20_000, np.random.default_rng(2))
    assert stats.ks_2samp(many, of_weights).pvalue > 0.01


def test_null_of_people_in_perfect_linkage():
    rng = np.random.default_rng(4)
    variant, expression = rng.integers(0, 3, 60).astype(np.uint8), rng.standard_normal(60)
    null = random_weights_null(np.stack([variant, 2 - variant] * 40), expression, 999, rng)
    np.testing.assert_allclose(null, abs(stats.pearsonr(variant, expression)[0]), atol=1e-9)


def test_one_variant_is_no_evidence():
    """With one variant every linear prediction has one abs(r), so no test may call it unusual."""
    rng = np.random.default_rng(8)
    for _ in range(50):
        dosage = rng.integers(0, 3, (1, 71)).astype(np.uint8)
        expression = rng.standard_normal(71)
        r = stats.pearsonr(0.37 * dosage[0] + 3.1, expression)[0]
        found = null_test(r, random_weights_null(dosage, expression, 99, rng))
        assert found.pval_empirical == 1
        assert (found.z, found.pval_z) == (0, 0.5)
        assert found.pval_sasse2023 == pytest.approx(0.5, abs=1e-3)


def test_permutations_stay_within_populations():
    populations = ["a", "b", "a", None, "b", None, "a"]
    orders = permutations(populations, 200, np.random.default_rng(1))
    assert orders.shape == (200, 7)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(7), (200, 1)))
    labels = np.array([name or "" for name in populations])
    np.testing.assert_array_equal(labels[orders], np.tile(labels, (200, 1)))
    exchanged = {tuple(row) for row in orders[:, [1, 4]]}
    assert exchanged == {(1, 4), (4, 1)}
    assert len({tuple(row) for row in orders[:, [0, 2, 6]]}) == 6


def test_permutation_null_equals_its_naive_twin():
    rng = np.random.default_rng(2)
    predicted, observed = rng.standard_normal((2, 30)) + 5
    orders = permutations(["p"] * 15 + ["q"] * 15, 40, rng)
    naive = [abs(stats.pearsonr(predicted[order], observed)[0]) for order in orders]
    np.testing.assert_allclose(permutation_null(predicted, observed, orders), naive, rtol=1e-10)


def test_permutation_p_of_a_prediction_that_most_people_share():
    """One person stands out: the p is that person's rank among all, and ties count."""
    predicted = np.zeros(9)
    predicted[4] = 1.0
    observed = np.array([0.1, -0.2, 0.3, -0.4, 5.0, -0.6, 0.7, -0.8, 0.9]) / 3
    orders = np.array([np.roll(np.arange(9), shift) for shift in range(1, 10)])
    r = stats.pearsonr(predicted, observed)[0]
    assert empirical_p(abs(r), permutation_null(predicted, observed, orders)) == 2 / 10


@pytest.mark.parametrize(
    ("predicted", "observed"), [(np.ones(4), np.arange(4.0)), (np.arange(4.0), np.ones(4))]
)
def test_nothing_to_permute_is_an_error(predicted, observed):
    with pytest.raises(InputError, match="permutation null needs a prediction and expression that vary"):
        permutation_null(predicted, observed, np.arange(4)[None])


@pytest.fixture(scope="module")
def without_effect():
    """Test -> 400 p-values of predictions by chance; genes of two populations that differ in nothing."""
    rng = np.random.default_rng(5)
    populations = ["a"] * 20 + ["b"] * 40
    pvalues: dict[str, list[float]] = {"empirical": [], "permutation": [], "sasse2023": []}
    orders = permutations(populations, 199, rng)
    for _ in range(400):
        dosage = rng.integers(0, 3, (8, 60)).astype(np.uint8)
        expression = rng.standard_normal(60)
        predicted = rng.standard_normal(8) @ dosage
        r = stats.pearsonr(predicted, expression)[0]
        found = null_test(r, random_weights_null(dosage, expression, 199, rng))
        pvalues["empirical"].append(found.pval_empirical)
        pvalues["sasse2023"].append(found.pval_sasse2023)
        exchanged = permutation_null(predicted, expression, orders)
        pvalues["permutation"].append(empirical_p(abs(r), exchanged))
    return pvalues


@pytest.mark.parametrize("test", ["empirical", "permutation"])
def test_p_is_uniform_without_effect(without_effect, test):
    assert stats.kstest(without_effect[test], "uniform").pvalue > 0.01


def test_the_published_test_calls_chance_significant(without_effect):
    assert np.mean(np.array(without_effect["sasse2023"]) < 0.01) > 0.03


def test_permutation_keeps_what_separates_populations():
    """Prediction and expression differ between populations and in nothing else: none within them."""
    rng = np.random.default_rng(12)
    population = np.repeat([0, 1], 40)
    orders = permutations(population.astype(str).tolist(), 199, rng)
    free = permutations([None] * 80, 199, rng)
    within, across = [], []
    for _ in range(200):
        predicted, observed = population + 0.5 * rng.standard_normal((2, 80))
        r = abs(stats.pearsonr(predicted, observed)[0])
        within.append(empirical_p(r, permutation_null(predicted, observed, orders)))
        across.append(empirical_p(r, permutation_null(predicted, observed, free)))
    assert stats.kstest(within, "uniform").pvalue > 0.01
    assert np.mean(across) < 0.02


def test_published_test_equals_scipy():
    """abs(r) against a made-up sample of 50 whose *variance* is the published standard deviation."""
    rng = np.random.default_rng(6)
    sample = rng.standard_normal(SASSE_DRAWS)
    sd = 0.04
    sample = 0.06 + (sample - sample.mean()) / sample.std(ddof=1) * np.sqrt(sd)
    expected = stats.ttest_1samp(sample, 0.11, alternative="less").pvalue
    assert sasse2023_p(np.array([-0.11]), np.array([0.06]), np.array([sd]))[0] == pytest.approx(expected)


def test_published_test_takes_the_first_fifty_draws():
    null = np.concatenate([np.linspace(0, 0.2, SASSE_DRAWS), np.full(900, 0.9)])
    few = null[:SASSE_DRAWS]
    expected = sasse2023_p(np.array([0.15]), np.array([few.mean()]), np.array([few.std()]))
    assert null_test(0.15, null).pval_sasse2023 == expected[0]


def test_empirical_p_counts_ties_and_is_never_zero():
    null = np.array([0.1, 0.2, 0.3])
    assert empirical_p(0.2, null) == 3 / 4
    assert empirical_p(0.9, null) == 1 / 4
    tested = null_test(-0.4, null)
    assert tested.z == pytest.approx((0.4 - 0.2) / 0.1)
    assert tested.null_draws == 3
    assert tested.pval_z == pytest.approx(stats.norm.sf(2))


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
