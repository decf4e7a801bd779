"""The network of Borzoi (Linder et al. 2025) and Flashzoi (Hingerl et al. 2025), in plain torch.

Convolutions halve the sequence seven times, a transformer relates the stretches of 128 bases, and a U-Net
brings its result back to 32 bases with the help of what the convolutions knew at 64 and 32. Modules are
named as in the published PyTorch checkpoints. Inference only: dropout, which is nothing here, is left out.

What they cost is counted from their geometry: 2 operations per multiply-add. Normalisations, activations
and poolings are left out; they are below one per cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError
from hapsight.models.enformer_net import attend_by_distance
from hapsight.models.forward import index_on

__all__ = [
    "BorzoiNet",
    "BorzoiSizes",
    "RelativeAttention",
    "RotaryAttention",
    "attend_flop",
    "decode_flop",
    "embed_flop",
    "head_flop",
    "relative_features",
]

STRIDE: Final = 128
"""Bases per position of the transformer."""

SKIPS_64, SKIPS_32 = 2, 4
"""Positions of the U-Net's two skip connections in one position of the transformer."""

WIDTH: Final = 1536
"""Channels of the transformer as published."""

EPSILON: Final = 1e-3
"""Of every normalisation."""

FEATURES: Final = 32
"""Features of a relative position."""

TRAINED_POSITIONS: Final = 4096
"""Positions of the window in training; the features of a distance are made for it."""

QUERY_BLOCK: Final = 256
"""Queries that are attended at a time."""

ROTARY_BASE: Final = 20_000.0


