"""Which local work the haplotypes of a window share: distinct positions, and the stretches to make them from.

A position of a model's embedding depends on some bases around it. Two positions are one when these bases are
the same and lie alike at the window's edges; coordinates play no part, so indels that move everything behind
them need no care. Neighbouring distinct positions of a haplotype are computed together, from one stretch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

import numpy as np
import torch
from numba import typed, types
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.engine.buffers import Buffer
from hapsight.errors import ConfigError
from hapsight.files import compiled
from hapsight.models.protocol import Grid

__all__ = [
    "DistinctPositions",
    "Plan",
    "Stretches",
    "cut_stretches",
    "distinct_positions",
    "distinct_rows",
    "distinct_stretches",
    "hash_stretches",
    "number_positions",
]


@compiled()
def hash_stretches(
    codes: NDArray[np.uint8], rows: NDArray[np.intp], start: NDArray[np.intp], weights: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """(H, K) multilinear hashes of the stretches ``codes[rows[r], start[k]:start[k] + len(weights)]``."""
    out = np.empty((len(rows), len(start)), np.uint64)
    for r in range(len(rows)):
        for k in range(len(start)):
            stretch = codes[rows[r], start[k] : start[k] + len(weights)]
            total = np.uint64(0)
            for i in range(len(weights)):
                total += np.uint64(stretch[i]) * weights[i]
            out[r, k] = total
    return out


@compiled()
def _all_equal(
    codes: NDArray[np.uint8],
    rows: NDArray[np.intp],
    start: NDArray[np.intp],
    length: int,
    index: NDArray[np.signedinteger],
    row: NDArray[np.intp],
    place: NDArray[np.intp],
    first: int,
    last: int,
) -> bool:
    """Whether every stretch (r, k), r from `first` to `last`, has the bytes of number ``index[r, k]``."""
    for r in range(first, last):
        for k in range(len(start)):
            u = index[r, k]
            if row[u] == r and place[u] == k:
                continue
            one = codes[rows[r], start[k] : start[k] + length]
            other = codes[rows[row[u]], start[place[u]] : start[place[u]] + length]
            different = False
            for i in range(length):
                different |= one[i] != other[i]
            if different:
                return False
    return True


@compiled()
def _numbers_of_hashes() -> typed.Dict:
    """An empty dictionary for `number_positions`."""
    return typed.Dict.empty(types.uint64, types.int64)


@compiled()
def number_positions(
    codes: NDArray[np.uint8],
    begin: NDArray[np.intp],
    end: NDArray[np.intp],
    step: int,
    values: NDArray[np.uint64],
    number_of: typed.Dict,
    block: NDArray[np.uint64],
    above: NDArray[np.uint64],
    first_row: int,
    last_row: int,
    index: NDArray[np.signedinteger],
    row: NDArray[np.intp],
    place: NDArray[np.intp],
) -> None:
    """Number the distinct contexts ``codes[r, begin[p]:end[p]]`` of some rows by a polynomial hash.

    Most contexts are those of the row above in the same place; the others are looked up. Rows are hashed
    `step` bases at a time, and where these are the row above's its hash is taken.

    Parameters
    ----------
    begin, end
        (P,) of one length; what lies outside the row is void.
    step
        Divides all of these and the length of a row.
    values
        (8,) odd numbers: of the five codes, the polynomial's base, and the void before and behind.
    number_of
        By hash, of the rows before `first_row`; those of these rows are added.
    block, above
        (length / step,) and (P,) hashes of the last row before: to be handed on from call to call.
    index
        (R, P) for the numbers, which are in order of first occurrence, row by row.
    row, place
        (R P,) for those of each first occurrence.
    """
    length, n_places = codes.shape[1], len(begin)
    weight = np.ones(step, np.uint64)  # of each base in a block
    for i in range(1, step):
        weight[step - 1 - i] = weight[step - i] * values[5]
    power = np.ones((end[0] - begin[0]) // step + 1, np.uint64)
    for i in range(1, len(power)):
        power[i] = power[i - 1] * weight[0] * values[5]
    prefix = np.zeros(len(block) + 1, np.uint64)
    for r in range(first_row, last_row):
        one, other = codes[r], codes[max(r - 1, 0)]
        for b in range(len(block)):
            different = r == 0
            for i in range(b * step, (b + 1) * step):
                different |= one[i] != other[i]
            if different:
                total = np.uint64(0)
                for i in range(step):
                    total += values[one[b * step + i]] * weight[i]
                block[b] = total
            prefix[b + 1] = prefix[b] * power[1] + block[b]
        for p in range(n_places):
            first, last = max(begin[p], 0), min(end[p], length)
            found = prefix[last // step] - prefix[first // step] * power[(last - first) // step]
            found += values[6] * np.uint64(first - begin[p]) + values[7] * np.uint64(end[p] - last)
            if r > 0 and found == above[p]:
                index[r, p] = index[r - 1, p]
                continue
            above[p] = found
            number = len(number_of)
            if found in number_of:
                number = number_of[found]
            else:
                number_of[found] = number
                row[number], place[number] = r, p
            index[r, p] = number


@compiled()
def _same_positions(
    codes: NDArray[np.uint8],
    begin: NDArray[np.intp],
    end: NDArray[np.intp],
    index: NDArray[np.signedinteger],
    row: NDArray[np.intp],
    place: NDArray[np.intp],
    first_row: int,
    last_row: int,
) -> bool:
    """Whether every context of some rows has the bytes, and the void at its ends, of its number's.

    Where the context before it was found equal to the neighbour of its model, only what is new is compared.
    """
    length = codes.shape[1]
    for r in range(first_row, last_row):
        compared = -1  # end of what is known to equal the model's row, at the distance of the last place
        row_before, distance_before = -1, 0
        for p in range(len(begin)):
            model_row, model_place = row[index[r, p]], place[index[r, p]]
            if model_row == r and model_place == p:
                row_before = -1
                continue
            distance = begin[model_place] - begin[p]
            first, last = max(begin[p], 0), min(end[p], length)
            if first + distance < 0 or last + distance > length:
                return False
            if distance != 0 and (first != begin[p] or last != end[p] or begin[model_place] < 0):
                return False
            if distance != 0 and end[model_place] > length:
                return False
            known = first
            if model_row == row_before and distance == distance_before:
                known = max(first, compared)
            one, other = codes[r, known:last], codes[model_row, known + distance : last + distance]
            different = False
            for i in range(last - known):
                different |= one[i] != other[i]
            if different:
                return False
            compared, row_before, distance_before = last, model_row, distance
    return True


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
    numbers
        (R, P) which distinct position each haplotype has in each place of the span.
    row, place
        (D,) the first haplotype, and the place there, where each distinct one occurs.
    """

    numbers: Buffer
    row: Index
    place: Index

    @property
    def index(self) -> NDArray[Any]:
        """`numbers` as an array of integers."""
        return self.numbers.tensor.numpy()

    def of(self, rows: Index) -> torch.Tensor:
        """(B, P) numbers of some haplotypes, as torch takes them for an index."""
        return torch.from_numpy(self.index[rows]).long()


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


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """R haplotypes in terms of distinct things: D positions, W distinct windows, H distinct rows.

    Attributes
    ----------
    rows
        (H,) one haplotype for each distinct row.
    row_of
        (R,) the distinct row of each haplotype.
    """

    distinct: DistinctPositions
    stretches: Stretches
    windows: DistinctPositions | None
    rows: Index
    row_of: Index


