"""Low-rank additions: nothing at first, then trained, then part of the weights, to the bit."""

import copy
from dataclasses import replace
from importlib.metadata import entry_points

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from hapsight.errors import ConfigError
from hapsight.models.epinformer import EPInformer, EPInformerEncoder
from hapsight.models.forward import with_gradients
from hapsight.models.mpra_dragonn import MpraDragonn, MpraDragonnNet
from hapsight.models.registry import GROUP, load_model
from hapsight.train.adapters import LowRank, adapt, add_lora, merged_state
from tests.models.lively_xpresso import lively_xpresso
from tests.train.test_adapters import ROWS, haplotypes

LAYERS = {
    "plain": (nn.Conv1d(8, 6, 3, padding=1), 1),
    "dilated": (nn.Conv1d(8, 6, 3, padding=4, dilation=4), 1),
    "dilated, same": (nn.Conv1d(8, 6, 3, padding="same", dilation=2), 1),
    "circular": (nn.Conv1d(8, 6, 3, padding=1, padding_mode="circular"), 1),
    "reflect": (nn.Conv1d(8, 6, 5, padding=2, padding_mode="reflect", stride=2), 1),
    "depthwise": (nn.Conv1d(8, 8, 3, padding=1, groups=8), 1),
    "groups": (nn.Conv1d(8, 12, 3, groups=4, bias=False), 1),
    "conv2d": (nn.Conv2d(8, 6, (3, 1), dilation=(2, 1)), 2),
    "linear": (nn.Linear(20, 7), 0),
}

NARROW = {
    "basenji2": {"width": 16},
    "borzoi": {"width": 16},
    "enformer": {"width": 24},
    "expecto": {"width": 8},
    "flashzoi": {"width": 16},
    "mini": {},
}

MADE = {
    "epinformer": lambda: EPInformer("epinformer/random", seeded(EPInformerEncoder), cell_type="none"),
    "mpra_dragonn": lambda: MpraDragonn("mpra_dragonn/random", seeded(MpraDragonnNet)),
    "xpresso": lively_xpresso,
}
"""Models that have no random weights by name."""

NOT_TRIED = {"alphagenome"}
"""Its package is an extra of its own, and not among those that tests install."""


def seeded(network):
    torch.manual_seed(0)
    return network()


def learn(network: nn.Module, seed: int = 3) -> None:
    """Additions that are not 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, LowRank):
                module.up.normal_(0, 0.3, generator=generator)


def plain(network: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict as torch itself takes the additions in."""
    merged = copy.deepcopy(network)
    for module in merged.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return merged.state_dict()


def require_equal(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer(kind):
    """The slow twin adds the product to the weight, sum by sum, and calls the layer."""
    layer, spatial = LAYERS[kind]
    network = nn.Sequential(copy.deepcopy(layer))
    x = torch.randn(
        3, *((8, *(20,) * spatial) if spatial else (20,)), generator=torch.Generator().manual_seed(1)
    )
    add_lora(network, 4, seed=2)
    assert torch.equal(network(x), layer(x))
    learn(network)
    (addition,) = (module for module in network.modules() if isinstance(module, LowRank))
    twin = copy.deepcopy(layer)
    flat = twin.weight.data.view(twin.weight.shape[0], -1)
    for o in range(flat.shape[0]):
        for i in range(flat.shape[1]):
            flat[o, i] += 2 * sum(
                addition.up[o, r] * addition.down[r, i] for r in range(addition.up.shape[1])
            )
    torch.testing.assert_close(network(x), twin(x), rtol=1e-5, atol=1e-5)
    merged = copy.deepcopy(layer)
    merged.load_state_dict({name.removeprefix("0."): t for name, t in merged_state(network).items()})
    assert torch.equal(merged(x), network(x))


def test_additions_have_the_rank_and_follow_from_the_seed():
    drawn = []
    for seed in (1, 1, 2):
        network = nn.Sequential(nn.Conv1d(16, 32, 5), nn.Conv1d(32, 32, 3, groups=32), nn.Linear(9, 2))
        add_lora(network, 8, seed)
        parts = [module for module in network.modules() if isinstance(module, LowRank)]
        assert [part.up.shape[1] for part in parts] == [8, 3, 2]
        assert {id(p) for p in network.parameters() if p.requires_grad} == {
            id(p) for part in parts for p in part.parameters()
        }
        drawn.append(parts[0].down.detach())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_network_without_such_layers():
    with pytest.raises(ConfigError, match=r"no layer for low-rank(.|\n)*Conv1d(.|\n)*full"):
        add_lora(nn.Sequential(nn.LayerNorm(3)), 8, 0)


def test_every_registered_model_is_tried():
    ours = {point.name for point in entry_points(group=GROUP) if point.value.startswith("hapsight.")}
    assert ours == {*NARROW, *MADE, *NOT_TRIED}


@pytest.mark.parametrize("name", [*NARROW, *MADE])
def test_one_step_of_every_model(name):
    """Every addition gets a gradient, and what is saved is what torch merges."""
    model = load_model(name, "random:1", "cpu", **NARROW[name]) if name in NARROW else MADE[name]()
    read_out = model.read_out(model.training_read_out)
    adapter = adapt(model, replace(read_out, tracks=read_out.tracks[:1]), "lora", device="cpu", seed=1)
    made = adapter.gene(haplotypes(model.window.length + 2 * adapter.beyond)[:1], 0)
    trained = [p for p in adapter.network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.01)
    with with_gradients():
        made.values(np.array([0])).sum().backward()
    assert all(p.grad is not None for p in trained)
    optimiser.step()
    require_equal(merged_state(adapter.network), plain(adapter.network))


def test_additions_are_trained_and_then_merged(tmp_path):
    model, codes = lively_xpresso(), haplotypes(10_500)
    before = adapt(model, model.read_out(), "full", device="cpu").gene(codes, 0).predict(ROWS)
    own = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    adapter = adapt(model, model.read_out(), "lora", device="cpu", seed=1)
    made = adapter.gene(codes, 0)
    np.testing.assert_array_equal(made.predict(ROWS), before)
    trained = [p for p in adapter.network.parameters() if p.requires_grad]
    assert 0 < sum(p.numel() for p in trained) < sum(t.numel() for t in own.values())
    optimiser = torch.optim.SGD(trained, lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        with with_gradients():
            made.values(ROWS).sum().backward()
        optimiser.step()
    after = made.predict(ROWS)
    assert np.abs(after - before).max() > 1e-3
    adapter.save(tmp_path / "lora.safetensors")
    again = load_model(
        "xpresso", str(tmp_path / "lora.safetensors"), "cpu", half_life=model.half_life.tolist()
    )
    require_equal(again.network.state_dict(), plain(adapter.network))
    again_values = adapt(again, again.read_out(), "full", device="cpu").gene(codes, 0).predict(ROWS)
    np.testing.assert_array_equal(again_values, after)
