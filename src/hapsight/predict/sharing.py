"""Which local work the haplotypes of a window share: distinct positions, and the stretches to make them from.

A position of a model's embedding depends on some bases around it. Two positions are one when these bases are
the same and lie alike at the window's edges; coordinates play no part, so indels that move everything behind
them need no care. Neighbouring distinct positions of a haplotype are computed together, from one stretch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.errors import ConfigError
from hapsight.models.protocol import Grid
from hapsight.predict.hashing import all_equal, hash_stretches, number_positions, same_positions

__all__ = ["DistinctPositions", "Stretches", "cut_stretches", "distinct_positions", "distinct_stretches"]

Index = NDArray[np.intp]

LONGEST = 32_768
"""Bases of the longest stretch."""

_TRIES = 3
"""Hash functions that are tried; the second is hardly ever needed."""


@dataclass(frozen=True, slots=True, eq=False)
class DistinctPositions:
    """D distinct embedding positions among P positions of R haplotypes, in order of (row, place).

    Attributes
    ----------
    index
        (R, P) which distinct position each haplotype has in each place of the span.
    row, place
        (D,) the first haplotype, and the place there, where each distinct one occurs.
    """

    index: Index
    row: Index
    place: Index


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """S stretches of sequence to compute, halos included.

    Attributes
    ----------
    row, start, length
        (S,) of which haplotype, from which base, and how many bases.
    first
        (S + 1,) stretch s makes the distinct positions ``first[s]`` to ``first[s + 1] - 1``.
    skip
        (D,) where in its stretch's embedding each distinct position lies.
    """

    row: Index
    start: Index
    length: Index
    first: Index
    skip: Index

    def __len__(self) -> int:
        return len(self.row)


def distinct_positions(codes: Codes, grid: Grid, span: tuple[int, int]) -> DistinctPositions:
    """Find the distinct embedding positions of (R, L) codes in a span ``[first, last)`` of positions.

    Found by rolling 64-bit hashes; then compared with the one that each is taken for, so that what is called
    equal is equal.

    Raises
    ------
    ConfigError
        The window is not a whole number of positions long.
    """
    length = codes.shape[1]
    if length % grid.stride:
        raise ConfigError(
            "A window must be a multiple of the model's stride.",
            expected=f"a multiple of {grid.stride}",
            got=length,
        )
    codes = np.ascontiguousarray(codes)
    begin = np.arange(*span) * grid.stride - grid.before
    end = begin + grid.before + grid.stride + grid.after
    for seed in range(_TRIES):
        values = np.random.default_rng(seed).integers(0, 2**64, 8, dtype=np.uint64) | np.uint64(1)
        index, row, place = number_positions(codes, begin, end, values)
        if same_positions(codes, begin, end, index, row, place):
            return DistinctPositions(index, row, place)
    raise AssertionError("a 64-bit hash collided again and again")


def cut_stretches(
    distinct: DistinctPositions, grid: Grid, window_length: int, span: tuple[int, int], longest: int = LONGEST
) -> Stretches:
    """Put neighbouring distinct positions together, and those between which less lies than a halo.

    Lengths are rounded up, by an eighth at most, so that many stretches have one length.
    """
    halo = (grid.before + grid.after) // grid.stride
    most = max(1, longest // grid.stride - halo)  # positions in a stretch
    first = _starts(distinct, halo, most)
    ends = np.append(first[1:], len(distinct.row))
    position = span[0] + distinct.place
    needed = position[ends - 1] - position[first] + 1 + halo
    length = np.minimum(_rounded(needed) * grid.stride, window_length)
    start = np.clip(position[first] * grid.stride - grid.before, 0, window_length - length)
    stretch = np.repeat(np.arange(len(first)), ends - first)
    skip = position - start[stretch] // grid.stride
    return Stretches(distinct.row[first], start, length, np.append(first, len(position)), skip)


def _starts(distinct: DistinctPositions, halo: int, most: int) -> Index:
    """(S,) distinct positions at which a stretch begins."""
    apart = (np.diff(distinct.row) != 0) | (np.diff(distinct.place) > halo + 1)
    runs = np.flatnonzero(np.append(True, apart))
    starts = []
    for run, end in zip(runs, np.append(runs[1:], len(distinct.row)), strict=True):
        begin = run
        while begin < end:
            starts.append(begin)
            begin += np.searchsorted(distinct.place[begin:end], distinct.place[begin] + most)
    return np.array(starts, dtype=np.intp)


def _rounded(positions: Index) -> Index:
    """Lengths with no more than three binary digits behind the first."""
    step = 2 ** np.maximum(np.log2(positions).astype(np.intp) - 3, 0)
    return np.asarray(-(-positions // step) * step, dtype=np.intp)


def distinct_stretches(codes: Codes, start: Index, length: int) -> DistinctPositions:
    """Find the distinct stretches of `length` bases at (K,) `start` in (R, L) codes.

    Stretches are grouped by a 64-bit hash, and then compared with the one that stands for their group.
    """
    codes = np.ascontiguousarray(codes)
    for seed in range(_TRIES):
        weights = np.random.default_rng(seed).integers(0, 2**64, length, dtype=np.uint64)
        hashes = hash_stretches(codes, start, weights)
        _, first, index = np.unique(hashes, return_index=True, return_inverse=True)
        row, place = np.divmod(first, len(start))
        found = DistinctPositions(index.reshape(hashes.shape), row, place)
        if all_equal(codes, start, length, found.index, row, place):
            return found
    raise AssertionError("a 64-bit hash collided again and again")
