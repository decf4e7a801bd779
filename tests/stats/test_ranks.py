from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from hapsight.errors import InputError
from hapsight.stats.ranks import Estimate, auroc, spearman, track_correlation


class TestAuroc:
    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
    def test_equals_counting_pairs(self, pairs: list[tuple[int, bool]]) -> None:
        score = np.array([value for value, _ in pairs], float)
        positive = np.array([flag for _, flag in pairs])
        found = auroc(score, positive)
        ones, zeros = score[positive], score[~positive]
        if not len(ones) or not len(zeros):
            assert found == Estimate(len(pairs), n_positive=len(ones))
            return
        wins = [(a > b) + 0.5 * (a == b) for a in ones for b in zeros]
        assert found.value == pytest.approx(np.mean(wins))
        assert found.value == pytest.approx(roc_auc_score(positive, score))
        assert found.ci_low is not None
        assert found.ci_high is not None
        assert 0 <= found.ci_low <= found.value <= found.ci_high <= 1

    def test_interval_of_hanley_and_mcneil(self) -> None:
        """Their formula by hand for 51 abnormal and 58 normal images and an area of about .893: SE .032."""
        rng = np.random.default_rng(4)
        score = np.concatenate([rng.normal(1.76, 1, 51), rng.normal(0, 1, 58)])
        found = auroc(score, np.arange(109) < 51)
        assert found.value is not None
        assert found.ci_low is not None
        a = found.value
        q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
        error = np.sqrt((a * (1 - a) + 50 * (q1 - a * a) + 57 * (q2 - a * a)) / (51 * 58))
        assert found.value - found.ci_low == pytest.approx(1.959964 * error, rel=1e-6)

    def test_shapes(self) -> None:
        with pytest.raises(InputError, match="two values each"):
            auroc(np.zeros(3), np.zeros(2, bool))


class TestSpearman:
    def test_value_and_interval(self) -> None:
        rng = np.random.default_rng(1)
        x = rng.standard_normal(60)
        y = x + rng.standard_normal(60)
        found = spearman(x, y)
        rho = stats.spearmanr(x, y).statistic
        half = 1.959964 * np.sqrt((1 + rho**2 / 2) / 57)
        assert found.value == pytest.approx(rho)
        assert found.ci_low == pytest.approx(np.tanh(np.arctanh(rho) - half))
        assert found.ci_high == pytest.approx(np.tanh(np.arctanh(rho) + half))

    def test_none_where_there_is_none(self) -> None:
        assert spearman(np.arange(3.0), np.arange(3.0)) == Estimate(3)
        assert spearman(np.ones(9), np.arange(9.0)) == Estimate(9)
        assert spearman(np.arange(9.0), np.arange(9.0)) == Estimate(9, 1.0, 1.0, 1.0)


class TestTrackCorrelation:
    def test_equals_pearson(self) -> None:
        rng = np.random.default_rng(2)
        x = rng.standard_normal(1_050) + 1e3
        y = x + rng.standard_normal(1_050)
        found = track_correlation(x, y, 100, rng)
        assert found.n == 1_050
        assert found.value == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-9)
        assert found.ci_low is not None
        assert found.ci_high is not None
        assert found.ci_low < found.value < found.ci_high

    def test_like_neighbours_widen_the_interval(self) -> None:
        rng = np.random.default_rng(3)
        x, y = (np.repeat(rng.standard_normal(40), 50) for _ in range(2))
        whole = track_correlation(x, y, 50, np.random.default_rng(0))
        alone = track_correlation(x, y, 1, np.random.default_rng(0))
        assert whole.ci_low is not None
        assert whole.ci_high is not None
        assert alone.ci_low is not None
        assert alone.ci_high is not None
        assert whole.ci_high - whole.ci_low > 4 * (alone.ci_high - alone.ci_low)

    def test_none_where_there_is_none(self) -> None:
        rng = np.random.default_rng(0)
        assert track_correlation(np.ones(9), np.arange(9.0), 3, rng) == Estimate(9)
        assert track_correlation(np.arange(9.0), np.arange(9.0), 9, rng).ci_low is None
        with pytest.raises(InputError, match="of the same bins"):
            track_correlation(np.ones(9), np.ones(8), 3, rng)
