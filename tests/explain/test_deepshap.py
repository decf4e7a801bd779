"""Contributions add up, equal those worked out by hand, and a network without rules is refused."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from hapsight.errors import ConfigError, InputError, MissingExtraError
from hapsight.explain.gradients import XpressoLayers, deepshap, shuffled
from hapsight.models.forward import one_hot
from tests.models.lively_xpresso import lively_xpresso

needs_tangermeme = pytest.mark.skipif(
    find_spec("tangermeme") is None, reason="the extra deepshap is not installed"
)


def random_codes(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8)


class Small(nn.Module):
    """Two layers; as functions, the rule of the one between them is not found."""

    def __init__(self, length: int = 5, *, as_module: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(4 * length, 3), nn.Linear(3, 2)
        self.relu = nn.ReLU() if as_module else F.relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.relu(self.first(x.flatten(1))))


def by_hand(network: Small, codes: np.ndarray, reference: np.ndarray, target: int) -> np.ndarray:
    """(L, 4) of one pair by the rescale rule: each unit passes on the ratio of its differences."""
    x, r = (one_hot(torch.from_numpy(c[None])).double().flatten(1) for c in (codes, reference))
    first, last = (layer.weight.detach().double() for layer in (network.first, network.last))
    bias = network.first.bias.detach().double()
    into, before = x @ first.T + bias, r @ first.T + bias
    ratio = (into.relu() - before.relu()) / (into - before)
    multiplier = (last[target] * ratio) @ first  # (1, 4 * L)
    weight = multiplier.reshape(4, -1).numpy()  # (4, L)
    change = weight - (weight * r.reshape(4, -1).numpy()).sum(axis=0)
    return change.T * (np.arange(4) == codes[:, None])


@needs_tangermeme
@pytest.mark.parametrize("target", [0, 1])
def test_equal_those_by_hand(target):
    network, codes, references = Small(), random_codes(2, 5), random_codes(2, 3, 5, seed=1)
    found = deepshap(network, codes, references, target=target)
    for r in range(2):
        expected = np.mean([by_hand(network, codes[r], ref, target) for ref in references[r]], axis=0)
        np.testing.assert_allclose(found[r], expected, atol=1e-12)


@needs_tangermeme
def test_xpresso_adds_up_and_is_left_as_it_was():
    model = lively_xpresso()
    codes = random_codes(2, 10_500)
    references = shuffled(codes, 3, np.random.default_rng(5))
    network = XpressoLayers(model)
    before = model.network(one_hot(torch.from_numpy(codes)), model.half_life).detach()
    found = deepshap(network, codes, references)
    assert found.shape == (2, 10_500, 4)
    with torch.no_grad():
        of_references = [
            model.network(one_hot(torch.from_numpy(r)), model.half_life).mean() for r in references
        ]
    difference = before[:, 0].numpy() - np.array(of_references)
    assert np.abs(difference).max() > 1e-3
    np.testing.assert_allclose(found.sum(axis=(1, 2)), difference, atol=1e-5)
    after = model.network(one_hot(torch.from_numpy(codes)), model.half_life)
    assert torch.equal(before, after.detach())
    assert not any(module._forward_hooks for module in network.modules())


@needs_tangermeme
def test_hypothetical_contributions_hold_the_observed_ones():
    codes, references = random_codes(1, 5), random_codes(1, 2, 5, seed=1)
    whole = deepshap(Small(), codes, references, hypothetical=True)
    there = deepshap(Small(), codes, references)
    mask = np.arange(4) == codes[..., None]
    np.testing.assert_array_equal(whole[mask], there[mask])
    assert (there[~mask] == 0).all()
    assert np.abs(whole[~mask]).max() > 1e-3


def test_layers_equal_the_network():
    model = lively_xpresso()
    x = one_hot(torch.from_numpy(random_codes(2, 10_500)))
    with torch.no_grad():
        assert torch.equal(XpressoLayers(model)(x), model.network(x, model.half_life))


@needs_tangermeme
def test_a_layer_without_a_rule_is_refused():
    with pytest.raises(ConfigError, match="a layer of the network has no rule") as error:
        deepshap(Small(as_module=False), random_codes(4, 5), random_codes(4, 3, 5, seed=1))
    assert "the prediction less that of the references" in str(error.value)


@needs_tangermeme
def test_shuffles_keep_dinucleotides_and_follow_the_seed():
    codes = random_codes(2, 400)
    made = shuffled(codes, 3, np.random.default_rng(1))
    assert made.shape == (2, 3, 400)
    for r in range(2):
        for one in made[r]:
            pairs = [np.bincount(5 * s[:-1] + s[1:], minlength=25) for s in (codes[r], one)]
            np.testing.assert_array_equal(*pairs)
            assert (one != codes[r]).mean() > 0.5
    np.testing.assert_array_equal(made, shuffled(codes, 3, np.random.default_rng(1)))
    assert (made != shuffled(codes, 3, np.random.default_rng(2))).any()


@needs_tangermeme
def test_what_does_not_fit_is_refused():
    codes = random_codes(2, 5)
    codes[1, 3] = 4
    with pytest.raises(InputError, match="cannot say what an N contributes") as error:
        shuffled(codes, 1, np.random.default_rng(0))
    assert "1 of 2 sequences with N, the first is number 1" in str(error.value)
    with pytest.raises(InputError, match="References do not fit") as error:
        deepshap(Small(), random_codes(2, 5), random_codes(3, 1, 5))
    assert "(2, references, 5)" in str(error.value)


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tangermeme", None)
    with pytest.raises(MissingExtraError, match="needs tangermeme") as error:
        deepshap(Small(), random_codes(1, 5), random_codes(1, 1, 5))
    assert "hapsight[deepshap]" in str(error.value)
