"""How often signs are right by a prior: by counting, and by dealing the priors in every way."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.errors import InputError
from hapsight.explain.support import prior_shares, shuffled_share

SIGNS = st.sampled_from([-1.0, 1.0])


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(SIGNS, SIGNS), min_size=1, max_size=6), right=st.integers(0, 3))
def test_the_control_is_the_mean_of_all_ways_to_deal(pairs, right):
    score, slope = (np.array(values) for values in zip(*pairs, strict=True))
    counts = [(np.array(deal) == slope).sum() for deal in permutations(score)]
    found = shuffled_share(score, slope, right, 3)
    total = len(pairs) + 3
    assert found.value == pytest.approx((np.mean(counts) + right) / total)
    assert found.n == total
    inside = [found.ci_low - 1e-9 <= (c + right) / total <= found.ci_high + 1e-9 for c in counts]
    assert np.mean(inside) >= 0.95


def test_shares_are_counts():
    effect = np.array([1.0, -2.0, 3.0, 1.0, -1.0])
    score = np.array([-0.5, -0.1, 0.0, 2.0, 0.0])
    slope = np.array([-1.0, -1.0, 1.0, 1.0, 1.0])
    found = dict(prior_shares(effect, score, slope))
    assert {name: (share.value, share.n) for name, share in found.items()} == {
        "prior_known": (0.6, 5),
        "prior_agrees": (pytest.approx(2 / 3), 3),
        "sign_by_model": (pytest.approx(2 / 3), 3),
        "sign_by_prior": (1.0, 3),
        "sign_by_prior_shuffled": (pytest.approx(5 / 9), 3),
        "sign_by_either": (0.8, 5),
        "sign_by_either_shuffled": (pytest.approx((5 / 3 + 1) / 5), 5),
    }
    assert found["sign_by_prior"].pval == pytest.approx(1 / 3)  # one of three ways to deal is as good
    assert found["sign_by_either"].pval == pytest.approx(1.0)  # one driver differs


def test_an_informative_prior_beats_its_control_and_a_shuffled_one_does_not():
    rng = np.random.default_rng(1)
    slope, effect = rng.standard_normal((2, 300))
    score = np.where(rng.random(300) < 0.8, slope, -slope)
    good = dict(prior_shares(effect, score, slope))
    assert good["sign_by_prior"].ci_low > good["sign_by_prior_shuffled"].ci_high
    assert good["sign_by_either"].pval < 1e-6
    bad = dict(prior_shares(effect, rng.permutation(score), slope))
    control = bad["sign_by_prior_shuffled"]
    assert control.ci_low <= bad["sign_by_prior"].value <= control.ci_high


def test_no_driver_has_a_prior():
    found = dict(prior_shares(np.ones(2), np.zeros(2), np.ones(2)))
    assert (found["sign_by_prior"].value, found["sign_by_prior_shuffled"].value) == (None, None)
    assert (found["sign_by_either"].value, found["sign_by_either_shuffled"].value) == (1.0, 1.0)
    assert not any(share.n for share in dict(prior_shares(np.ones(0), np.ones(0), np.ones(0))).values())


def test_numbers_without_a_sign_are_refused():
    with pytest.raises(InputError, match="slope has no sign"):
        list(prior_shares(np.ones(2), np.ones(2), np.array([1.0, 0.0])))