@dataclass(frozen=True, slots=True)
class BorzoiSizes:
    """Channels and heads; strides, kernels and the number of layers are fixed.

    Attributes
    ----------
    stem, tower
        Channels after the first convolution, and after each of the tower's five.
    dim, heads, key, value
        Of the transformer; `key` and `value` per head.
    rotary
        Numbers of each key that are rotated by position (Flashzoi); 0 has Borzoi's relative positions.
    final, tracks
        Channels before the head, and its outputs.
    """

    stem: int = 512
    tower: tuple[int, ...] = (608, 736, 896, 1056, 1280)
    dim: int = 1536
    heads: int = 8
    key: int = 64
    value: int = 192
    rotary: int = 0
    layers: int = 8
    final: int = 1920
    tracks: int = 7611

    @classmethod
    def of_width(cls, width: int = WIDTH, *, rotary: bool = False) -> Self:
        """Sizes of Borzoi, or (`rotary`) of Flashzoi, all channels and heads in proportion to `width`.

        Raises
        ------
        ConfigError
            `width`, the transformer's channels, not even or not 16 to 1,536.
        """
        if not 16 <= width <= WIDTH or width % 4:
            raise ConfigError(
                "Borzoi's 'width' is out of range.", expected=f"a multiple of 4, 16 to {WIDTH}", got=width
            )
        full = cls(key=192, rotary=128) if rotary else cls()
        if width == WIDTH:
            return full
        stem, *tower, final = (c * width // WIDTH for c in (full.stem, *full.tower, full.final))
        if rotary:
            half = width // 2
            return cls(stem, tuple(tower), width, 2, half, half, 2 * (half // 3), final=final)
        return cls(stem, tuple(tower), width, 1, width // 3, width, final=final)

    @property
    def embedding(self) -> int:
        """Channels of a position of the embedding: two of the stride-64 and four of the stride-32 skips."""
        return SKIPS_64 * self.dim + SKIPS_32 * self.tower[-1]


class BorzoiNet(nn.Module):
    """The network, in the three parts that hapsight runs apart: `embed`, `attend`, `decode` (and `head`)."""

    def __init__(self, sizes: BorzoiSizes) -> None:
        super().__init__()
        self.sizes = sizes
        dim, widest = sizes.dim, sizes.tower[-1]
        self.conv_dna = nn.ModuleDict({"conv_layer": nn.Conv1d(4, sizes.stem, 15, padding="same")})
        self.res_tower = _tower((sizes.stem, *sizes.tower))
        self.unet1 = nn.Sequential(nn.MaxPool1d(2), ConvBlock(widest, dim, 5))
        self.horizontal_conv0 = ConvBlock(widest, dim, 1)
        self.horizontal_conv1 = ConvBlock(dim, dim, 1)
        self.transformer = nn.ModuleList(TransformerLayer(sizes) for _ in range(sizes.layers))
        self.upsampling_unet1 = nn.Sequential(ConvBlock(dim, dim, 1), nn.Upsample(scale_factor=2))
        self.separable1 = SeparableBlock(dim)
        self.upsampling_unet0 = nn.Sequential(ConvBlock(dim, dim, 1), nn.Upsample(scale_factor=2))
        self.separable0 = SeparableBlock(dim)
        self.final_joined_convs = nn.Sequential(ConvBlock(dim, sizes.final, 1))
        self.human_head = nn.Conv1d(sizes.final, sizes.tracks, 1)

    def embed(self, sequence: torch.Tensor) -> torch.Tensor:
        """The convolutions down to stride 64: one-hot (B, 4, S) to (B, S / 128, channels).

        A position's channels are its two vectors at stride 64, then its four at stride 32. What the
        transformer reads is the greater of the first two, so it is not kept a third time.
        """
        x = F.max_pool1d(self.conv_dna["conv_layer"](sequence), 2)  # (B, 512, S / 2)
        skip_32 = self.res_tower(x)  # (B, 1280, S / 32)
        skip_64 = self.unet1(skip_32)  # (B, 1536, S / 64)
        return torch.cat([_gather(skip_64, SKIPS_64), _gather(skip_32, SKIPS_32)], dim=2)

    def attend(self, embedding: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """The transformer: whole embedding (B, N, channels) to its positions [first, last), (B, P, dim).

        Only the last layer can be spared: each one before needs all positions.
        """
        dim = self.sizes.dim
        one, two = embedding[..., :dim], embedding[..., dim : 2 * dim]
        x = torch.maximum(one, two)  # (B, N, dim), max pooling from stride 64 to 128
        *before, final = self.transformer
        for layer in before:
            x = layer(x, 0, x.shape[1])  # (B, N, dim)
        return final(x, first, last)  # type: ignore[no-any-return]  # (B, P, dim)

    def decode(self, attended: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """The U-Net's way back: (B, P, dim) and (B, P, channels) of the same positions to (B, dim, 4P).

        The outermost three of the 4P bins at either end are right only where that end is the window's own.
        """
        skip_64, skip_32 = self._skips(embedding)
        x = self.upsampling_unet1(attended.transpose(1, 2))  # (B, dim, 2P)
        x = self.separable1(x + self.horizontal_conv1(skip_64))  # (B, dim, 2P)
        x = self.upsampling_unet0(x)  # (B, dim, 4P)
        return self.separable0(x + self.horizontal_conv0(skip_32))  # type: ignore[no-any-return]  # (B, dim, 4P)

    def head(self, x: torch.Tensor, tracks: Sequence[int]) -> torch.Tensor:
        """Each bin by itself: (B, dim, K) to (B, T, K), only these tracks."""
        rows = index_on(tracks, x.device)
        x = _gelu(self.final_joined_convs(x))  # (B, 1920, K)
        weight, bias = self.human_head.weight[rows], self.get_parameter("human_head.bias")[rows]
        return F.softplus(F.conv1d(x, weight, bias))

    def _skips(self, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, P, channels) to (B, dim, 2P) and (B, 1280, 4P)."""
        middle = SKIPS_64 * self.sizes.dim
        skip_64 = embedding[..., :middle].reshape(len(embedding), -1, self.sizes.dim)
        skip_32 = embedding[..., middle:].reshape(len(embedding), -1, self.sizes.tower[-1])
        return skip_64.transpose(1, 2), skip_32.transpose(1, 2)


class ConvBlock(nn.Module):
    """BatchNorm, GELU (tanh form), convolution padded with zeros."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, eps=EPSILON)
        self.conv_layer = nn.Conv1d(channels, out, kernel, padding="same")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, L) to (B, out, L)."""
        return self.conv_layer(_gelu(self.norm(x)))  # type: ignore[no-any-return]


class SeparableBlock(nn.Module):
    """Convolution of three positions channel by channel, then of all channels position by position."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        depthwise = nn.Conv1d(dim, dim, 3, groups=dim, padding="same", bias=False)
        self.conv_layer = nn.Sequential(depthwise, nn.Conv1d(dim, dim, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, dim, L) to (B, dim, L)."""
        return self.conv_layer(x)  # type: ignore[no-any-return]


class TransformerLayer(nn.ModuleList):
    """Attention, then a perceptron."""

    def __init__(self, sizes: BorzoiSizes) -> None:
        super().__init__([AttentionStep(sizes), PerceptronStep(sizes.dim)])

    def forward(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """(B, N, dim) to the positions [first, last) of the result, (B, P, dim)."""
        attention, perceptron = self
        return perceptron(attention(x, first, last))  # type: ignore[no-any-return]


class AttentionStep(nn.Module):
    """Normalised input through attention, added to the input."""

    def __init__(self, sizes: BorzoiSizes) -> None:
        super().__init__()
        attention = RotaryAttention(sizes) if sizes.rotary else RelativeAttention(sizes)
        self.fn = nn.ModuleList([nn.LayerNorm(sizes.dim, eps=EPSILON), attention])

    def forward(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """(B, N, dim) to (B, P, dim), the positions [first, last)."""
        norm, attention = self.fn
        return x[:, first:last] + attention(norm(x), first, last)  # type: ignore[no-any-return]


class PerceptronStep(nn.Module):
    """Normalised input through two dense layers, added to the input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        up, down = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.fn = nn.Sequential(nn.LayerNorm(dim, eps=EPSILON), up, nn.Identity(), nn.ReLU(), down)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, P, dim) to (B, P, dim)."""
        return x + self.fn(x)  # type: ignore[no-any-return]


class RelativeAttention(nn.Module):
    """Borzoi's attention: each head adds a score that depends on the query and on the distance.

    Written out on a CPU, where torch's fused attention has no fast way for such scores and values wider than
    keys: it gives the same numbers a fifth slower.
    """

    def __init__(self, sizes: BorzoiSizes) -> None:
        super().__init__()
        keys = sizes.heads * sizes.key
        self.sizes = sizes
        self.to_q = nn.Linear(sizes.dim, keys, bias=False)
        self.to_k = nn.Linear(sizes.dim, keys, bias=False)
        self.to_v = nn.Linear(sizes.dim, sizes.heads * sizes.value, bias=False)
        self.to_out = nn.Linear(sizes.heads * sizes.value, sizes.dim)
        self.to_rel_k = nn.Linear(FEATURES, keys, bias=False)
        self.rel_content_bias = nn.Parameter(torch.zeros(1, sizes.heads, 1, sizes.key))
        self.rel_pos_bias = nn.Parameter(torch.zeros(1, sizes.heads, 1, sizes.key))

    def forward(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """(B, N, dim) to (B, P, dim), queries [first, last); a block of these at a time, to bound memory."""
        heads, n = self.sizes.heads, x.shape[1]
        q = _split(self.to_q(x[:, first:last]), heads) * self.sizes.key**-0.5  # (B, H, P, key)
        k, v = _split(self.to_k(x), heads), _split(self.to_v(x), heads)  # (B, H, N, key), (B, H, N, value)
        features = relative_features(torch.arange(1 - last, n - first, device=x.device))  # (N + P - 1, 32)
        rel_k = _split(self.to_rel_k(features.to(x.dtype))[None], heads).mT  # (1, H, key, N + P - 1)
        content, position = q + self.rel_content_bias, q + self.rel_pos_bias
        if x.is_cuda:
            return self.to_out(_join(attend_by_distance(content, position, k, v, rel_k.mT)))  # type: ignore[no-any-return]
        mixed = []
        for start in range(0, q.shape[2], QUERY_BLOCK):
            end = min(start + QUERY_BLOCK, q.shape[2])
            near = rel_k[..., q.shape[2] - end : q.shape[2] - start + n - 1]  # the distances of this block
            scores = content[:, :, start:end] @ k.mT  # (B, H, end - start, N)
            scores += _by_distance(position[:, :, start:end] @ near)
            mixed.append(scores.softmax(dim=3) @ v)  # (B, H, end - start, value)
        return self.to_out(_join(torch.cat(mixed, dim=2)))  # type: ignore[no-any-return]  # (B, P, dim)


class RotaryAttention(nn.Module):
    """Flashzoi's attention: rotary positions on part of every key, two query heads to a key and value head.

    The published model runs this in flash-attn, in bfloat16; here torch computes it in the weights' format.
    """

    def __init__(self, sizes: BorzoiSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.queries, self.keys = sizes.heads * sizes.key, sizes.heads // 2 * sizes.key
        self.mha = RotaryProjections(sizes.dim, self.queries, self.keys)

    def forward(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """(B, N, dim) to (B, P, dim), queries [first, last)."""
        joint, heads = self.mha.Wqkv, self.sizes.heads
        q = F.linear(x[:, first:last], joint.weight[: self.queries], joint.bias[: self.queries])
        both = F.linear(x, joint.weight[self.queries :], joint.bias[self.queries :])  # (B, N, H / 2 * 2 key)
        k, v = both[..., : self.keys], both[..., self.keys :]
        q = self._rotated(_split(q, heads), first)  # (B, H, P, key)
        k = self._rotated(_split(k, heads // 2), 0).repeat_interleave(2, dim=1)  # (B, H, N, key)
        v = _split(v, heads // 2).repeat_interleave(2, dim=1)  # (B, H, N, key)
        mixed = F.scaled_dot_product_attention(q, k, v)  # (B, H, P, key)
        return self.mha.out_proj(_join(mixed))  # type: ignore[no-any-return]

    def _rotated(self, x: torch.Tensor, first: int) -> torch.Tensor:
        """Rotate each pair (i, i + rotary / 2) of the first `rotary` numbers by position (Su et al. 2021)."""
        half = self.sizes.rotary // 2
        speed = ROTARY_BASE ** -(torch.arange(half, device=x.device, dtype=torch.float64) / half)
        position = torch.arange(first, first + x.shape[2], device=x.device, dtype=torch.float64)
        angle = position[:, None] * speed  # (positions, rotary / 2)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        one, two, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return torch.cat([one * cos - two * sin, one * sin + two * cos, rest], dim=3)


class RotaryProjections(nn.Module):
    """Queries, then keys, then values in one layer, and the layer behind the attention."""

    def __init__(self, dim: int, queries: int, keys: int) -> None:
        super().__init__()
        self.Wqkv = nn.Linear(dim, queries + 2 * keys)
        self.out_proj = nn.Linear(queries, dim)


def relative_features(distances: torch.Tensor) -> torch.Tensor:
    """Features of distances (D,) between positions, as (D, 32) float64.

    Sixteen say whether the distance lies within ``4097 ** (i / 16) - 1``, i = 1..16, whatever its sign;
    sixteen more are the same times the sign.
    """
    half = FEATURES // 2
    power = torch.arange(1, half + 1, device=distances.device, dtype=torch.float64) / half
    within = (distances.abs()[:, None] < (TRAINED_POSITIONS + 1.0) ** power - 1.0).double()
    return torch.cat([within, within * distances.sign()[:, None]], dim=1)


def _tower(channels: tuple[int, ...]) -> nn.Sequential:
    """Convolutions of five positions with a pooling between one and the next."""
    layers: list[nn.Module] = []
    for into, out in pairwise(channels):
        layers += [ConvBlock(into, out, 5), nn.MaxPool1d(2)]
    return nn.Sequential(*layers[:-1])


def _gelu(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")


def _gather(x: torch.Tensor, times: int) -> torch.Tensor:
    """Put `times` neighbouring positions side by side: (B, C, times * N) to (B, N, times * C)."""
    return x.transpose(1, 2).reshape(len(x), -1, times * x.shape[1])


def _split(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, N, heads * D) to (B, heads, N, D)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _join(x: torch.Tensor) -> torch.Tensor:
    """(B, heads, N, D) to (B, N, heads * D)."""
    return x.transpose(1, 2).flatten(2)


def _by_distance(scores: torch.Tensor) -> torch.Tensor:
    """Scores by query and distance (B, H, P, D) to query and key (B, H, P, D - P + 1).

    Entry [i, j - i + P - 1] goes to [i, j]: a view in which each row starts one entry before the row above.
    """
    batch, heads, queries, distances = scores.shape
    strides = (heads * queries * distances, queries * distances, distances - 1, 1)
    shape = (batch, heads, queries, distances - queries + 1)
    return scores.contiguous().as_strided(shape, strides, queries - 1)


MULTIPLY_ADD: Final = 2.0


def embed_flop(sizes: BorzoiSizes, bases: int) -> float:
    """The convolutions down to stride 64, on a stretch of this many bases."""
    channels = (sizes.stem, *sizes.tower, sizes.dim)
    per_base: float = 15 * 4 * sizes.stem + sum(
        5 * into * out / 2**halvings for halvings, (into, out) in enumerate(pairwise(channels), start=1)
    )
    return MULTIPLY_ADD * bases * per_base


def attend_flop(sizes: BorzoiSizes, positions: int, asked: int, block: int) -> float:
    """The transformer on all positions, its last layer for `asked` of them only.

    Parameters
    ----------
    block
        Queries attended at a time: a block of b meets ``positions + b - 1`` distances, not all of them.
    """

    def layer(queries: int) -> int:
        if sizes.rotary:
            return _rotary_layer(sizes, positions, queries)
        return _relative_layer(sizes, positions, queries, min(block, queries))

    return MULTIPLY_ADD * ((sizes.layers - 1) * layer(positions) + layer(asked))


def decode_flop(sizes: BorzoiSizes, positions: int) -> float:
    """The U-Net's way back, from this many positions of the transformer to four times as many bins."""
    square, separable = sizes.dim**2, 3 * sizes.dim + sizes.dim**2
    at_128 = square
    at_64 = SKIPS_64 * (square + separable + square)  # skip, separable, towards stride 32
    at_32 = SKIPS_32 * (sizes.tower[-1] * sizes.dim + separable)
    return MULTIPLY_ADD * positions * (at_128 + at_64 + at_32)


def head_flop(sizes: BorzoiSizes, bins: int, tracks: int) -> float:
    """The last two layers on this many bins and tracks."""
    return MULTIPLY_ADD * bins * sizes.final * (sizes.dim + tracks)


def _perceptron(sizes: BorzoiSizes, queries: int) -> int:
    return queries * sizes.dim * 2 * sizes.dim * 2


def _relative_layer(sizes: BorzoiSizes, n: int, queries: int, block: int) -> int:
    keys, values = sizes.heads * sizes.key, sizes.heads * sizes.value
    project = sizes.dim * (queries + n) * (keys + values) + (n + queries - 1) * FEATURES * keys
    mix = queries * (n * keys + (n + block - 1) * keys + n * values)
    return project + mix + _perceptron(sizes, queries)


def _rotary_layer(sizes: BorzoiSizes, n: int, queries: int) -> int:
    width, shared = sizes.heads * sizes.key, sizes.heads // 2 * sizes.key
    project = sizes.dim * (2 * queries * width + 2 * n * shared)
    return project + 2 * queries * n * width + _perceptron(sizes, queries)
