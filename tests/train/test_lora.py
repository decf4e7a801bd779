"""Low-rank additions: nothing at first, then trained, then part of the weights."""

import builtins

import numpy as np
import pytest
import torch

from hapsight.errors import MissingExtraError
from hapsight.models.onehot import with_gradients
from hapsight.train.adapters import adapt
from tests.models.lively_xpresso import lively_xpresso
from tests.train.test_adapters import ROWS, haplotypes


def test_without_peft(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "peft":
            raise ImportError(name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    model = lively_xpresso()
    with pytest.raises(MissingExtraError, match=r"peft is not installed(.|\n)*hapsight\[lora\]"):
        adapt(model, model.read_out(), "lora", device="cpu")


@pytest.mark.filterwarnings("ignore")
def test_additions_are_trained_and_then_merged(tmp_path):
    pytest.importorskip("peft")
    from hapsight.models.registry import load_model

    model, codes = lively_xpresso(), haplotypes(10_500)
    before = adapt(model, model.read_out(), "full", device="cpu").gene(codes, 0).predict(ROWS)
    plain = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    adapter = adapt(model, model.read_out(), "lora", device="cpu", seed=1)
    made = adapter.gene(codes, 0)
    np.testing.assert_allclose(made.predict(ROWS), before, rtol=1e-6)
    trained = [p for p in adapter.network.parameters() if p.requires_grad]
    assert 0 < sum(p.numel() for p in trained) < sum(t.numel() for t in plain.values())
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
    assert again.network.state_dict().keys() == plain.keys()
    again_values = adapt(again, again.read_out(), "full", device="cpu").gene(codes, 0).predict(ROWS)
    np.testing.assert_allclose(again_values, after, rtol=1e-5)
