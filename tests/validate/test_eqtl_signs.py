"""Signs of eQTLs, and matched controls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.validate.eqtl_signs import matched_controls, sign_benchmark


def found(effect, slope, distance=None, pip=None):
    n = len(effect)
    distance = np.full(n, 500.0) if distance is None else distance
    pip = np.full(n, np.nan) if pip is None else pip
    return {(one.quantity, one.stratum): one.found for one in sign_benchmark(effect, slope, distance, pip)}


def test_by_hand():
    effect = np.array([1.0, 2.0, -1.0, 3.0, 0.0])
    slope = np.array([1.0, 1.5, 2.0, -1.0, -2.0])
    rows = found(effect, slope)
    assert rows["sign_agrees", "all"].value == pytest.approx(2 / 4)  # the effect of 0 has no sign
    assert rows["sign_agrees", "all"].n == 4
    # effects of the rising 1, 2, -1 against those of the falling 3, 0: 2 of 6 pairs are in order
    assert rows["sign_auroc", "all"].value == pytest.approx(2 / 6)
    assert rows["spearman", "all"].value == pytest.approx(-0.3)


def test_strata_hold_what_they_say():
    distance = np.array([10.0, 999.0, 1000.0, 20_000.0, 200_000.0] * 4)
    pip = np.array([0.05, 0.95, np.nan, 0.5, 0.2] * 4)
    rows = found(np.ones(20), np.ones(20), distance, pip)
    n = {stratum: one.n for (quantity, stratum), one in rows.items() if quantity == "sign_agrees"}
    assert n == {
        "all": 20,
        "distance < 1000": 8,
        "distance 1000 to 10000": 4,
        "distance 10000 to 100000": 4,
        "distance >= 100000": 4,
        "pip < 0.1": 4,
        "pip 0.1 to 0.5": 4,
        "pip 0.5 to 0.9": 4,
        "pip >= 0.9": 4,
    }


@given(st.integers(0, 30), st.integers(0, 60), st.integers(1, 3), st.integers(0, 1000))
def test_controls_match_and_are_used_once(n_cases, n_pool, n, seed):
    rng = np.random.default_rng(seed)
    cases, pool = (
        (10 ** rng.uniform(1, 6, size), rng.uniform(0.01, 0.5, size)) for size in (n_cases, n_pool)
    )
    chosen = matched_controls(cases, pool, n, rng)
    assert chosen.shape == (n_cases, n)
    used = chosen[chosen >= 0]
    assert len(set(used.tolist())) == len(used)
    edges = (300, 1e3, 3e3, 1e4, 3e4, 1e5), (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)

    def classes(features, i):
        return tuple(sum(values[i] >= e for e in cuts) for values, cuts in zip(features, edges, strict=True))

    free: dict[tuple[int, ...], int] = {}
    for p in set(range(n_pool)) - set(used.tolist()):
        free[classes(pool, p)] = free.get(classes(pool, p), 0) + 1
    for c, row in enumerate(chosen.tolist()):
        if row[0] < 0:
            assert set(row) == {-1}
            assert free.get(classes(cases, c), 0) < n
        else:
            assert {classes(pool, p) for p in row} == {classes(cases, c)}
