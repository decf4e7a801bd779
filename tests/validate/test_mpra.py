"""Baselines of saturation mutagenesis, and signs by tenths."""

import numpy as np
import pytest

from hapsight.validate.elements import mpra_baselines, sign_by_decile


def element(n_places: int = 60, seed: int = 0):
    """Three exchanges and a deletion at most places."""
    rng = np.random.default_rng(seed)
    place, ref, alt = [], [], []
    for p in range(100, 100 + n_places):
        goes = rng.choice(list("ACGT"))
        for comes in "ACGT-":
            if comes != goes and rng.random() < 0.9:
                place.append(p)
                ref.append(goes)
                alt.append(comes)
    return np.array(place), tuple(ref), tuple(alt)


def baselines(place, ref, alt, measured):
    return {one.name: one for one in mpra_baselines(place, place - 80, ref, alt, measured)}


def test_each_finds_what_it_can_know():
    place, ref, alt = element()
    along = ((place - 130) / 30.0) ** 2
    assert np.corrcoef(baselines(place, ref, alt, along)["distance"].signed, along)[0, 1] > 0.999
    comes = np.array([{"A": 0.5, "C": -1.0, "G": 2.0, "T": 0.0, "-": -3.0}[base] for base in alt])
    assert np.allclose(baselines(place, ref, alt, comes)["composition"].signed, comes)
    with_noise = np.sin(place / 9.0) + np.random.default_rng(1).normal(0, 0.1, len(place))
    assert np.corrcoef(baselines(place, ref, alt, with_noise)["local"].signed, with_noise)[0, 1] > 0.9


def test_none_has_seen_its_own_position():
    place, ref, alt = element()
    measured = np.random.default_rng(2).standard_normal(len(place))
    changed = np.where(place == 117, 50.0, measured)
    before, after = baselines(place, ref, alt, measured), baselines(place, ref, alt, changed)
    for name in before:
        for part in ("signed", "size"):
            one, other = (getattr(found[name], part)[place == 117] for found in (before, after))
            np.testing.assert_allclose(one, other, atol=1e-9)
            assert not np.allclose(getattr(before[name], part), getattr(after[name], part))


def test_local_mean_is_that_of_a_loop():
    place, ref, alt = element()
    place = np.where(place > 140, place + 40, place)
    measured = np.random.default_rng(3).standard_normal(len(place))
    found = baselines(place, ref, alt, measured)["local"]
    for v, p in enumerate(place):
        near = (np.abs(place - p) <= 5) & (place != p)
        assert found.signed[v] == pytest.approx(measured[near].mean())
        assert found.size[v] == pytest.approx(np.abs(measured[near]).mean())


def test_deciles_go_from_small_to_large_and_leave_out_zeros():
    measured = np.concatenate([np.arange(1.0, 101.0), [0.0, 5.0]])
    effect = np.where(measured > 90, 1.0, -1.0)
    effect[-1] = 0.0
    shares = sign_by_decile(effect, measured, measured)
    assert [share.n for share in shares] == [10] * 10
    assert [share.value for share in shares] == [0.0] * 9 + [1.0]
