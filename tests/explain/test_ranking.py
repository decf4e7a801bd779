"""Average precision with intervals, beside a baseline."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hapsight.explain.reliability_quality import ranked


def scores(n: int = 200, seed: int = 0):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.2
    return positive, {"good": positive + rng.normal(0, 0.3, n), "noise": rng.integers(0, 9, n) * 1.0}


def test_values_are_those_of_scikit_learn():
    positive, both = scores()
    found = ranked(both, "noise", positive, np.random.default_rng(1), draws=200)
    for name, score in both.items():
        one = found[name, "auprc"]
        assert one.value == pytest.approx(average_precision_score(positive, score))
        assert one.ci_low < one.value < one.ci_high
        assert (one.n, one.n_positive) == (200, positive.sum())
    gain = found["good", "auprc_gain"]
    assert gain.value == pytest.approx(found["good", "auprc"].value - found["noise", "auprc"].value)
    assert gain.ci_low > 0
    assert ("noise", "auprc_gain") not in found


def test_a_copy_of_the_baseline_gains_nothing():
    positive, both = scores()
    found = ranked(
        {"noise": both["noise"], "copy": both["noise"]}, "noise", positive, np.random.default_rng(1)
    )
    gain = found["copy", "auprc_gain"]
    assert (gain.value, gain.ci_low, gain.ci_high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("positive", [[True, True], [False, False, False], []])
def test_one_class_has_no_value(positive):
    mask = np.array(positive, np.bool_)
    found = ranked({"a": np.arange(len(mask)) * 1.0}, "a", mask, np.random.default_rng(0))
    assert found["a", "auprc"].value is None
    assert found["a", "auprc"].n == len(mask)
