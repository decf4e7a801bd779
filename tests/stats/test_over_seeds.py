"""Means over genes and seeds, beside what they come to in plain cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hapsight.stats.summary import mean_interval, mean_over_seeds, summarise_over_seeds


def grid(rng, genes: int, seeds: int, of_gene: float, of_seed: float, rest: float) -> np.ndarray:
    return (
        rng.normal(0, of_gene, (genes, 1))
        + rng.normal(0, of_seed, seeds)
        + rng.normal(0, rest, (genes, seeds))
    )


def naive_mean_squares(values: np.ndarray) -> tuple[float, float, float]:
    """Of genes, of seeds and of the rest, number by number."""
    genes, seeds = values.shape
    mean = values.mean()
    of_gene = sum(seeds * (values[g].mean() - mean) ** 2 for g in range(genes)) / (genes - 1)
    of_seed = sum(genes * (values[:, s].mean() - mean) ** 2 for s in range(seeds)) / (seeds - 1)
    rest = sum(
        (values[g, s] - values[g].mean() - values[:, s].mean() + mean) ** 2
        for g in range(genes)
        for s in range(seeds)
    )
    return of_gene, of_seed, rest / ((genes - 1) * (seeds - 1))


@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(2, 4), st.floats(0, 2))
def test_the_interval_is_that_of_the_naive_mean_squares(seed, genes, seeds, spread):
    values = grid(np.random.default_rng(seed), genes, seeds, 1, spread, 0.3)
    of_gene, of_seed, rest = naive_mean_squares(values)
    found = mean_over_seeds(values)
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    assert found.n == genes
    if of_seed <= rest:
        assert found == mean_interval(values.mean(axis=1))
        return
    total = max(of_gene, rest) + of_seed - rest
    free = total**2 / (
        of_gene**2 / (genes - 1) + of_seed**2 / (seeds - 1) + rest**2 / ((genes - 1) * (seeds - 1))
    )
    free = max(free, genes - 1 if genes < seeds else seeds - 1)
    half = stats.t.ppf(0.975, free) * np.sqrt(total / (genes * seeds))
    assert found.ci_high - found.value == pytest.approx(half)
    assert found.value - found.ci_low == pytest.approx(half)


def test_it_is_bounded_where_genes_do_not_differ():
    """By the intervals over genes alone and over seeds alone, each with the fewest degrees of freedom."""
    rng, most = np.random.default_rng(2), stats.t.ppf(0.975, 2) / stats.t.ppf(0.975, 19)
    for _ in range(200):
        values = rng.normal(0, 1, (20, 3))
        found, of_seeds, of_genes = (
            one.ci_high - one.ci_low
            for one in (mean_over_seeds(values), *(mean_interval(values.mean(axis=i)) for i in (0, 1)))
        )
        assert found <= np.hypot(of_seeds, most * of_genes)


@pytest.mark.parametrize("of_seed", [0.0, 0.1])
def test_it_covers_the_truth_where_the_interval_of_genes_need_not(of_seed):
    rng = np.random.default_rng(1)
    runs = [grid(rng, 100, 3, 0.2, of_seed, 0.1) for _ in range(500)]

    def coverage(interval):
        return np.mean([found.ci_low < 0 < found.ci_high for found in map(interval, runs)])

    assert 0.92 < coverage(mean_over_seeds) < 0.99
    assert (coverage(lambda values: mean_interval(values.mean(axis=1))) < 0.7) == (of_seed > 0)


def test_one_seed_is_an_interval_over_genes():
    values = np.array([[0.1], [0.2], [0.4]])
    assert mean_over_seeds(values) == mean_interval(values[:, 0])
    assert mean_over_seeds(np.empty((0, 3))).value is None
    assert mean_over_seeds(np.array([[0.1, 0.3]])).ci_low is None


def test_significant_genes_and_their_wrong_signs():
    pearson = np.array([[0.5, 0.5], [-0.5, -0.5], [-0.4, 0.1], [0.3, np.nan]])
    qval = np.array([[0.01, 0.01], [0.01, 0.01], [0.04, 0.6], [0.01, np.nan]])
    found = {one.quantity: one for one in summarise_over_seeds(pearson, qval)}
    assert (found["genes_ok"].value, found["genes_ok"].n) == (3, 4)
    assert found["across_people_pearson_mean"].value == pytest.approx((0.5 - 0.5 - 0.15) / 3)
    assert found["significant"].value == 2.5
    assert found["significant_negative"].value == 1.5
    share = found["significant_negative_share"]
    assert (share.value, share.n) == (pytest.approx(3 / 5), 3)
    assert 0 < share.ci_low < 3 / 5 < share.ci_high < 1


def test_seeds_that_agree_are_no_further_evidence():
    """The share's interval is Wilson's over genes, however many seeds say the same."""
    r = np.repeat([[0.5], [0.4], [-0.3], [0.2]], 3, axis=1)
    q = np.repeat([[0.01], [0.01], [0.01], [0.8]], 3, axis=1)
    share = {one.quantity: one for one in summarise_over_seeds(r, q)}["significant_negative_share"]
    wilson = stats.binomtest(1, 3).proportion_ci(method="wilson")
    assert (share.ci_low, share.ci_high) == (pytest.approx(wilson.low), pytest.approx(wilson.high))


def test_nothing_significant_has_no_share():
    found = {one.quantity: one for one in summarise_over_seeds(np.full((2, 2), 0.1), np.ones((2, 2)))}
    assert found["significant"].value == 0
    assert (found["significant_negative_share"].value, found["significant_negative_share"].n) == (None, 0)


def test_a_seed_without_any_number_counts_as_nought():
    r = np.array([[0.4, np.nan, 0.2], [0.2, np.nan, np.nan], [0.0, np.nan, 0.1]])
    q = np.where(r > 0.1, 0.01, np.nan)
    found = {quantity.quantity: quantity for quantity in summarise_over_seeds(r, q)}
    assert (found["constant_seeds"].value, found["constant_seeds"].n) == (1, 3)
    assert (found["genes_ok"].value, found["genes_ok"].n) == (2, 3)
    assert found["across_people_pearson_mean"].value == pytest.approx((0.4 + 0.2 + 0.1) / 6)
    assert found["significant"].value == pytest.approx(2 / 3)
    nothing = {
        q.quantity: q.value for q in summarise_over_seeds(np.full((3, 2), np.nan), np.full((3, 2), np.nan))
    }
    assert (nothing["constant_seeds"], nothing["across_people_pearson_mean"]) == (2, None)
