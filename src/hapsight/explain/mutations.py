"""Sequences for in-silico mutagenesis: pairs that differ at one variant, and every base at some positions.

A *background* is what one haplotype carries beside the variant in question. Pairs are built by the code that
builds personal sequences, as people of whom one haplotype lacks the variant and the other has it; so the TSS
stays where it is, and windows are refilled, as they are for real people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Interval, Variants
from hapsight.dna import N_CODE, Codes
from hapsight.errors import ConfigError
from hapsight.sequence.edits import Carriers, Edits, distinct_columns, resolve_overlaps
from hapsight.sequence.haplotypes import (
    FetchReference,
    PersonalSequences,
    ReadVariants,
    Window,
    personal_sequences,
)

__all__ = [
    "REFERENCE",
    "Backgrounds",
    "Pairs",
    "Substitutions",
    "haplotype_sequences",
    "pair_sequences",
    "read_near",
    "require_within",
    "substitutions",
]

REFERENCE = 0
"""The background that carries nothing."""

_FIRST_MARGIN = 256
"""Bases read beyond the window at first."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """P pairs of sequences: each a variant, and the background that it is absent from and present in."""

    variant: NDArray[np.intp]
    background: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.variant)

    def parts(self, size: int) -> Iterator[Pairs]:
        """The pairs in order, `size` at a time."""
        for first in range(0, len(self), size):
            yield Pairs(self.variant[first : first + size], self.background[first : first + size])


@dataclass(frozen=True, slots=True, eq=False)
class Backgrounds:
    """What the distinct haplotypes of a cohort carry in and near a window.

    Attributes
    ----------
    variants
        V variants, the window's and those that deletions may pull into it.
    columns
        (V, 1 + D) uint8, 1 where a background carries a variant; column 0 carries none, the others are
        people's, the commonest first. Alleles that overlap an earlier one of the same haplotype are left out.
    index
        (N, 2) column of each person's two haplotypes.
    """

    window: Window
    variants: Variants
    columns: NDArray[np.uint8]
    index: NDArray[np.intp]

    @classmethod
    def of_people(cls, window: Window, variants: Variants) -> Backgrounds:
        """The distinct haplotypes of everybody in `variants`, which come from `read_near`."""
        haplotypes = variants.haplotypes
        one, of = distinct_columns(haplotypes)
        kept = _without_overlaps(variants, haplotypes[:, one])
        same, back = distinct_columns(kept)  # what overlapped may have been all the difference
        of = back[of]
        order = np.argsort(-np.bincount(of, minlength=len(same)), kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        nothing = np.zeros((len(variants), 1), np.uint8)
        columns = np.concatenate([nothing, kept[:, same[order]]], axis=1)
        return cls(window, variants, columns, 1 + rank[of].reshape(-1, 2))

    @property
    def inside(self) -> NDArray[np.intp]:
        """Variants whose reference allele overlaps the window."""
        window = self.window.interval
        overlaps = (self.variants.end > window.start) & (self.variants.position < window.end)
        return np.flatnonzero(overlaps)

    def pairs(self, chosen: NDArray[np.intp], backgrounds: NDArray[np.intp]) -> Pairs:
        """Every one of the `chosen` variants in every background that has room for it.

        A background has no room for a variant that overlaps another which it carries.
        """
        variant, background = [], []
        for b in backgrounds.tolist():
            present = self._present(chosen, np.full(len(chosen), b))
            carriers = Carriers.of(present)
            fits = np.diff(_resolved(self.variants, carriers).first) == np.diff(carriers.first)
            variant.append(chosen[fits])
            background.append(np.full(int(fits.sum()), b))
        empty = np.empty(0, np.intp)
        return Pairs(np.concatenate([empty, *variant]), np.concatenate([empty, *background]))

    def crafted(self, pairs: Pairs) -> Variants:
        """The variants as P people carry them, whose haplotypes are a pair: without the variant, and with."""
        present = self._present(pairs.variant, pairs.background)
        absent = present.copy()
        absent[pairs.variant, np.arange(len(pairs))] = 0
        return _carried(self.variants, np.stack([absent, present], axis=2))

    def _present(self, variant: NDArray[np.intp], background: NDArray[np.intp]) -> NDArray[np.uint8]:
        columns = self.columns[:, background]
        columns[variant, np.arange(len(variant))] = 1
        return columns


def pair_sequences(
    backgrounds: Backgrounds, pairs: Pairs, fetch_reference: FetchReference
) -> PersonalSequences:
    """Build the sequences of `pairs`: ``index[p]`` are the rows without and with the variant of pair p."""
    crafted = backgrounds.crafted(pairs)
    return personal_sequences(backgrounds.window, lambda _: crafted, fetch_reference)


def haplotype_sequences(backgrounds: Backgrounds, fetch_reference: FetchReference) -> PersonalSequences:
    """Build every background as it is: ``index[b]`` is twice the row of background b."""
    crafted = _carried(backgrounds.variants, np.stack([backgrounds.columns] * 2, axis=2))
    return personal_sequences(backgrounds.window, lambda _: crafted, fetch_reference)


def read_near(window: Window, read_variants: ReadVariants, longest: int = 0) -> Variants:
    """Variants of the window, and of all that deletions, one more than a haplotype has, pull into it.

    Parameters
    ----------
    longest
        Bases that variants which are not among those read may take away.
    """
    margin = _FIRST_MARGIN
    while True:
        variants = read_variants(window.interval.widen(margin, margin))
        edits = Edits.of(variants)
        one_more = int(edits.shortens_by.max(initial=longest))
        pulled_in = edits.most_removed(variants.haplotypes) + one_more
        if pulled_in + _FIRST_MARGIN // 2 <= margin:
            return variants
        margin = 2 * (pulled_in + _FIRST_MARGIN)


def _carried(variants: Variants, alleles: NDArray[np.uint8]) -> Variants:
    """The same variants in other people, (V, P, 2)."""
    names = tuple(map(str, range(alleles.shape[1])))
    return Variants(
        variants.contig,
        variants.position,
        variants.ref,
        variants.alt,
        variants.variant_id,
        alleles,
        names,
    )


def _resolved(variants: Variants, carriers: Carriers) -> Carriers:
    return resolve_overlaps(variants, carriers, str)[0]


def _without_overlaps(variants: Variants, columns: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(V, D) columns without what overlaps an earlier record of the same haplotype."""
    carriers = _resolved(variants, Carriers.of(columns))
    kept = np.zeros_like(columns)
    kept[carriers.variant, np.repeat(np.arange(columns.shape[1]), np.diff(carriers.first))] = 1
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class Substitutions:
    """S sequences with one base exchanged, for every base but its own at every position of a stretch.

    Attributes
    ----------
    interval
        The stretch on the reference.
    place, base
        (S,) position in the stretch and the code that stands there instead; forward strand.
    codes
        (L,) the window's reference, forward strand.
    """

    window: Window
    interval: Interval
    place: NDArray[np.intp]
    base: Codes
    codes: Codes

    def __len__(self) -> int:
        return len(self.place)

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """(n,) positions where the reference is N."""
        offset = self.interval.start - self.window.interval.start
        return np.asarray(self.codes[offset : offset + len(self.interval)] == N_CODE)

    def parts(self, size: int) -> Iterator[Codes]:
        """Sequences (S, L) in order, `size` at a time."""
        offset = self.interval.start - self.window.interval.start
        for first in range(0, len(self), size):
            place = offset + self.place[first : first + size]
            codes = np.repeat(self.codes[None], len(place), axis=0)
            codes[np.arange(len(place)), place] = self.base[first : first + size]
            yield codes


def substitutions(window: Window, interval: Interval, codes: Codes) -> Substitutions:
    """All three other bases at every position of `interval`; a reference N has none.

    Parameters
    ----------
    codes
        (L,) the window's reference, forward strand.

    Raises
    ------
    ConfigError
        The stretch reaches out of the window, where the model sees nothing of it.
    """
    require_within(window, interval)
    whole = window.interval
    stretch = codes[interval.start - whole.start : interval.end - whole.start]
    base = np.arange(4, dtype=np.uint8)
    place, other = np.nonzero((stretch[:, None] != base) & (stretch[:, None] != N_CODE))
    return Substitutions(window, interval, place, base[other], codes)


def require_within(window: Window, interval: Interval) -> None:
    """Refuse a stretch that a model does not see all of.

    Raises
    ------
    ConfigError
        The stretch reaches out of the window.
    """
    whole = window.interval
    if interval.start < whole.start or interval.end > whole.end:
        raise ConfigError(
            "The stretch for saturation mutagenesis reaches out of the model's window.",
            where=f"TSS at {window.contig}:{window.anchor + 1}",
            expected=f"within {whole}",
            got=str(interval),
            fix="choose a shorter stretch under [explain] saturation",
        )
