"""What Borzoi and Flashzoi cost, counted from their geometry: 2 operations per multiply-add.

Normalisations, activations and poolings are left out; they are below one per cent.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from hapsight.models.borzoi_blocks import FEATURES, SKIPS_32, SKIPS_64, BorzoiSizes

__all__ = ["attend_flop", "decode_flop", "embed_flop", "head_flop"]

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
