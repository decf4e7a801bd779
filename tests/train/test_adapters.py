"""What is trained: the right parameters, at the engine's value, with the right gradient."""

import numpy as np
import pytest
import torch

from hapsight.dna import N_CODE
from hapsight.engine.engine import Valuer
from hapsight.engine.shared import plain_values
from hapsight.errors import ConfigError
from hapsight.models.forward import with_gradients
from hapsight.models.registry import load_model
from hapsight.train.adapters import adapt, network_of, randomise
from tests.models.lively_xpresso import lively_xpresso
from tests.planted import ToyModel
from tests.train.toy_personal import Whole, trainable

ROWS = np.array([4, 0, 2, 2])


def haplotypes(length: int, seed: int = 0) -> np.ndarray:
    """Five sequences that differ at few places, one by an indel, one with N."""
    rng = np.random.default_rng(seed)
    codes = np.tile(rng.integers(0, 4, length, dtype=np.uint8), (5, 1))
    for row in codes[1:]:
        row[rng.integers(0, length, 3)] = rng.integers(0, 4, 3)
    codes[3, length // 3 :] = np.roll(codes[3, length // 3 :], 1)
    codes[4, :7] = N_CODE
    return codes


def models():
    return {"shared": trainable(), "whole": Whole(trainable()), "xpresso": lively_xpresso()}


@pytest.mark.parametrize(
    ("kind", "mode", "read_out"),
    [
        ("shared", "full", "default"),
        ("shared", "frozen", "default"),
        ("shared", "full", "ensemble"),
        ("shared", "frozen", "ensemble"),
        ("whole", "full", "ensemble"),
        ("xpresso", "full", "default"),
        ("xpresso", "frozen", "default"),
    ],
)
def test_the_trained_value_is_the_engines(kind, mode, read_out):
    model = models()[kind]
    chosen = model.read_out(read_out)
    adapter = adapt(model, chosen, mode, device="cpu")
    codes = haplotypes(model.window.length + 2 * adapter.beyond)
    engine, _ = Valuer(model.local(), chosen, "cpu")(codes)
    made = adapter.gene(codes, budget=2**30)
    np.testing.assert_allclose(made.predict(ROWS), engine[ROWS, 0], rtol=2e-6, atol=2e-6)
    with with_gradients():
        values = made.values(ROWS)
    np.testing.assert_allclose(values.detach().numpy(), engine[ROWS, 0], rtol=2e-6, atol=2e-6)
    assert values.requires_grad


@pytest.mark.parametrize("kind", ["shared", "xpresso"])
def test_gradients_are_those_of_whole_passes(kind):
    """Shared stretches give the gradients of one forward pass for each haplotype."""
    model = models()[kind]
    network, codes = network_of(model), haplotypes(model.window.length)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0])
    gradients = []
    for whole in (False, True):
        network.zero_grad()
        with with_gradients():
            if whole:
                values = model.predict(torch.from_numpy(codes[ROWS]), model.read_out())[:, 0]
            else:
                values = adapt(model, model.read_out(), "full", device="cpu").gene(codes, 0).values(ROWS)
            (values * weights).sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    for mine, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-5)
        assert float(plain.abs().max()) > 0


def test_frozen_trains_the_head_only():
    for model, head in ((trainable(), {"head"}), (lively_xpresso(), {"dense1", "dense2", "dense3"})):
        adapter = adapt(model, model.read_out(), "frozen", device="cpu")
        trained = {n.split(".")[0] for n, p in adapter.network.named_parameters() if p.requires_grad}
        assert trained == head


def test_a_frozen_trunk_beyond_the_budget_lies_in_a_file():
    model = trainable()
    adapter, codes = adapt(model, model.read_out(), "frozen", device="cpu"), haplotypes(500)
    small, large = (adapter.gene(codes, budget).predict(ROWS) for budget in (0, 2**30))
    np.testing.assert_array_equal(small, large)


def test_saved_weights_are_loaded_by_path(tmp_path):
    model = lively_xpresso()
    adapter = adapt(model, model.read_out(), "full", device="cpu")
    with torch.no_grad():
        adapter.network.dense1.weight.add_(0.01)
    adapter.save(tmp_path / "mine.safetensors")
    half_life = model.half_life.tolist()
    again = load_model("xpresso", str(tmp_path / "mine.safetensors"), "cpu", half_life=half_life)
    codes = haplotypes(10_500)
    mine, theirs = (plain_values(m, m.read_out(), codes, "cpu") for m in (model, again))
    np.testing.assert_array_equal(mine, theirs)


def test_random_weights_follow_from_the_seed():
    drawn = []
    for start, seed in ((1, 5), (2, 5), (1, 6)):
        network = trainable(start).network
        randomise(network, seed)
        drawn.append(network.head.weight.detach().clone())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])

    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(2))

    with pytest.raises(ConfigError, match=r"cannot be given random weights(.|\n)*Odd(.|\n)*random:<seed>"):
        randomise(Odd(), 0)


def test_what_cannot_be_trained():
    model = trainable()
    with pytest.raises(ConfigError, match=r"no such mode(.|\n)*full, frozen, lora(.|\n)*'half'"):
        adapt(model, model.read_out(), "half", device="cpu")
    with pytest.raises(ConfigError, match=r"one track(.|\n)*read-out two(.|\n)*2 tracks"):
        adapt(model, model.read_out("two"), "full", device="cpu")
    with pytest.raises(ConfigError, match=r"no parameters(.|\n)*torch.nn.Module"):
        adapt(ToyModel(), ToyModel().read_out(), "full", device="cpu")
    with pytest.raises(ConfigError, match=r"no local layers(.|\n)*full or lora"):
        adapt(Whole(model), model.read_out(), "frozen", device="cpu")
