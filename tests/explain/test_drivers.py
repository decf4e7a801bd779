"""Drivers by both published forms equal what their definitions say, read word by word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.errors import InputError
from hapsight.explain.drivers import FORMS, rastogi_drivers, sasse2023_drivers
from tests.explain.drivers_naive import rastogi_slowly, sasse2023_slowly


def _gene(seed: int, v: int = 30, n: int = 80, noise: float = 0.3):
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.0, 0.5, v)[:, None], (v, n)).astype(np.uint8)
    dosage[0] = 1
    effects = rng.standard_normal(v) * rng.exponential(1.0, v) ** 2
    predicted = effects @ dosage
    predicted = predicted + noise * predicted.std() * rng.standard_normal(n)
    return effects, dosage, predicted


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), noise=st.sampled_from([0.0, 0.3, 2.0]))
def test_forward_selection_is_the_slow_one(seed, noise):
    effects, dosage, predicted = _gene(seed, noise=noise)
    found = sasse2023_drivers(effects, dosage, predicted)
    if found.status == "not_additive":
        return
    slow = sasse2023_slowly(effects, dosage.astype(float), predicted)
    assert found.index.tolist() == [v for v, _ in slow]
    np.testing.assert_allclose(found.rise, [rise for _, rise in slow], atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), noise=st.sampled_from([0.0, 0.3, 2.0]))
def test_rastogi_selection_is_the_slow_one(seed, noise):
    effects, dosage, predicted = _gene(seed, noise=noise)
    found = rastogi_drivers(effects, dosage, predicted)
    slow = rastogi_slowly(effects, dosage.astype(float), predicted)
    assert found.index.tolist() == [v for v, _ in slow]
    np.testing.assert_allclose(found.rise, [rise for _, rise in slow], atol=1e-9)


def test_the_two_forms_differ_where_a_variant_spoils_the_sum():
    """A large effect against the prediction stays in the sum of one form only."""
    rng = np.random.default_rng(4)
    dosage = rng.integers(0, 3, (3, 500)).astype(np.uint8)
    effects = np.array([3.0, 2.0, 1.0])
    predicted = -0.2 * dosage[0] + 2.0 * dosage[1] + 1.0 * dosage[2]
    assert sasse2023_drivers(effects, dosage, predicted).rise.sum() > 1.0
    rastogi = rastogi_drivers(effects, dosage, predicted)
    assert rastogi.index.tolist() == [1, 2]
    assert rastogi.rise.sum() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("form", FORMS)
def test_a_single_cause_is_the_main_driver_whatever_its_place(form):
    rng = np.random.default_rng(1)
    dosage = rng.binomial(2, 0.3, (12, 200)).astype(np.uint8)
    effects = np.full(12, 1e-3)
    effects[7] = -1.0
    found = FORMS[form](effects, dosage, effects @ dosage)
    assert found.main is not None
    assert found.index[found.main] == 7
    assert found.r[found.main] > 0.99
    assert found.additivity == pytest.approx(1.0)


@pytest.mark.parametrize("form", FORMS)
def test_order_of_variants_and_people_changes_nothing(form):
    effects, dosage, predicted = _gene(11)
    variants, people = np.random.default_rng(2).permutation(30), np.random.default_rng(3).permutation(80)
    one = FORMS[form](effects, dosage, predicted)
    other = FORMS[form](effects[variants], dosage[variants][:, people], predicted[people])
    assert set(one.index) == set(variants[other.index])
    assert len(one.index)


@pytest.mark.parametrize("form", FORMS)
def test_chance_gives_fewer_drivers_than_the_error_rate(form):
    """Predictions that know nothing of the genotypes: at most one gene in a hundred has a driver."""
    rng = np.random.default_rng(8)
    genes = [_gene(seed) for seed in range(400)]
    with_driver = [len(FORMS[form](a, g, rng.standard_normal(80)).index) > 0 for a, g, _ in genes]
    assert np.mean(with_driver) <= 0.02


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("effects", "predicted", "status"),
    [
        ([1.0, 2.0], [3.0] * 6, "constant_prediction"),
        ([0.0, 0.0], range(6), "no_effect"),
        ([1.0, 0.0], range(6), "no_effect"),
    ],
)
def test_nothing_to_explain_is_said(form, effects, predicted, status):
    dosage = np.array([[1] * 6, [0, 1, 2, 0, 1, 2]], np.uint8)
    found = FORMS[form](np.array(effects), dosage, np.array(predicted, float))
    assert found.status == status
    assert found.main is None
    assert found.additivity is None


def test_a_sum_against_the_prediction_is_not_additive():
    dosage = np.array([[0, 1, 2, 0, 1, 2]], np.uint8)
    found = sasse2023_drivers(np.array([1.0]), dosage, -dosage[0].astype(float))
    assert (found.status, found.additivity) == ("not_additive", pytest.approx(-1.0))
    assert not len(found.index)


def test_a_sum_that_hardly_rises_with_the_prediction_is_not_additive():
    """In Sasse's form: a share of a small r makes drivers of nearly all variants."""
    rng = np.random.default_rng(6)
    dosage = rng.binomial(2, 0.4, (30, 1000)).astype(np.uint8)
    effects = rng.uniform(0.9, 1.1, 30) * np.tile([1.0, -1.0], 15)
    predicted = np.abs(effects) @ dosage + 0.05 * effects @ dosage
    found = sasse2023_drivers(effects, dosage, predicted)
    assert 0 < found.additivity <= 0.2
    assert (found.status, len(found.index)) == ("not_additive", 0)
    asked = sasse2023_drivers(effects, dosage, predicted, additive=0.0)
    assert (asked.status, asked.additivity) == ("ok", found.additivity)
    assert len(asked.index) > 5
    assert rastogi_drivers(effects, dosage, predicted).status == "ok"


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="do not fit") as error:
        sasse2023_drivers(np.ones(3), np.ones((2, 5)), np.ones(5))
    assert "3 variants x 5 people" in str(error.value)
    with pytest.raises(InputError, match="one effect is not") as error:
        rastogi_drivers(np.array([1.0, np.nan]), np.ones((2, 5)), np.arange(5.0))
    assert "nan at 1" in str(error.value)
