import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.stats.direction_factors import CLASSES, cut, strata

FACTORS = st.sampled_from(sorted(CLASSES))
VALUES = st.lists(
    st.one_of(st.just(float("nan")), st.integers(0, 4).map(float), st.floats(0, 1e6)), min_size=1, max_size=60
)
DISTANCE = np.array([10.0, 5e3, 5e5])


@given(FACTORS, VALUES)
def test_strata_hold_each_gene_once(factor, values):
    values = np.array(values)
    r = np.random.default_rng(len(values)).uniform(-1, 1, len(values))
    found = list(strata(factor, values, r, cut(factor, values)))
    assert sum(stratum.n for stratum in found) == len(values)
    assert all(stratum.n for stratum in found)
    assert sum(stratum.n * stratum.share_right for stratum in found) == pytest.approx(np.sum(r > 0))
    assert [stratum.rank for stratum in found] == sorted({stratum.rank for stratum in found})
    for stratum in found:
        low = -np.inf if stratum.low is None else stratum.low
        high = np.inf if stratum.high is None else stratum.high
        inside = (values >= low) & (values < high) if stratum.known else np.isnan(values)
        assert inside.sum() == stratum.n
        assert stratum.mean_r == pytest.approx(r[inside].mean())


def test_fixed_classes_and_terciles():
    assert cut("distance", DISTANCE) == (1e3, 1e4, 1e5)
    assert cut("distance", np.array([10.0, 5e3, np.nan])) == (1e3,)
    near, middle, far = strata("distance", DISTANCE, np.array([0.1, -0.1, 0.3]), (1e3, 1e4))
    assert (near.high, middle.low, middle.high, far.low) == (1e3, 1e3, 1e4, 1e4)
    assert [s.share_right for s in (near, middle, far)] == [1.0, 0.0, 1.0]
    values = np.arange(9.0)
    thirds = strata("mean_expression", values, np.ones(9), cut("mean_expression", values))
    assert [stratum.n for stratum in thirds] == [3, 3, 3]


def test_a_stratum_without_genes_is_not_there():
    found = list(strata("in_window", np.ones(3), np.ones(3), (1.0,)))
    assert [(s.rank, s.low, s.high, s.n) for s in found] == [(1, 1.0, None, 3)]


def test_a_factor_that_is_the_same_in_all_genes_has_one_stratum():
    (only,) = strata("h2", np.full(5, 0.2), np.ones(5), cut("h2", np.full(5, 0.2)))
    assert (only.n, only.low, only.high, only.known) == (5, None, None, True)


def test_planted_signs_are_found_in_their_stratum():
    rng = np.random.default_rng(3)
    distance = rng.choice([500.0, 2e5], 400)
    right = np.where(distance < 1e3, rng.random(400) < 0.9, rng.random(400) < 0.5)
    near, far = strata("distance", distance, np.where(right, 0.2, -0.2), (1e3,))
    assert near.ci_low > 0.8
    assert far.ci_low < 0.5 < far.ci_high
