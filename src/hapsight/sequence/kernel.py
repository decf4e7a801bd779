"""Compiled inner loops of the sequence builder; for edits and carriers see `hapsight.sequence.edits`.

Numba is imported with this module, so who calls these loops imports it where it calls them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapsight.files import compiled

__all__ = ["build", "keep_first_of_overlapping"]

Int = NDArray[np.int64]


@compiled()
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


@compiled(forceinline=True)
def _put(
    target: NDArray[np.generic],
    length: int,
    at: int,
    source: NDArray[np.generic],
    begin: int,
    size: int,
    power: NDArray[np.uint64] | None,
) -> int:
    """Copy `size` values (a plain loop: it becomes one memory copy); returns where the next goes.

    With powers, add to a fingerprint what these values add to it; `source` has sums of values.
    """
    if size == 0:
        return at
    values = len(source) if power is None else len(source) - 1
    if size < 0 or at < 0 or begin < 0 or at + size > length or begin + size > values:
        raise IndexError("the reference does not reach as far as the haplotype does")
    if power is None:
        to, run = target[at : at + size], source[begin : begin + size]
        for i in range(size):
            to[i] = run[i]
    else:
        target[0] += (source[begin + size] - source[begin]) * power[len(power) - length + at - begin]
    return at + size


@compiled()
def build(
    out: NDArray[np.generic],
    length: int,
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
    power: NDArray[np.uint64] | None,
) -> None:
    """Write every haplotype outwards from the anchor, leftwards and rightwards, into `out`.

    Works on base codes and, given the reference's positions instead of its bases, on coordinates; with
    `power` and sums of both, on fingerprints (see `fingerprint_sums`).

    Parameters
    ----------
    out
        (D, L), filled in place; the anchor's base goes to column `left`. Of fingerprints (D, 1), zeros.
    length
        L.
    reference
        (R,) reference values from position `offset` on; must reach far enough for every deletion.
    inserted
        Values inserted by all edits, end to end; those of edit e are
        ``inserted[inserted_first[e]:inserted_first[e + 1]]``.
    power
        Of fingerprints; ``None`` where values are written.
    """
    pivot = anchor - offset
    for d in range(out.shape[0]):
        row = out[d]
        # Rightwards from the anchor: `at` is the next column to write, `ref` the next reference base.
        # `border` is the base in the anchor's place: the first that is not deleted.
        at, ref, border = left, pivot, pivot
        for k in range(first[d], first[d + 1]):
            e = edit[k]
            begin, gone = start[e] - offset, removed[e]
            run, stop = inserted_first[e], inserted_first[e + 1]
            if begin + gone <= pivot:
                continue  # wholly left of the anchor; so is what is inserted just before it
            if begin < pivot:  # the anchor is among the replaced bases
                run = min(run + (pivot - begin), stop)
                begin, gone = pivot, begin + gone - pivot
            if gone == 0 and begin == border and border > pivot:
                continue  # the anchor is deleted, and what is inserted before the base in its place lies left
            at = _put(row, length, at, reference, ref, min(begin - ref, length - at), power)
            at = _put(row, length, at, inserted, run, min(stop - run, length - at), power)
            ref = begin + gone
            if at == left:
                border = ref
            if at == length:
                break
        _put(row, length, at, reference, ref, length - at, power)
        # Leftwards: columns [0, at) are still to write, `ref` is the base after the next one.
        at, ref = left, pivot
        for k in range(first[d + 1] - 1, first[d] - 1, -1):
            e = edit[k]
            begin, gone = start[e] - offset, removed[e]
            run, stop = inserted_first[e], inserted_first[e + 1]
            if begin + gone > pivot:
                if gone == 0 and begin <= border:
                    size = min(stop - run, at)
                    _put(row, length, at - size, inserted, stop - size, size, power)
                    at -= size
                if begin >= pivot:
                    continue
                gone = pivot - begin
                stop = min(run + gone, stop)
            size = min(ref - begin - gone, at)
            _put(row, length, at - size, reference, ref - size, size, power)
            at -= size
            size = min(stop - run, at)
            _put(row, length, at - size, inserted, stop - size, size, power)
            at -= size
            ref = begin
            if at == 0:
                break
        _put(row, length, 0, reference, ref - at, at, power)
