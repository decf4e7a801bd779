import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hapsight.stats.eqtl import half_scan, random_halves
from tests.stats.eqtl_naive import regression, simulated


@given(st.lists(st.sampled_from(["CEU", "FIN", "TSI", None]), max_size=40), st.integers(0, 1000))
def test_halves_are_even_within_groups_and_in_all(groups, seed):
    half = random_halves(groups, np.random.default_rng(seed))
    assert set(half.tolist()) <= {1, 2}
    assert abs(int(np.sum(half == 1)) - int(np.sum(half == 2))) <= 1
    for group in set(groups):
        members = half[[g == group for g in groups]]
        assert abs(int(np.sum(members == 1)) - int(np.sum(members == 2))) <= 1


def test_halves_are_random_and_come_from_the_generator():
    groups = ["A", "B"] * 50
    one, again, other = (random_halves(groups, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
    draws = [random_halves(groups, np.random.default_rng(seed)) == 1 for seed in range(400)]
    assert np.abs(np.mean(draws, axis=0) - 0.5).max() < 0.12


def test_effects_in_a_half_know_nothing_of_the_other():
    rng = np.random.default_rng(3)
    dosage, covariates = simulated(5, 60, 3, rng)
    expression = rng.standard_normal(60)
    people = random_halves([None] * 60, rng) == 1
    found = half_scan(dosage, expression, covariates, people)
    for v, row in enumerate(dosage):
        twin = regression(row[people], expression[people], covariates[people])
        assert np.isclose(found.slope[v], twin["slope"])
        assert np.isclose(found.slope_se[v], twin["slope_se"])
    changed = np.where(people, expression, 1e6)
    np.testing.assert_array_equal(half_scan(dosage, changed, covariates, people).slope, found.slope)


def test_too_few_people_for_the_covariates_have_no_effects():
    rng = np.random.default_rng(4)
    dosage, covariates = simulated(5, 20, 9, rng)
    people = np.arange(20) < 10
    assert half_scan(dosage, rng.standard_normal(20), covariates, people) is None
