"""Compiled loops that find equal stretches among many sequences."""

from __future__ import annotations

import numpy as np
from numba import njit, typed, types
from numpy.typing import NDArray

__all__ = ["all_equal", "hash_stretches", "number_positions", "numbers_of_hashes", "same_positions"]


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def all_equal(
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


@njit(cache=True, nogil=True)
def numbers_of_hashes() -> typed.Dict:
    """An empty dictionary for `number_positions`."""
    return typed.Dict.empty(types.uint64, types.int64)


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def same_positions(
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
