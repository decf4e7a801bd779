"""The network of Enformer, its sizes, and what they cost; layers are named as in the published checkpoint.

Its self-attention has relative positions, as Transformer-XL introduced it: a query i and a key j meet in
two terms, their contents, and a learned function of the signed distance j - i, which is a projection of
fixed features of that distance. Borzoi attends in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError
from hapsight.models.forward import index_on

__all__ = [
    "BINS",
    "CROP",
    "GAMMA_FORMS",
    "LAYERS",
    "LENGTH",
    "POSITIONS",
    "QUERY_BLOCK",
    "STRIDE",
    "TRACKS",
    "WIDTH",
    "AttentionPool",
    "EnformerNet",
    "Geometry",
    "RelativeAttention",
    "attend_by_distance",
    "distance_features",
]

GAMMA_FORMS: Final = ("official", "port")
QUERY_BLOCK: Final = 256
"""Queries that are attended at a time: bounds memory, and fewer distances are projected in vain."""

_ALIGNED: Final = 16
"""Numbers that the rows of a fused attention's bias are aligned to, so that several are loaded at once."""

Floats = NDArray[np.float64]


def distance_features(length: int, count: int, gamma: str = "official") -> Floats:
    """Features of every distance between two of `length` positions (Avsec et al. 2021, Methods).

    A third each: exponentials of half-lives from 8 to `length`, central masks of widths that double,
    and gamma densities with means up to `length`; then all again times the distance's sign.

    Parameters
    ----------
    count
        Number of features F, a multiple of 6.
    gamma
        What the gamma densities are divided by: their maximum over distances (``"official"``, the
        published code), or over the features of one distance (``"port"``, as the PyTorch port on PyPI
        does unless told otherwise).

    Returns
    -------
    (2 * length - 1, F) float64; row p belongs to the distance p - (length - 1).

    Raises
    ------
    ConfigError
        `count` is not a positive multiple of 6, or `gamma` is unknown.
    """
    if count < 6 or count % 6:
        raise ConfigError(
            "Relative positions need a number of features that 6 divides.",
            expected="6, 12, 18, ...",
            got=count,
        )
    distance = np.abs(np.arange(1 - length, length, dtype=np.float64))[:, None]  # (2 * length - 1, 1)
    kinds = [
        _exponential(distance, count // 6, length),
        _central_mask(distance, count // 6),
        _gamma(distance, count // 6, length, gamma),
    ]
    symmetric = np.concatenate(kinds, axis=1)
    return np.concatenate([symmetric, np.sign(np.arange(1 - length, length))[:, None] * symmetric], axis=1)


def _exponential(distance: Floats, count: int, length: int) -> Floats:
    half_life = 2.0 ** np.linspace(3.0, np.log2(length), count)
    return np.asarray(np.exp2(-distance / half_life))


def _central_mask(distance: Floats, count: int) -> Floats:
    width = 2.0 ** np.arange(1, count + 1) - 1.0
    return (width > distance).astype(np.float64)


def _gamma(distance: Floats, count: int, length: int, form: str) -> Floats:
    if form not in GAMMA_FORMS:
        raise ConfigError(
            "The 'gamma' features are unknown.", expected=" or ".join(GAMMA_FORMS), got=repr(form)
        )
    deviation = length / (2 * count)
    mean = np.linspace(length / count, length, count)
    shape, rate = (mean / deviation) ** 2, mean / deviation**2
    log_density = xlogy(shape - 1.0, distance) - rate * distance + shape * np.log(rate) - gammaln(shape)
    density = np.exp(log_density) + 1e-8
    return np.asarray(density / density.max(axis=0 if form == "official" else 1, keepdims=True))


class RelativeAttention(nn.Module):
    """Multi-head attention over N positions; only the queries that are asked for are computed.

    Parameters
    ----------
    width
        Channels C in and out.
    heads, key_width, value_width
        H heads with keys of K and values of V numbers each.
    features
        Features F of a distance.
    """

    def __init__(self, width: int, heads: int, key_width: int, value_width: int, features: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = key_width**-0.5
        self.to_q = nn.Linear(width, heads * key_width, bias=False)
        self.to_k = nn.Linear(width, heads * key_width, bias=False)
        self.to_v = nn.Linear(width, heads * value_width, bias=False)
        self.to_out = nn.Linear(heads * value_width, width)
        self.to_rel_k = nn.Linear(features, heads * key_width, bias=False)
        self.rel_content_bias = nn.Parameter(torch.zeros(1, heads, 1, key_width))
        self.rel_pos_bias = nn.Parameter(torch.zeros(1, heads, 1, key_width))

    def forward(self, x: torch.Tensor, distances: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Attend from positions ``[first, last)`` to all.

        Parameters
        ----------
        x
            (B, N, C).
        distances
            (2 * N - 1, F), see `distance_features`.

        Returns
        -------
        (B, last - first, C).
        """
        length = x.shape[1]
        q = self._split(self.to_q(x[:, first:last])) * self.scale  # (B, H, Q, K)
        k = self._split(self.to_k(x)).transpose(2, 3)  # (B, H, K, N)
        v = self._split(self.to_v(x))  # (B, H, N, V)
        to_content, to_distance = q + self.rel_content_bias, q + self.rel_pos_bias
        r = self._split(
            self.to_rel_k(distances[length - last : 2 * length - 1 - first])[None]
        )  # (1, H, N+Q-1, K)
        if x.is_cuda:
            together = attend_by_distance(to_content, to_distance, k.mT, v, r).transpose(1, 2).flatten(2)
            return self.to_out(together)  # type: ignore[no-any-return]
        r = r.transpose(2, 3)
        attended = []
        for start in range(0, last - first, QUERY_BLOCK):
            stop = min(start + QUERY_BLOCK, last - first)
            near = r[..., last - first - stop : length + last - first - 1 - start]  # (1, H, K, N+q-1)
            by_distance = _skew(to_distance[:, :, start:stop] @ near, length)  # (B, H, q, N)
            logits = _add_product(by_distance, to_content[:, :, start:stop], k)
            attended.append(logits.softmax(-1) @ v)  # (B, H, q, V)
        together = torch.cat(attended, dim=2).transpose(1, 2).flatten(2)  # (B, Q, H * V)
        return self.to_out(together)  # type: ignore[no-any-return]

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """Heads apart: (B, N, H * K) -> (B, H, N, K)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


def attend_by_distance(
    content: torch.Tensor, position: torch.Tensor, k: torch.Tensor, v: torch.Tensor, r: torch.Tensor
) -> torch.Tensor:
    """Attention by content and by distance with torch's fused kernel, which a GPU has for float32 too.

    The kernel adds what a query and a distance give each other. It wants every row to begin at a multiple of
    `_ALIGNED` numbers, so a few distances that nobody has are put beside the others.

    Parameters
    ----------
    content, position
        (B, H, Q, K) scaled queries, with the one bias and with the other.
    k, v
        (B, H, N, K) and (B, H, N, V).
    r
        (1, H, N + Q - 1, K); its row p belongs to the distance p - (Q - 1) between query 0 and a key.

    Returns
    -------
    (B, H, Q, V).
    """
    queries, length = content.shape[2], k.shape[2]
    padded = F.pad(r, (0, 0, _ALIGNED, _ALIGNED))
    attended = v.new_empty((len(v), queries, *v.shape[1::2])).transpose(1, 2)  # heads beside each other
    for start in range(0, queries, QUERY_BLOCK):
        stop = min(start + QUERY_BLOCK, queries)
        left = (1 + start - stop) % _ALIGNED
        right = (start - stop - length - left + 2) % _ALIGNED
        first = _ALIGNED + queries - stop - left
        near = padded[:, :, first : first + length + stop - start - 1 + left + right]
        by_distance = _skew(position[:, :, start:stop] @ near.mT, length, left)
        query = content[:, :, start:stop]
        made = F.scaled_dot_product_attention(query, k, v, attn_mask=by_distance, scale=1.0)
        attended[:, :, start:stop] = made
    return attended


def _skew(by_distance: torch.Tensor, length: int, left: int = 0) -> torch.Tensor:
    """From distances to keys, without copying: (B, H, q, N+q-1) -> (B, H, q, N).

    Columns are distances from ``-(q - 1)`` for the last query on; query i's key j is at column q - 1 - i + j,
    so each row starts one column before the one above it. `left` columns more may stand before them.
    """
    queries, columns = by_distance.shape[2:]
    by_distance = by_distance.contiguous()
    outer = by_distance.stride()[:2]
    offset = by_distance.storage_offset() + queries - 1 + left
    return by_distance.as_strided((*by_distance.shape[:3], length), (*outer, columns - 1, 1), offset)


def _add_product(bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``bias + a @ b`` in one pass, over the two leading axes."""
    return torch.baddbmm(bias.flatten(0, 1), a.flatten(0, 1), b.flatten(0, 1)).reshape(bias.shape)


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
