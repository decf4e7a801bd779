"""A small trainable model with local layers, as a registry's loader gives it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from hapsight.models.forward import one_hot, without_gradients
from hapsight.models.protocol import Grid, ModelWindow, ReadOut, SequenceModel, SharedModel, Track

STRIDE, UPSTREAM, DOWNSTREAM, CHANNELS = 10, 300, 200, 8
POSITIONS = (UPSTREAM + DOWNSTREAM) // STRIDE


class Net(nn.Module):
    """A convolution with average pooling (the trunk), and a linear layer over all positions (the head)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, CHANNELS, 5, padding=2)
        self.head = nn.Linear(POSITIONS * CHANNELS, 1)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool1d(torch.relu(self.conv(x)), STRIDE).transpose(1, 2)


class Trainable(SharedModel):
    def __init__(self, network: Net, name: str = "toy/random") -> None:
        self.network = network.eval()
        self.name = name
        self.window = ModelWindow(UPSTREAM, DOWNSTREAM, oriented=True)
        self.tracks = (Track("expression", "none", "none", ".", "arbitrary"),)
        self.read_outs = {
            "default": ReadOut("default"),
            "ensemble": ReadOut("ensemble", reverse_complement=True, shifts=(1, 0, -1)),
            "two": ReadOut("two", tracks=(0, 0)),
        }
        self.default_read_out = "default"
        self.grid = Grid(STRIDE, STRIDE, STRIDE, CHANNELS)
        self.flop_per_pass = 1.0
        state = b"".join(t.numpy().tobytes() for t in network.state_dict().values())
        self.fingerprint = hashlib.sha256(state).hexdigest()

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return self.read(self.embed(codes), read_out)

    def to(self, device: torch.device) -> Trainable:
        self.network.to(device)
        return self

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        return 0, POSITIONS

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        with without_gradients():
            return self.network.embed(one_hot(codes))

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        with without_gradients():
            return self.network.head(embedding.flatten(1))

    def embed_flop(self, bases: int) -> float:
        return float(bases)

    def read_flop(self, read_out: ReadOut) -> float:
        return 1.0


class Whole(SequenceModel):
    """The same network, without telling anybody of its local layers."""

    def __init__(self, shared: Trainable) -> None:
        self.network = shared.network
        for name, value in vars(shared).items():
            setattr(self, name, value)

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        with without_gradients():
            return self.network.head(self.network.embed(one_hot(codes)).flatten(1))

    def to(self, device: torch.device) -> Whole:
        return self


def trainable(seed: int = 0) -> Trainable:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Trainable(Net())


def load_trainable(weights: str | None = None, *, device: object = "cpu", seed: int = 0) -> Trainable:
    """A loader, as the registry wants it."""
    made = trainable(seed)
    if weights is not None:
        made.network.load_state_dict(load_file(weights))
        return Trainable(made.network, f"toy/{Path(weights).stem}")
    return made
