"""Xpresso's convolutions apart from the rest give what the whole model gives."""

import numpy as np
import pytest
import torch

from hapsight.engine.engine import Valuer
from hapsight.engine.shared import shared_values
from hapsight.explain.gradients import input_gradient
from hapsight.models.xpresso import LocalXpresso, Xpresso
from tests.models.lively_xpresso import lively_xpresso


@pytest.fixture(scope="module")
def whole() -> Xpresso:
    return lively_xpresso()


def family(n: int = 24) -> np.ndarray:
    """Sequences that differ from the first at single bases, at the edges of positions and windows first."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 5, 10_500).astype(np.uint8)
    rows = np.repeat(first[None], n, axis=0)
    places = [0, 1, 299, 300, 421, 422, 423, 10_499, 10_200, 10_199, *rng.integers(0, 10_500, n - 11)]
    for row, place in zip(rows[1:], places, strict=True):
        row[place] = (row[place] + 1) % 4
    rows[-1] = np.roll(first, 7)  # an indel at the very edge
    return rows


def test_equals_the_whole_model(whole):
    rows, local = family(), whole.local()
    assert isinstance(local, LocalXpresso)
    assert (local.name, local.fingerprint, local.window) == (whole.name, whole.fingerprint, whole.window)
    plain = whole.predict(torch.from_numpy(rows), whole.read_out())[:, 0].numpy()
    assert np.ptp(plain) > 1e-3
    shared, work = shared_values(local, local.read_out(), rows, device="cpu")
    np.testing.assert_allclose(shared[:, 0], plain, atol=1e-6)
    assert work.flop < len(rows) * whole.flop_per_pass / 3
    both = local.read(local.embed(torch.from_numpy(rows)), local.read_out())
    np.testing.assert_allclose(both[:, 0].numpy(), plain, atol=1e-6)
    np.testing.assert_array_equal(
        local.predict(torch.from_numpy(rows[:2]), local.read_out())[:, 0], plain[:2]
    )


def test_its_operations_are_the_models(whole):
    local = whole.local()
    assert local.embed_flop(10_500) + local.read_flop(local.read_out()) == whole.flop_per_pass


def test_gradients_are_the_same(whole):
    row = family(12)[:1]
    ours = input_gradient(Valuer(whole.local(), whole.read_out(), "cpu"), row)
    theirs = input_gradient(Valuer(whole, whole.read_out(), "cpu"), row)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    assert np.abs(theirs).max() > 1e-4
