import numpy as np
import pytest
import torch
from hapsight.predict.accelerate import accelerate
from torch.nn import functional

from hapsight.models.onehot import one_hot
from hapsight.predict.shared import plain_values, shared_values
from tests.predict.test_shared import haplotypes
from tests.predict.toy_shared import ToyShared, ToyWindowed


class Single(ToyShared):
    """The toy in float32, which autocast acts on."""

    def __init__(self) -> None:
        super().__init__()
        for module in (self.conv1, self.conv2, self.mix):
            module.float()

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool1d(self.conv1(one_hot(codes)), 2)
        return functional.max_pool1d(self.conv2(torch.sigmoid(x)), 2).transpose(1, 2)


def test_bfloat16_is_near_float32_and_not_it():
    codes = haplotypes(1)
    plain = plain_values(Single(), Single().read_out(), codes, "cpu")
    model = accelerate(Single(), "cpu", "bfloat16", compiled=False)
    values, _ = shared_values(model, model.read_out(), codes, device="cpu")
    assert 0 < np.abs(values - plain).max() < 0.05 * np.abs(plain).max()


@pytest.mark.parametrize(
    ("model_class", "steps"),
    [
        (ToyShared, ["predict", "embed", "read"]),
        (ToyWindowed, ["predict", "embed", "read", "embed_window", "read_windows"]),
    ],
)
def test_every_step_is_compiled(monkeypatch, model_class, steps):
    compiled = []

    def compile_nothing(function, **options):
        compiled.append(function.__name__)
        return function

    monkeypatch.setattr(torch, "compile", compile_nothing)
    codes = haplotypes(2)
    model = accelerate(model_class(), "cpu", "float32", compiled=True)
    assert compiled == steps
    np.testing.assert_allclose(
        shared_values(model, model.read_out(), codes, device="cpu")[0],
        plain_values(model_class(), model.read_out(), codes, "cpu"),
        atol=1e-10,
    )
