"""Correlations with intervals over groups."""

import numpy as np
import pytest
from scipy import stats

from hapsight.stats.ranks import grouped_auroc, grouped_correlation, grouped_mean


def pairs(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    return x, 0.5 * x + rng.standard_normal(n)


@pytest.mark.parametrize("ranks", [False, True])
def test_interval_is_that_of_drawing_groups_one_by_one(ranks):
    x, y = pairs(90)
    group = np.arange(90) // 3 + 7
    found = grouped_correlation(x, y, group, np.random.default_rng(3), ranks=ranks, draws=50)
    u, v = (stats.rankdata(x), stats.rankdata(y)) if ranks else (x, y)
    times = np.random.default_rng(3).multinomial(30, np.full(30, 1 / 30), size=50)
    slow = [stats.pearsonr(np.repeat(u, np.repeat(t, 3)), np.repeat(v, np.repeat(t, 3)))[0] for t in times]
    assert found.value == pytest.approx((stats.spearmanr if ranks else stats.pearsonr)(x, y)[0])
    np.testing.assert_allclose([found.ci_low, found.ci_high], np.quantile(slow, (0.025, 0.975)))
    assert found.n == 90


def test_copies_within_a_group_do_not_narrow_the_interval():
    x, y = pairs(40)
    alone = grouped_correlation(x, y, np.arange(40), np.random.default_rng(1))
    copies = [np.repeat(v, 5) for v in (x, y, np.arange(40))]
    many = grouped_correlation(*copies, np.random.default_rng(1))
    assert many.n == 200
    assert many.ci_low == pytest.approx(alone.ci_low)
    assert many.ci_high == pytest.approx(alone.ci_high)


def test_none_where_a_side_is_constant():
    x, _ = pairs(20)
    assert grouped_correlation(np.ones(20), x, np.arange(20), np.random.default_rng(0)).value is None


def test_no_interval_of_fewer_than_five_groups_and_one_of_five():
    x, y = pairs(30)
    for groups in (1, 2, 4, 5):
        given = np.arange(30) % groups, np.random.default_rng(0)
        found = [
            grouped_correlation(x, y, *given),
            grouped_correlation(x, y, *given, ranks=True),
            grouped_auroc(x, y > 0, *given),
            grouped_mean(x, *given),
        ]
        assert all(one.value is not None for one in found)
        assert [one.ci_low is None for one in found] == [groups < 5] * 4
