"""A small model built like the real ones: local layers with pooling, then layers that see all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from hapsight.models.forward import one_hot
from hapsight.models.protocol import Grid, ModelWindow, ReadOut, SharedModel, Track, WindowedModel

STRIDE, LENGTH, CHANNELS = 4, 160, 6


class ToyShared(SharedModel):
    """Two padded convolutions with max pooling, then a matrix over all positions; float64."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.conv1 = nn.Conv1d(4, CHANNELS, 5, padding=2).double()
        self.conv2 = nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2).double()
        self.mix = nn.Linear(LENGTH // STRIDE * CHANNELS, 2).double()
        self.name, self.fingerprint, self.flop_per_pass = "toy-shared", "toy-shared", 1.0
        self.window = ModelWindow(80, 80, oriented=True)
        self.tracks = (Track("a", "", "", ".", ""), Track("b", "", "", ".", ""))
        self.read_outs = {
            "default": ReadOut("default", tracks=(0, 1)),
            "ensemble": ReadOut("ensemble", tracks=(0, 1), reverse_complement=True, shifts=(1, 0, -1)),
        }
        self.default_read_out = "default"
        self.grid = Grid(stride=STRIDE, before=8, after=8, channels=CHANNELS)

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return self.mix(self.embed(codes).flatten(1))[:, list(read_out.tracks)]

    def to(self, device: torch.device) -> ToyShared:
        return self

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        return 0, LENGTH // STRIDE

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool1d(self.conv1(one_hot(codes).double()), 2)
        # A bias before the next zero padding: an edge differs from a run of N, as in the real models.
        return functional.max_pool1d(self.conv2(torch.sigmoid(x)), 2).transpose(1, 2)

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return self.mix(embedding.flatten(1))[:, list(read_out.tracks)]

    def embed_flop(self, bases: int) -> float:
        return 10.0 * bases

    def read_flop(self, read_out: ReadOut) -> float:
        return 1000.0


class ToyCentre(ToyShared):
    """Reads the middle positions only."""

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        return 13, 24

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return self.read(self.embed(codes)[:, 13:24], read_out)

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return embedding.flatten(1)[:, :2].cumsum(1) + embedding.pow(2).sum((1, 2))[:, None]


class ToyExons(ToyShared):
    """Reads the positions that its read-out's bins, bases, are in; by exons of the gene where it has none."""

    def __init__(self, gtf: Path | None = None, transcripts: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.gtf, self.transcripts = gtf, transcripts
        self.window = ModelWindow(80, 80, oriented=False)
        self.read_outs = {
            "default": ReadOut("default", (0, 1)),
            "both": ReadOut("both", (0, 1), reverse_complement=True),
        }

    def over_exons(self, read_out: ReadOut, exons: Sequence[tuple[int, int]]) -> ReadOut:
        bins = sorted(base + 80 for start, end in exons for base in range(start, end) if -80 <= base < 80)
        return replace(read_out, bins=tuple(bins))

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        return replace(read_out, bins=tuple(LENGTH - 1 - base for base in read_out.bins))

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return self.read(self.embed(codes), read_out)

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        assert read_out.bins
        return embedding[:, [base // STRIDE for base in read_out.bins]].sum(1)[:, :2]


class ToyWindowed(WindowedModel, ToyShared):
    """Reads windows of 6 positions, every 2; valid convolution, so nothing depends on edges."""

    window_step, window_length, window_features = 2, 6, 3

    def __init__(self) -> None:
        super().__init__()
        self.grid = Grid(stride=STRIDE, before=0, after=8, channels=CHANNELS)
        self.valid = nn.Conv1d(4, CHANNELS, 12, stride=STRIDE).double()
        self.small = nn.Linear(6 * CHANNELS, 3).double()
        self.last = nn.Linear(3 * 17, 2).double()

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        return 0, 38

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        return functional.pad(self.valid(one_hot(codes).double()), (0, 2)).transpose(1, 2)

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        positions = self.embed(codes)
        windows = [self.embed_window(positions[:, 2 * w : 2 * w + 6]) for w in range(17)]
        return self.read_windows(torch.stack(windows, 1), read_out)

    def embed_window(self, embedding: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.small(embedding.flatten(1)))

    def read_windows(self, features: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return self.last(features.flatten(1))[:, list(read_out.tracks)]

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return WindowedModel.read(self, embedding, read_out)

    def window_flop(self) -> float:
        return 100.0
