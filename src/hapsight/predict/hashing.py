"""Compiled loops that find equal stretches among many sequences."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["all_equal", "hash_stretches"]


@njit(cache=True, nogil=True)
def hash_stretches(
    codes: NDArray[np.uint8], start: NDArray[np.intp], weights: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """(R, K) multilinear hashes of the stretches ``codes[r, start[k]:start[k] + len(weights)]``."""
    out = np.empty((len(codes), len(start)), np.uint64)
    for r in range(len(codes)):
        for k in range(len(start)):
            stretch = codes[r, start[k] : start[k] + len(weights)]
            total = np.uint64(0)
            for i in range(len(weights)):
                total += np.uint64(stretch[i]) * weights[i]
            out[r, k] = total
    return out


@njit(cache=True, nogil=True)
def all_equal(
    codes: NDArray[np.uint8],
    start: NDArray[np.intp],
    length: int,
    index: NDArray[np.intp],
    row: NDArray[np.intp],
    place: NDArray[np.intp],
) -> bool:
    """Whether every stretch (r, k) has the bytes of the one that stands for it, number ``index[r, k]``."""
    for r in range(len(codes)):
        for k in range(len(start)):
            u = index[r, k]
            if row[u] == r and place[u] == k:
                continue
            one = codes[r, start[k] : start[k] + length]
            other = codes[row[u], start[place[u]] : start[place[u]] + length]
            different = False
            for i in range(length):
                different |= one[i] != other[i]
            if different:
                return False
    return True
