"""Variants as edits of the reference, and who carries which.

An *edit* replaces the reference bases ``[start, start + removed)`` by a run of inserted ones. The edits of
haplotype d are ``edit[first[d]:first[d + 1]]``, indices into the edit arrays, in ascending order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Variants
from hapsight.dna import Codes, encode

__all__ = [
    "Carriers",
    "Edits",
    "distinct_columns",
    "distinct_rows",
    "fingerprint_sums",
    "resolve_overlaps",
]

Int = NDArray[np.int64]


_BASE: Final = 0x9E3779B97F4A7C15
"""Odd, so that its powers repeat late."""


@lru_cache(maxsize=2)
def _powers(count: int) -> NDArray[np.uint64]:
    """(count,) powers of an odd number, modulo 2**64."""
    power = np.full(count, _BASE, np.uint64)
    power[0] = 1
    return np.multiply.accumulate(power)


def fingerprint_sums(
    length: int, reference: Codes, inserted: Codes
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """What `build` makes fingerprints of: numbers of haplotypes that are equal where their bases are.

    A fingerprint is the sum of each base's code times a power that grows from column to column, modulo 2**64,
    so a run of the reference adds its own sum, times one power, wherever it comes to lie.

    Returns
    -------
    reference, inserted, power
        Sums before each place, and one behind the last; powers.
    """
    longest = max(len(reference), len(inserted))
    power = _powers(1 << (length + longest).bit_length())[: length + longest]
    sums = [
        np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes * power[: len(codes)], dtype=np.uint64)])
        for codes in (reference, inserted)
    ]
    return sums[0], sums[1], power


@dataclass(frozen=True, slots=True, eq=False)
class Edits:
    """V variants without the bases that their alleles share at the ends.

    Attributes
    ----------
    start, removed
        (V,) first reference base that is replaced, and how many are.
    inserted_first
        (V + 1,) where each variant's inserted bases begin in `inserted`.
    inserted
        Base codes of all variants, end to end.
    """

    start: Int
    removed: Int
    inserted_first: Int
    inserted: Codes

    @classmethod
    def of(cls, variants: Variants) -> Edits:
        """Trim each variant's common prefix, then its common suffix."""
        start, removed, letters = [], [], []
        for position, ref, alt in zip(variants.position.tolist(), variants.ref, variants.alt, strict=True):
            prefix, gone, new = _trim(ref, alt)
            start.append(position + prefix)
            removed.append(len(gone))
            letters.append(new)
        first = np.concatenate([[0], np.cumsum([len(run) for run in letters])]).astype(np.int64)
        return cls(
            np.array(start, dtype=np.int64),
            np.array(removed, dtype=np.int64),
            first,
            encode("".join(letters)),
        )

    @property
    def shortens_by(self) -> Int:
        """(V,) bases that a carrier has fewer (negative: more)."""
        return self.removed - np.diff(self.inserted_first)

    def most_removed(self, haplotypes: NDArray[np.uint8]) -> int:
        """Most bases that the deletions of one of (V, H) haplotypes take away, insertions not counted."""
        shorter = np.flatnonzero(self.shortens_by > 0)
        return int(np.max(self.shortens_by[shorter] @ haplotypes[shorter], initial=0))


def _trim(ref: str, alt: str) -> tuple[int, str, str]:
    """Length of the common prefix; what is left of both alleles without it and the common suffix."""
    if len(ref) == len(alt) == 1 and ref != alt:  # as most are
        return 0, ref, alt
    prefix = _shared(ref, alt)
    ref, alt = ref[prefix:], alt[prefix:]
    suffix = _shared(ref[::-1], alt[::-1])
    return prefix, ref[: len(ref) - suffix], alt[: len(alt) - suffix]


def _shared(one: str, other: str) -> int:
    """How many first letters two strings share."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


@dataclass(frozen=True, slots=True, eq=False)
class Carriers:
    """Which variants each of D haplotypes carries: ``variant[first[d]:first[d + 1]]``, ascending."""

    first: Int
    variant: Int

    @classmethod
    def of(cls, columns: NDArray[np.uint8]) -> Carriers:
        """From (V, D) zeros and ones."""
        rows = np.ascontiguousarray(columns.T).view(np.bool_)
        counts = np.count_nonzero(rows, axis=1)
        variant = np.flatnonzero(rows) - np.repeat(np.arange(len(rows)) * len(columns), counts)
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), variant.astype(np.int64))

    def take(self, chosen: NDArray[np.intp]) -> Carriers:
        """Only these haplotypes, in this order."""
        parts = [self.variant[self.first[d] : self.first[d + 1]] for d in chosen.tolist()]
        counts = np.diff(self.first)[chosen]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Carriers(first, np.concatenate([np.empty(0, np.int64), *parts]))

    def where(self, keep: NDArray[np.bool_]) -> Carriers:
        """Only the entries of `variant` where `keep` is true."""
        before = np.concatenate([[0], np.cumsum(keep)])
        return Carriers(before[self.first].astype(np.int64), self.variant[keep])

    def most(self, value: Int) -> int:
        """Largest sum of (V,) `value` that any one haplotype carries."""
        if len(self.first) < 2 or not len(self.variant):
            return 0
        before = np.concatenate([[0], np.cumsum(value[self.variant])])
        return int(np.max(before[self.first[1:]] - before[self.first[:-1]]))


def distinct_columns(columns: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Distinct columns of a (V, H) matrix of zeros and ones.

    Returns
    -------
    one, of
        Index of one column for each of D distinct ones, in order of first appearance; and (H,) which
        distinct one each column is.
    """
    one, of = distinct_rows(np.packbits(columns, axis=0).T)
    order = np.argsort(one)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return one[order], rank[of]


def distinct_rows(rows: NDArray[np.unsignedinteger[Any]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Distinct rows of a (R, C) matrix, ascending: the first of each, and (R,) which one each row is."""
    if not rows.shape[1]:
        return np.zeros(min(1, len(rows)), np.intp), np.zeros(len(rows), np.intp)
    big = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">"))  # its bytes are ordered as numbers are
    whole = big.view(np.dtype((np.void, big.shape[1] * big.itemsize)))[:, 0]
    _, one, of = np.unique(whole, return_index=True, return_inverse=True)
    return one, of


def resolve_overlaps(
    variants: Variants, carriers: Carriers, name_of: Callable[[int], str]
) -> tuple[Carriers, Dropped]:
    """Leave out what overlaps an earlier record of the same haplotype; the rule of ``bcftools consensus``.

    Parameters
    ----------
    name_of
        A name for the d-th haplotype, for the report of what was left out.
    """
    from hapsight.sequence.kernel import keep_first_of_overlapping

    length = [
        np.fromiter(map(len, alleles), np.int64, len(variants)) for alleles in (variants.ref, variants.alt)
    ]
    same = np.fromiter(
        (r[:1] == a[:1] for r, a in zip(variants.ref, variants.alt, strict=True)), np.bool_, len(variants)
    )
    keep = keep_first_of_overlapping(
        carriers.first, carriers.variant, variants.position, length[0], length[1], same
    )
    dropped = Dropped()
    for k in np.flatnonzero(~keep):
        v, d = carriers.variant[k], int(np.searchsorted(carriers.first, k, side="right")) - 1
        name = f"{variants.name(v)} {name_of(d)}"
        dropped.add("allele", "overlaps an earlier record of the same haplotype", name)
    return carriers.where(keep), dropped
