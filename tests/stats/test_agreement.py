from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.stats.agreement import overlap, prediction_r, predictions_alike, same_direction
from hapsight.stats.correlation import correlate

FLAGS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(FLAGS)
def test_overlap_the_slow_way(pairs):
    one, other = (np.array(flags) for flags in zip(*pairs, strict=True))
    found, n = overlap(one, other), len(pairs)
    counts = sum(one), sum(other), sum(a and b for a, b in pairs)
    assert (found.first, found.second, found.both) == counts
    assert found.expected == pytest.approx(counts[0] * counts[1] / n)

    def chance(k: int) -> float:
        return comb(counts[0], k) * comb(n - counts[0], counts[1] - k) / comb(n, counts[1])

    possible = range(max(0, counts[0] + counts[1] - n), min(counts[:2]) + 1)
    seen = chance(counts[2])
    twin = sum(chance(k) for k in possible if chance(k) <= seen * (1 + 1e-7))
    assert found.pval == pytest.approx(twin)


def test_failures_that_go_together_have_large_odds():
    rng = np.random.default_rng(0)
    one = rng.random(500) < 0.4
    other = np.where(rng.random(500) < 0.8, one, rng.random(500) < 0.4)
    found, chance = overlap(one, other), overlap(one, rng.random(500) < 0.4)
    assert found.ci_low > 5
    assert chance.ci_low < 1 < chance.ci_high


def test_odds_that_are_not_finite_are_none():
    found = overlap(np.array([True, False]), np.array([True, False]))
    assert (found.odds_ratio, found.ci_high) == (None, None)
    assert overlap(np.zeros(0, bool), np.zeros(0, bool)).pval is None


def test_same_direction_leaves_out_zero():
    found = same_direction(np.array([0.1, -0.1, 0.0, 0.2]), np.array([0.3, 0.1, 0.2, 0.1]))
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)


def test_prediction_r_is_pearson_over_people():
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal((2, 4, 30)).astype(np.float32)
    other[1] = 5.0
    other[2, 3] = np.nan
    found = prediction_r(one, other)
    assert np.isnan(found[[1, 2]]).all()
    for gene in (0, 3):
        assert found[gene] == pytest.approx(correlate(one[gene], other[gene]).pearson_r, abs=1e-12)
    assert predictions_alike(found).genes == 2
    assert predictions_alike(found).median == pytest.approx(found[[0, 3]].mean())
    assert predictions_alike(np.full(3, np.nan)) == (0, None, None, None)
