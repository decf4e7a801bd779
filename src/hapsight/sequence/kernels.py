"""Compiled inner loops of the sequence builder.

An *edit* replaces the reference bases ``[start, start + removed)`` by a run of inserted ones. The edits of
haplotype d are ``edit[first[d]:first[d + 1]]``, indices into the edit arrays, in ascending order.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["build", "keep_first_of_overlapping"]

Int = NDArray[np.int64]


@njit(cache=True, nogil=True)
def keep_first_of_overlapping(
    first: Int,
    carried: Int,
    position: Int,
    ref_length: Int,
    alt_length: Int,
    same_first_base: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which carried variants a haplotype can take, going through the file in order.

    A variant that starts within the reference allele of the one taken before it is left out, except an
    indel whose anchor base is the last of those bases (a SNV and an indel of one position go together).
    This is the rule of ``bcftools consensus``.

    Returns
    -------
    mask over `carried`
    """
    keep = np.ones(len(carried), dtype=np.bool_)
    for d in range(len(first) - 1):
        last, last_inserts = np.int64(-1), False
        for k in range(first[d], first[d + 1]):
            v = carried[k]
            is_anchored_indel = same_first_base[v] and ref_length[v] != alt_length[v]
            if position[v] < last or (position[v] == last and (not is_anchored_indel or last_inserts)):
                keep[k] = False
                continue
            last = position[v] + ref_length[v] - 1
            last_inserts = alt_length[v] > ref_length[v]
    return keep


@njit(cache=True, nogil=True, inline="always")
def _copy(target: NDArray[np.generic], at: int, source: NDArray[np.generic], begin: int, size: int) -> int:
    """Copy `size` values (a plain loop: it becomes one memory copy); returns where the next goes."""
    if size == 0:
        return at
    if min(size, at, begin) < 0 or at + size > len(target) or begin + size > len(source):
        raise IndexError("the reference does not reach as far as the haplotype does")
    to, values = target[at : at + size], source[begin : begin + size]
    for i in range(size):
        to[i] = values[i]
    return at + size


@njit(cache=True, nogil=True)
def build(
    out: NDArray[np.generic],
    left: int,
    reference: NDArray[np.generic],
    offset: int,
    anchor: int,
    first: Int,
    edit: Int,
    start: Int,
    removed: Int,
    inserted_first: Int,
    inserted: NDArray[np.generic],
) -> None:
    """Write every haplotype outwards from the anchor, leftwards and rightwards, into `out`.

    Works on base codes and, given the reference's positions instead of its bases, on coordinates.

    Parameters
    ----------
    out
        (D, L), filled in place; the anchor's base goes to column `left`.
    reference
        (R,) reference values from position `offset` on; must reach far enough for every deletion.
    inserted
        Values inserted by all edits, end to end; those of edit e are
        ``inserted[inserted_first[e]:inserted_first[e + 1]]``.
    """
    pivot = anchor - offset
    for d in range(out.shape[0]):
        row = out[d]
        # Rightwards from the anchor: `at` is the next column to write, `ref` the next reference base.
        at, ref, length = left, pivot, len(row)
        for k in range(first[d], first[d + 1]):
            e = edit[k]
            begin, gone = start[e] - offset, removed[e]
            run, stop = inserted_first[e], inserted_first[e + 1]
            if begin + gone <= pivot:
                continue  # wholly left of the anchor; so is what is inserted just before it
            if begin < pivot:  # the anchor is among the replaced bases
                run = min(run + (pivot - begin), stop)
                begin, gone = pivot, begin + gone - pivot
            at = _copy(row, at, reference, ref, min(begin - ref, length - at))
            at = _copy(row, at, inserted, run, min(stop - run, length - at))
            ref = begin + gone
            if at == length:
                break
        _copy(row, at, reference, ref, length - at)
        # Leftwards: columns [0, at) are still to write, `ref` is the base after the next one.
        at, ref = left, pivot
        for k in range(first[d + 1] - 1, first[d] - 1, -1):
            e = edit[k]
            begin, gone = start[e] - offset, removed[e]
            run, stop = inserted_first[e], inserted_first[e + 1]
            if begin + gone > pivot:
                if begin >= pivot:
                    continue
                gone = pivot - begin
                stop = min(run + gone, stop)
            size = min(ref - begin - gone, at)
            _copy(row, at - size, reference, ref - size, size)
            at -= size
            size = min(stop - run, at)
            _copy(row, at - size, inserted, stop - size, size)
            at -= size
            ref = begin
            if at == 0:
                break
        _copy(row, 0, reference, ref - at, at)