def distinct_positions(
    codes: Codes | Buffer, grid: Grid, span: tuple[int, int], budget: int = 2 * 2**30
) -> DistinctPositions:
    """Find the distinct embedding positions of (R, L) codes in a span ``[first, last)`` of positions.

    Found by rolling 64-bit hashes; then compared with the one that each is taken for, so that what is called
    equal is equal.

    Parameters
    ----------
    budget
        Bytes that their numbers may take in memory; more lie in a temporary file.

    Raises
    ------
    ConfigError
        The window is not a whole number of positions long.
    """
    sequences = codes if isinstance(codes, Buffer) else Buffer.of(np.ascontiguousarray(codes))
    rows, length = sequences.tensor.shape
    if length % grid.stride:
        raise ConfigError(
            "A window must be a multiple of the model's stride.",
            expected=f"a multiple of {grid.stride}",
            got=length,
        )
    begin = np.arange(*span) * grid.stride - grid.before
    end = begin + grid.before + grid.stride + grid.after
    numbers = Buffer.allocate((rows, len(begin)), _number_type(rows * len(begin)), budget)
    for seed in range(_TRIES):
        values = np.random.default_rng(seed).integers(0, 2**64, 8, dtype=np.uint64) | np.uint64(1)
        found = DistinctPositions(numbers, *_number(sequences, begin, end, values, numbers))
        if _all_same(sequences, begin, end, found):
            return found
    raise AssertionError("a 64-bit hash collided again and again")


