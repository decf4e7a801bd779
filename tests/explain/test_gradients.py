"""Gradients equal finite differences, and captum's."""

import os

import numpy as np
import pytest
import torch

from hapsight.engine.engine import Valuer
from hapsight.engine.views import views
from hapsight.errors import ConfigError
from hapsight.explain.gradients import gradient_times_input, input_gradient
from hapsight.models import forward
from tests.engine.toy_shared import LENGTH, ToyShared, ToyWindowed
from tests.models.lively_xpresso import lively_xpresso
from tests.planted import ToyModel


def codes(rows: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (rows, length)).astype(np.uint8)


def nudged(monkeypatch, valuer: Valuer, row: np.ndarray, base: int, place: int, by: float) -> np.ndarray:
    """(T,) the read-out with a little of one base added, through every view."""
    beyond, values = valuer.beyond, []

    def with_a_little(seen: torch.Tensor, shift: int, flipped: bool) -> torch.Tensor:
        encoded = (seen[:, None] == torch.arange(4)[:, None]).double()
        at = place - beyond - shift
        if 0 <= at < seen.shape[1]:
            encoded[0, 3 - base if flipped else base, seen.shape[1] - 1 - at if flipped else at] += by
        return encoded

    for view in views(valuer.model, valuer.read_out):
        seen = torch.from_numpy(np.ascontiguousarray(view.of(row[None], beyond)))
        monkeypatch.setattr(
            "tests.engine.toy_shared.one_hot", lambda c, v=view: with_a_little(c, v.shift, v.flipped)
        )
        with torch.no_grad():
            values.append(valuer.model.predict(seen, view.read_out)[0].numpy())
        monkeypatch.undo()
    return np.mean(values, axis=0)


@pytest.mark.parametrize("model", [ToyShared, ToyWindowed])
@pytest.mark.parametrize("read_out", ["default", "ensemble"])
def test_equal_finite_differences(monkeypatch, model, read_out):
    model = model()
    valuer = Valuer(model, model.read_out(read_out), "cpu")
    rows = codes(2, LENGTH + 2 * valuer.beyond)
    found = input_gradient(valuer, rows)
    assert found.shape == (2, 2, 4, rows.shape[1])
    assert found.dtype == np.float64
    rng = np.random.default_rng(1)
    places = [0, 1, 2, rows.shape[1] - 1, *rng.integers(0, rows.shape[1], 12)]
    for place in places:
        base, step = int(rng.integers(0, 4)), 1e-6
        up, down = (nudged(monkeypatch, valuer, rows[1], base, int(place), by) for by in (step, -step))
        np.testing.assert_allclose(found[1][:, base, place], (up - down) / (2 * step), rtol=1e-4, atol=1e-7)


def test_times_input_is_the_gradient_at_the_base_that_is_there():
    rows = codes(2, 9)
    gradient = np.random.default_rng(0).standard_normal((2, 3, 4, 9))
    found = gradient_times_input(gradient, rows)
    for r in range(2):
        for place in range(9):
            base = rows[r, place]
            expected = 0 if base == 4 else gradient[r, :, base, place]
            np.testing.assert_array_equal(found[r, :, place], expected)


def test_xpresso_takes_its_plain_path_and_is_left_as_it_was():
    model = lively_xpresso()
    valuer, row = Valuer(model, model.read_out(), "cpu"), codes(1, 10_500)
    before = model.predict(torch.from_numpy(row), model.read_out())
    found = input_gradient(valuer, row)
    x = forward.one_hot(torch.from_numpy(row)).requires_grad_()
    model.network(x, model.half_life).sum().backward()
    assert np.abs(found).max() > 1e-4
    np.testing.assert_allclose(found[0, 0], x.grad[0].numpy(), rtol=1e-6, atol=1e-12)
    after = model.predict(torch.from_numpy(row), model.read_out())
    assert not after.requires_grad
    assert torch.equal(before, after)


def test_gradients_are_off_again_after_an_error():
    with pytest.raises(RuntimeError, match="stop"), forward.with_gradients():
        raise RuntimeError("stop")
    assert not forward.layers_wanted()
    assert not forward.one_hot(torch.zeros((1, 3), dtype=torch.uint8)).requires_grad


def test_a_model_with_an_encoding_of_its_own_gives_none():
    model = ToyModel()
    with pytest.raises(ConfigError, match="gives no gradients") as caught:
        input_gradient(Valuer(model, model.read_out(), "cpu"), codes(1, model.window.length))
    assert "one_hot" in str(caught.value)


@pytest.mark.verify
def test_equal_captum(monkeypatch):
    if folder := os.environ.get("HAPSIGHT_CAPTUM_FOLDER"):
        monkeypatch.syspath_prepend(folder)
    attr = pytest.importorskip(
        "captum.attr", reason="HAPSIGHT_CAPTUM_FOLDER is not set: a folder with captum"
    )
    model = lively_xpresso()
    row = codes(1, 10_500)
    found = input_gradient(Valuer(model, model.read_out(), "cpu"), row)
    x = forward.one_hot(torch.from_numpy(row)).requires_grad_()
    judged = attr.Saliency(lambda x: model.network(x, model.half_life)[:, 0])
    theirs = judged.attribute(x, abs=False).detach().numpy()
    np.testing.assert_allclose(found[:, 0], theirs, rtol=1e-6, atol=1e-12)
    times = attr.InputXGradient(lambda x: model.network(x, model.half_life)[:, 0])
    theirs = times.attribute(x).detach().numpy().sum(axis=1)
    np.testing.assert_allclose(gradient_times_input(found, row)[:, 0], theirs, rtol=1e-6, atol=1e-12)
