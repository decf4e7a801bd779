"""Enformer: tracks along 196,608 bases in 896 bins of 128 (Avsec et al. 2021, Nat Methods 18, 1196).

Seven convolutions with poolings, which are local and can be shared between people; eleven transformer
layers over all 1,536 positions; one head. Layers are named as in the published PyTorch checkpoint.

Enformer's sizes, and what they cost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Self

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError
from hapsight.models.attention import QUERY_BLOCK, RelativeAttention, distance_features
from hapsight.models.forward import (
    REDUCE,
    evaluation,
    index_on,
    of_tracks,
    one_hot,
    reduce_bins,
    require_positions,
    require_read_out,
    require_stretch,
    require_window,
)
from hapsight.models.protocol import Grid, ModelWindow, OutputBins, ReadOut, SharedModel, Track

__all__ = [
    "BINS",
    "CROP",
    "LAYERS",
    "LENGTH",
    "POSITIONS",
    "READ_OUTS",
    "STRIDE",
    "TRACKS",
    "WIDTH",
    "Enformer",
    "EnformerNet",
    "Geometry",
]

LENGTH: Final = 196_608
STRIDE: Final = 128
POSITIONS: Final = LENGTH // STRIDE
CROP: Final = 320
BINS: Final = POSITIONS - 2 * CROP
TRACKS: Final = 5_313
LAYERS: Final = 11
WIDTH: Final = 1_536


@dataclass(frozen=True, slots=True)
class Geometry:
    """Channels and heads; all other sizes are the published model's.

    FLOP are those of the layers as published, 2 per multiply-add of convolutions and matrix products.

    Attributes
    ----------
    width
        Channels of the transformer: 1,536, or fewer for a narrow model with the same strides and layers.

    Raises
    ------
    ConfigError
        A width that does not give whole channels, heads and features.
    """

    width: int = WIDTH

    def __post_init__(self) -> None:
        whole = self.width % (192 if self.width > 192 else 24) == 0
        if not (whole and 24 <= self.width <= WIDTH):
            raise ConfigError(
                "Enformer's 'width' does not give whole channels and heads.",
                expected=f"24, 48, ..., 192, or 384, 576, ..., {WIDTH}",
                got=self.width,
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels behind the stem and behind each of the six blocks of the tower."""
        return tuple(self.width * twelfths // 12 for twelfths in (6, 6, 7, 8, 9, 10, 12))

    @property
    def heads(self) -> int:
        """Attention heads."""
        return max(1, self.width // 192)

    @property
    def value_width(self) -> int:
        """Numbers of a head's value, and features of a distance."""
        return self.width // self.heads

    @property
    def key_width(self) -> int:
        """Numbers of a head's key."""
        return self.value_width // 3

    def stem_flop(self, bases: int) -> float:
        """FLOP of the stem and its pooling on so many bases."""
        stem = self.channels[0]
        return 2.0 * bases * stem * (15 * 4 + stem + stem)

    def tower_flop(self, bases: int) -> tuple[float, ...]:
        """FLOP of the tower's six blocks on so many bases."""
        pairs = enumerate(pairwise(self.channels), start=1)
        return tuple(2.0 * bases / 2**halvings * b * (5 * a + b + b) for halvings, (a, b) in pairs)

    def layer_flop(self, queries: int, block: int | None = None) -> float:
        """FLOP of a transformer layer that is computed for so many queries, against all 1,536 keys.

        The published form multiplies every query with all distances between any two positions; one that takes
        `block` queries at a time leaves out those that none of them has.
        """
        keys, values = self.heads * self.key_width, self.heads * self.value_width
        distances = POSITIONS + queries - 1
        projections = self.width * (POSITIONS * (keys + values) + queries * (keys + values))
        multiplied = POSITIONS + min(block or queries, queries) - 1
        relative = keys * (distances * self.value_width + queries * multiplied)
        attended = queries * POSITIONS * (keys + values)
        dense = 4 * queries * self.width**2
        return 2.0 * (projections + relative + attended + dense)

    def head_flop(self, bins: int, tracks: int) -> float:
        """FLOP of everything behind the transformer."""
        return 2.0 * bins * 2 * self.width * (self.width + tracks)


HALO: Final = 384
"""Whole positions that cover the tower's reach of 259 bases to either side."""

TSS_INDEX: Final = (CROP + 448) * STRIDE
"""98,304: the first base of output bin 448, which is embedding position 768 (Huang et al. 2023)."""

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of this file changes numbers."""

READ_OUTS: Final = MappingProxyType(
    {
        "huang2023": ReadOut(
            "huang2023", (5110,), tuple(range(443, 453)), description="CAGE GM12878, mean of bins 443-452"
        ),
        "sasse2023": ReadOut(
            "sasse2023", (4980,), (447, 448, 449), "sum", description="CAGE adult brain, sum of bins 447-449"
        ),
    }
)
"""Read-outs of the two studies, of one window on the genome's strand."""


class SigmoidGelu(nn.Module):
    """The approximation of GELU with which the weights were trained."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give ``x sigmoid(1.702 x)``."""
        return x * torch.sigmoid(1.702 * x)


class Residual(nn.Module):
    """A function added to its input."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape that `fn` keeps."""
        return x + self.fn(x)  # type: ignore[no-any-return]


class ConvBlock(nn.Sequential):
    """Batch normalisation, GELU, convolution: (B, a, L) -> (B, b, L)."""

    def __init__(self, a: int, b: int, kernel: int = 1) -> None:
        super().__init__(nn.BatchNorm1d(a), SigmoidGelu(), nn.Conv1d(a, b, kernel, padding=kernel // 2))


class AttentionPool(nn.Module):
    """Pairs of neighbours, weighted by a softmax over the two of a linear map: (B, C, L) -> (B, C, L/2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_attn_logits = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix by the sigmoid of the difference of the logits, which is the same and half the work."""
        first, second = x[..., 0::2], x[..., 1::2]  # (B, C, L/2)
        difference = F.conv1d(second - first, self.to_attn_logits.weight[..., 0])
        return torch.lerp(first, second, torch.sigmoid(difference))


class TransformerLayer(nn.ModuleList):
    """Attention, then two dense layers, each added to its input; dropout is idle in prediction."""

    def __init__(self, geometry: Geometry) -> None:
        width, value = geometry.width, geometry.value_width
        attention = RelativeAttention(width, geometry.heads, geometry.key_width, value, features=value)
        dense_in, dense_out = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        attend = nn.Sequential(nn.LayerNorm(width), attention, nn.Dropout(0.4))
        dense = nn.Sequential(
            nn.LayerNorm(width), dense_in, nn.Dropout(0.4), nn.ReLU(), dense_out, nn.Dropout(0.4)
        )
        super().__init__([Residual(attend), Residual(dense)])

    def forward(self, x: torch.Tensor, distances: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Positions ``[first, last)`` of the layer's output: (B, N, C) -> (B, last - first, C)."""
        norm, attention, dropout = self[0].fn  # type: ignore[misc]
        x = x[:, first:last] + dropout(attention(norm(x), distances, first, last))
        return self[1](x)  # type: ignore[no-any-return]


class EnformerNet(nn.Module):
    """The network with its human head."""

    def __init__(self, geometry: Geometry, tracks: int = TRACKS) -> None:
        super().__init__()
        channels, width = geometry.channels, geometry.width
        self.stem = nn.Sequential(
            nn.Conv1d(4, channels[0], 15, padding=7),
            Residual(ConvBlock(channels[0], channels[0])),
            AttentionPool(channels[0]),
        )
        self.conv_tower = nn.Sequential(
            *(
                nn.Sequential(ConvBlock(a, b, 5), Residual(ConvBlock(b, b)), AttentionPool(b))
                for a, b in pairwise(channels)
            )
        )
        self.transformer = nn.Sequential(*(TransformerLayer(geometry) for _ in range(LAYERS)))
        self.final_pointwise = nn.Sequential(nn.Identity(), ConvBlock(width, 2 * width), SigmoidGelu())
        self._heads = nn.ModuleDict({"human": nn.Sequential(nn.Linear(2 * width, tracks), nn.Softplus())})

    def forward(self, x: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
        """Run everything on a one-hot window, (B, 4, 196608) -> (B, 896, tracks)."""
        x = self.embed(x)  # (B, 1536, C)
        x = self.transform(x, distances, 0, POSITIONS)  # (B, 1536, C)
        x = x[:, CROP:-CROP]  # (B, 896, C)
        return self._heads["human"](self.finish(x))  # type: ignore[no-any-return]

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Run convolutions and poolings, one-hot (B, 4, S) -> (B, S / 128, C)."""
        x = self.stem(x)  # (B, C / 2, S / 2)
        return self.conv_tower(x).transpose(1, 2)  # type: ignore[no-any-return]

    def transform(self, x: torch.Tensor, distances: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Run the transformer, the last layer for positions ``[first, last)`` only; (B, last - first, C)."""
        *layers, final = self.transformer
        for layer in layers:
            x = layer(x, distances, 0, POSITIONS)
        return final(x, distances, first, last)  # type: ignore[no-any-return]

    def finish(self, x: torch.Tensor) -> torch.Tensor:
        """Run the last pointwise layer, (B, P, C) -> (B, P, 2 C)."""
        return self.final_pointwise(x.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]

    def outputs(self, x: torch.Tensor, tracks: Sequence[int]) -> torch.Tensor:
        """Run the last pointwise layer and these rows of the head, (B, P, C) -> (B, P, T)."""
        linear = self._heads["human"][0]  # type: ignore[index]
        rows = index_on(tracks, x.device)
        return F.softplus(F.linear(self.finish(x), linear.weight[rows], linear.bias[rows]))


class Enformer(SharedModel):
    """Enformer with one set of weights.

    Parameters
    ----------
    name
        ``enformer/<weights>``.
    network
        The network with its weights.
    geometry
        That of the network.
    tracks
        What the head's outputs are.
    wanted
        Tracks that replace those of the published read-outs, which are then named after them.
    gamma
        Form of the gamma features, see `hapsight.models.attention.distance_features`.
    """

    window = ModelWindow(TSS_INDEX, LENGTH - TSS_INDEX, oriented=False)
    output_bins = OutputBins(CROP * STRIDE, STRIDE, BINS)
    default_read_out = "default"

    def __init__(
        self,
        name: str,
        network: EnformerNet,
        *,
        geometry: Geometry,
        tracks: tuple[Track, ...],
        wanted: tuple[int, ...] | None = None,
        gamma: str = "official",
    ) -> None:
        self.name = name
        self.network = network.eval()
        self.geometry = geometry
        self.tracks = tracks
        self.read_outs = {key: of_tracks(read_out, wanted) for key, read_out in READ_OUTS.items()}
        self.read_outs["default"] = self.read_outs["huang2023"]
        self.grid = Grid(STRIDE, HALO, HALO, geometry.width)
        self.flop_per_pass = self.plain_flop()
        self.distances = torch.from_numpy(distance_features(POSITIONS, geometry.value_width, gamma)).to(
            self.dtype
        )
        self.fingerprint = _fingerprint(network, [geometry.width, gamma, str(self.dtype)])

    @property
    def dtype(self) -> torch.dtype:
        """Number format of weights and results."""
        return self.network.stem[0].weight.dtype  # type: ignore[return-value]

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        self.distances = self.distances.to(device)
        return self

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        """Bins counted from the other end; no track has a strand."""
        return replace(read_out, bins=tuple(sorted(BINS - 1 - index for index in read_out.bins)))

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """Embedding positions ``[first, last)`` that a read-out depends on: all, through the attention."""
        self._check(read_out)
        return 0, POSITIONS

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out of (B, 196608) codes, as (B, T), by the plain forward pass; see `SequenceModel.predict`.

        Sequences go through one after the other: each takes some 3 GB at full width.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        ConfigError
            A read-out that this model does not have the bins or tracks for.
        """
        require_window(self, "Enformer", codes, LENGTH)
        self._check(read_out)
        values = [torch.empty((0, len(read_out.tracks)), dtype=self.dtype, device=codes.device)]
        with evaluation():
            for sequence in codes:
                y = self.network(one_hot(sequence[None]).to(self.dtype), self.distances)  # (1, 896, 5313)
                values.append(reduce_bins(y[:, list(read_out.bins)][..., list(read_out.tracks)], read_out))
        return torch.cat(values)

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Embedding (B, S / 128, C) of (B, S) codes that start on the window's grid; see `SharedModel.embed`.

        Raises
        ------
        InputError
            S not a multiple of 128.
        """
        require_stretch(self, "Enformer", codes, STRIDE)
        with evaluation():
            return self.network.embed(one_hot(codes).to(self.dtype))

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out (B, T) of embeddings (B, 1536, C); see `SharedModel.read`.

        The last layer is computed for the asked bins (and those between them), the head for the asked
        tracks.

        Raises
        ------
        InputError
            Another shape.
        """
        require_positions(self, "Enformer", embedding, read_out, (POSITIONS, self.geometry.width))
        first, last = self._queries(read_out)
        with evaluation():
            x = self.network.transform(embedding, self.distances, first, last)  # (B, last - first, C)
            asked = index_on([CROP + index - first for index in read_out.bins], x.device)
            return reduce_bins(self.network.outputs(x[:, asked], read_out.tracks), read_out)

    def embed_flop(self, bases: int) -> float:
        """Floating-point operations of `embed` for so many bases, the halo counted as the caller does."""
        return self.geometry.stem_flop(bases) + sum(self.geometry.tower_flop(bases))

    def read_flop(self, read_out: ReadOut) -> float:
        """Floating-point operations of `read` for one window."""
        first, last = self._queries(read_out)
        every = (LAYERS - 1) * self.geometry.layer_flop(POSITIONS, QUERY_BLOCK)
        layers = every + self.geometry.layer_flop(last - first, QUERY_BLOCK)
        return layers + self.geometry.head_flop(len(read_out.bins), len(read_out.tracks))

    def plain_flop(self) -> float:
        """Floating-point operations of one whole forward pass, every bin and track of the human head."""
        layers = LAYERS * self.geometry.layer_flop(POSITIONS)
        return self.embed_flop(LENGTH) + layers + self.geometry.head_flop(BINS, len(self.tracks))

    def _queries(self, read_out: ReadOut) -> tuple[int, int]:
        """Positions ``[first, last)`` of the last layer that the read-out's bins are."""
        self._check(read_out)
        return CROP + min(read_out.bins), CROP + max(read_out.bins) + 1

    def _check(self, read_out: ReadOut) -> None:
        require_read_out(self, "Enformer", read_out, BINS, REDUCE)


def _fingerprint(network: EnformerNet, options: list[object]) -> str:
    """SHA-256 over every weight and option; the file format of the weights does not matter."""
    digest = hashlib.sha256(json.dumps(["enformer", CODE_VERSION, *options]).encode())
    for name, tensor in sorted(network.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode() + tensor.to("cpu", torch.float64).numpy().tobytes())
    return digest.hexdigest()