def _number_type(most: int) -> torch.dtype:
    """The shorter integers where they can number so many things."""
    return torch.int32 if most <= 2**31 else torch.int64


def _number(
    sequences: Buffer, begin: Index, end: Index, values: NDArray[np.uint64], numbers: Buffer
) -> tuple[Index, Index]:
    """Number all positions; (D,) row and place of each number's first occurrence."""
    codes, index = sequences.tensor.numpy(), numbers.tensor.numpy()
    row, place = np.empty(index.size, np.intp), np.empty(index.size, np.intp)  # hardly any page is touched
    number_of = _numbers_of_hashes()
    step = math.gcd(int(np.gcd.reduce(begin)), int(end[0] - begin[0]), codes.shape[1])
    block, above = np.zeros(codes.shape[1] // step, np.uint64), np.zeros(len(begin), np.uint64)
    for rows in sequences.blocks():
        number_positions(codes, begin, end, step, values, number_of, block, above, *rows, index, row, place)
        numbers.drop()
    count = len(number_of)
    return row[:count].copy(), place[:count].copy()


def _all_same(sequences: Buffer, begin: Index, end: Index, found: DistinctPositions) -> bool:
    codes, index = sequences.tensor.numpy(), found.index
    for first, last in sequences.blocks():
        if not _same_positions(codes, begin, end, index, found.row, found.place, first, last):
            return False
        found.numbers.drop()
    return True


def distinct_rows(numbers: Buffer) -> tuple[Index, Index]:
    """One of each distinct row of a (R, P) matrix, rows in ascending order; and (R,) which each equals."""
    matrix, seen = numbers.tensor.numpy(), dict[bytes, int]()
    same = np.empty(len(matrix), np.intp)
    for first, last in numbers.blocks():
        for r in range(first, last):
            same[r] = seen.setdefault(hashlib.blake2b(matrix[r], digest_size=16).digest(), len(seen))

    def compared(a: int, b: int) -> int:
        place = np.argmax(matrix[a] != matrix[b])  # the first difference
        return int(matrix[a, place]) - int(matrix[b, place])

    order = np.array(sorted(np.unique(same, return_index=True)[1].tolist(), key=cmp_to_key(compared)))
    numbers.drop()
    rank = np.empty(len(order), np.intp)
    rank[same[order]] = np.arange(len(order))
    return order, rank[same]


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


def distinct_stretches(
    codes: Codes | Buffer, start: Index, length: int, rows: Index | None = None
) -> DistinctPositions:
    """Find the distinct stretches of `length` bases at (K,) `start` in (R, L) codes, or in some rows of them.

    Stretches are grouped by a 64-bit hash, and then compared with the one that stands for their group.
    """
    sequences = codes if isinstance(codes, Buffer) else Buffer.of(np.ascontiguousarray(codes))
    rows = np.arange(len(sequences.tensor)) if rows is None else rows
    for seed in range(_TRIES):
        weights = np.random.default_rng(seed).integers(0, 2**64, length, dtype=np.uint64)
        hashes = _hashes(sequences, rows, start, weights)
        _, first, index = np.unique(hashes, return_index=True, return_inverse=True)
        row, place = np.divmod(first, len(start))
        numbers = Buffer(torch.from_numpy(index.reshape(hashes.shape)).to(_number_type(index.size)))
        found = DistinctPositions(numbers, row, place)
        if _stretches_equal(sequences, rows, start, length, found):
            return found
    raise AssertionError("a 64-bit hash collided again and again")


def _hashes(sequences: Buffer, rows: Index, start: Index, weights: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(H, K) hashes of the stretches of some rows."""
    codes, parts = sequences.tensor.numpy(), []
    for some in _blocks(rows, sequences.block_rows):
        parts.append(hash_stretches(codes, some, start, weights))
        sequences.drop()
    return np.concatenate(parts)


def _stretches_equal(
    sequences: Buffer, rows: Index, start: Index, length: int, found: DistinctPositions
) -> bool:
    codes, index, size = sequences.tensor.numpy(), found.index, sequences.block_rows
    for first in range(0, len(rows), size):
        last = min(first + size, len(rows))
        if not _all_equal(codes, rows, start, length, index, found.row, found.place, first, last):
            return False
        sequences.drop()
    return True


def _blocks(rows: Index, size: int) -> Iterator[Index]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
