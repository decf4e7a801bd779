"""Both haplotypes of every person in a window: distinct ones found first, then built when they are wanted.

Windows anchored at a TSS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand, Variants
from hapsight.dna import Codes, reverse_complement
from hapsight.errors import ConfigError
from hapsight.sequence.edits import (
    Carriers,
    Edits,
    distinct_columns,
    fingerprint_sums,
    resolve_overlaps,
)

__all__ = [
    "FIRST_MARGIN",
    "CoordinateMap",
    "Haplotypes",
    "PersonalSequences",
    "Window",
    "coordinate_map",
    "count_variants",
    "find_haplotypes",
    "personal_sequences",
]


@dataclass(frozen=True, slots=True)
class Window:
    """`left` bases before the anchor and `right` bases from it on, on the forward strand.

    The anchor (a TSS) is at index `left` of every haplotype, whatever indels the haplotype carries.

    Attributes
    ----------
    reverse
        True where a model wants the reverse complement of what is built here.
    """

    contig: str
    anchor: int
    left: int
    right: int
    reverse: bool = False

    @classmethod
    def around(cls, gene: Gene, upstream: int, downstream: int, oriented: bool) -> Self:
        """The window of a gene: `upstream` bases before its TSS, `downstream` from the TSS on.

        With `oriented`, upstream means against the direction of transcription: for a gene on the minus
        strand the TSS is at index `upstream` of the *reverse complement*.

        Raises
        ------
        ConfigError
            An oriented window of a gene whose strand is not known.
        """
        if not oriented:
            return cls(gene.contig, gene.tss, upstream, downstream)
        if gene.strand is None:
            raise ConfigError(
                "A model that reads in the direction of transcription needs the gene's strand.",
                where=f"gene {gene.gene_id}",
                expected="+ or -",
                got="no strand",
                fix="give a gene table with strands (`genes` in the configuration: GTF, BED6 or TSV); peaks "
                "have no strand, and need a model that reads the forward strand",
            )
        if gene.strand is Strand.PLUS:
            return cls(gene.contig, gene.tss, upstream, downstream)
        return cls(gene.contig, gene.tss, downstream - 1, upstream + 1, reverse=True)

    @property
    def length(self) -> int:
        """Bases in the window."""
        return self.left + self.right

    @property
    def interval(self) -> Interval:
        """The stretch of reference that the window covers where nobody has an indel."""
        return Interval(self.contig, self.anchor - self.left, self.anchor + self.right)


FIRST_MARGIN = 256
"""Bases read beyond the window at first: enough that overlaps at its edge are judged as in the whole file."""

_BLOCK_BYTES = 16 * 2**20
"""Bytes of sequence that are built at once while distinct ones are looked for."""

ReadVariants = Callable[[Interval], Variants]
FetchReference = Callable[[Interval], Codes]


@dataclass(frozen=True, slots=True, eq=False)
class PersonalSequences:
    """The haplotypes of N people in one window, D of them distinct.

    Attributes
    ----------
    reference
        (L,) codes of the reference sequence.
    distinct
        (D, L) codes of the distinct haplotypes, no two rows equal; forward strand.
    index
        (N, 2) row of `distinct` for each person's two haplotypes, in the order of the genotype file.
    n_variants
        Variants that overlap the window on the reference.
    dropped
        Alleles that could not be applied because they overlap others of the same haplotype.
    """

    window: Window
    samples: tuple[str, ...]
    reference: Codes
    distinct: Codes
    index: NDArray[np.intp]
    n_variants: int
    dropped: Dropped

    def oriented(self, codes: Codes) -> Codes:
        """`codes` (..., L) as the window's reader wants them: reversed and complemented if it says so."""
        return reverse_complement(codes) if self.window.reverse else codes


@dataclass(frozen=True, slots=True, eq=False)
class Haplotypes:
    """What `PersonalSequences` holds, with the distinct haplotypes built when they are asked for.

    Memory grows with the variants that haplotypes carry, not with their bases.
    """

    window: Window
    samples: tuple[str, ...]
    reference: Codes
    index: NDArray[np.intp]
    n_variants: int
    dropped: Dropped
    _build: Callable[[NDArray[np.intp]], Codes]
    _distinct: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self._distinct)

    def codes(self, first: int, last: int) -> Codes:
        """(last - first, L) codes of these distinct haplotypes; forward strand."""
        return self._build(self._distinct[first:last])

    def oriented(self, codes: Codes) -> Codes:
        """`codes` (..., L) as the window's reader wants them: reversed and complemented if it says so."""
        return reverse_complement(codes) if self.window.reverse else codes


def personal_sequences(
    window: Window, read_variants: ReadVariants, fetch_reference: FetchReference
) -> PersonalSequences:
    """Find and build the distinct haplotypes of a window, as `find_haplotypes` does."""
    found = find_haplotypes(window, read_variants, fetch_reference)
    return PersonalSequences(
        window=window,
        samples=found.samples,
        reference=found.reference,
        distinct=found.codes(0, len(found)),
        index=found.index,
        n_variants=found.n_variants,
        dropped=found.dropped,
    )


def find_haplotypes(
    window: Window, read_variants: ReadVariants, fetch_reference: FetchReference
) -> Haplotypes:
    """Find the distinct haplotypes of a window.

    The anchor stays at index ``window.left``: indels before it move the left edge, indels after it the
    right one, and the window is refilled outwards with the person's own sequence further out, so its
    length is exact. Where the contig ends, N. If a deletion takes the anchor base itself, the next base
    that is left takes its place.

    Parameters
    ----------
    read_variants
        Gives the phased variants that overlap an interval; always the same people.
    fetch_reference
        Gives the codes of an interval, N beyond the contig's ends.
    """
    variants, edits = _read_far_enough(window, read_variants)
    one, of = distinct_columns(variants.haplotypes)
    carriers, dropped = _resolved(variants, one)
    build, prints, reference = _builder(window, edits, carriers, fetch_reference)
    rows, same = _distinct_rows(build, prints, window.length)
    return Haplotypes(
        window,
        variants.samples,
        reference,
        same[of].reshape(-1, 2),
        _count_overlapping(variants, window.interval),
        dropped,
        build,
        rows,
    )


def count_variants(windows: Sequence[Window], variants: Variants) -> tuple[int, Dropped]:
    """Variants that overlap at least one of some windows of a gene; and what could not be applied near them.

    Each counts once, however many windows it is near.

    Parameters
    ----------
    variants
        Those of the contig that overlap a window widened by `FIRST_MARGIN`; others do not matter.
    """
    first, last = variants.position, variants.end

    def inside(margin: int) -> NDArray[np.bool_]:
        reached = (window.interval.widen(margin, margin) for window in windows)
        masks = ((last > reach.start) & (first < reach.end) for reach in reached)
        return np.asarray(np.logical_or.reduce(list(masks)), np.bool_)

    near = variants.take(inside(FIRST_MARGIN))
    _, dropped = _resolved(near, distinct_columns(near.haplotypes)[0])
    return int(inside(0).sum()), dropped


def _resolved(variants: Variants, one: NDArray[np.intp]) -> tuple[Carriers, Dropped]:
    """What these (D,) haplotypes carry without overlaps, and what was left out of them."""
    carriers = Carriers.of(variants.haplotypes[:, one])
    return resolve_overlaps(variants, carriers, lambda d: _haplotype_name(variants, int(one[d])))


def _read_far_enough(window: Window, read_variants: ReadVariants) -> tuple[Variants, Edits]:
    """Variants of the window and of all that deletions pull into it, on either side."""
    margin = FIRST_MARGIN
    while True:
        variants = read_variants(window.interval.widen(margin, margin))
        edits = Edits.of(variants)
        pulled_in = edits.most_removed(variants.haplotypes)
        if pulled_in + FIRST_MARGIN // 2 <= margin:
            return variants, edits
        margin = 2 * (pulled_in + FIRST_MARGIN)


def _builder(
    window: Window, edits: Edits, carriers: Carriers, fetch_reference: FetchReference
) -> tuple[Callable[[NDArray[np.intp]], Codes], NDArray[np.uint64], Codes]:
    """What builds the (n, L) codes of any n of the haplotypes; their fingerprints; (L,) the reference."""
    reach = _reach(window, edits, carriers)
    bases = fetch_reference(reach)

    def build(chosen: NDArray[np.intp]) -> Codes:
        out = np.empty((len(chosen), window.length), dtype=np.uint8)
        _fill(out, window, bases, edits.inserted, reach.start, edits, carriers.take(chosen))
        return out

    prints = np.zeros((len(carriers.first) - 1, 1), np.uint64)
    if len(prints) > 1:
        sums, inserted, power = fingerprint_sums(window.length, bases, edits.inserted)
        _fill(prints, window, sums, inserted, reach.start, edits, carriers, power)
    first = window.interval.start - reach.start
    return build, prints[:, 0], bases[first : first + window.length]


def _reach(window: Window, edits: Edits, carriers: Carriers) -> Interval:
    """The reference that the builder may touch: the window and what deletions can pull in."""
    margin = carriers.most(np.maximum(edits.shortens_by, 0)) + int(edits.removed.max(initial=0))
    return window.interval.widen(margin, margin)


def _fill(
    out: NDArray[np.generic],
    window: Window,
    reference: NDArray[np.generic],
    inserted: NDArray[np.generic],
    offset: int,
    edits: Edits,
    carriers: Carriers,
    power: NDArray[np.uint64] | None = None,
) -> None:
    from hapsight.sequence.kernel import build

    build(
        out,
        window.length,
        window.left,
        reference,
        offset,
        window.anchor,
        carriers.first,
        carriers.variant,
        edits.start,
        edits.removed,
        edits.inserted_first,
        inserted,
        power,
    )


def _distinct_rows(
    build: Callable[[NDArray[np.intp]], Codes], prints: NDArray[np.uint64], length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First of each distinct sequence, in order; and for each, which one it equals.

    Sequences of one fingerprint are built and compared, so that nothing depends on chance.
    """
    like, rows = np.empty(len(prints), np.intp), np.arange(len(prints))
    while len(rows):
        _, first, of = np.unique(prints[rows], return_index=True, return_inverse=True)
        like[rows] = rows[first[of]]
        rows = rows[~_equal(build, rows, like[rows], length)]
    return np.unique(like, return_inverse=True)


def _equal(
    build: Callable[[NDArray[np.intp]], Codes], some: NDArray[np.intp], others: NDArray[np.intp], length: int
) -> NDArray[np.bool_]:
    """(R,) whether sequences are those of other rows; a row is its own without being built."""
    equal: NDArray[np.bool_] = some == others
    size = max(1, _BLOCK_BYTES // length)
    left = np.flatnonzero(~equal)
    for block in (left[first : first + size] for first in range(0, len(left), size)):
        equal[block] = np.all(build(some[block]) == build(others[block]), axis=1)
    return equal


def _count_overlapping(variants: Variants, interval: Interval) -> int:
    return int(np.sum((variants.end > interval.start) & (variants.position < interval.end)))


def _haplotype_name(variants: Variants, column: int) -> str:
    return f"{variants.samples[column // 2]} haplotype {column % 2 + 1}"


@dataclass(frozen=True, slots=True, eq=False)
class CoordinateMap:
    """Where each base of one haplotype comes from.

    Attributes
    ----------
    reference_position
        (L,) int64 reference position of each base; -1 for inserted bases.
    """

    window: Window
    reference_position: NDArray[np.int64]

    def to_reference(self, index: int) -> int | None:
        """Reference position of the base at `index`; ``None`` for an inserted base."""
        position = int(self.reference_position[index])
        return None if position == INSERTED else position

    def to_haplotype(self, position: int) -> int | None:
        """Index of the base at a reference position; ``None`` where it is deleted or outside."""
        found = np.flatnonzero(self.reference_position == position)
        return int(found[0]) if len(found) else None


INSERTED = np.iinfo(np.int64).min
"""Marks inserted bases in a `CoordinateMap`; no position (not even one before a contig) has this value."""


def coordinate_map(
    window: Window, read_variants: ReadVariants, sample_id: str, haplotype: int
) -> CoordinateMap:
    """The map between one person's haplotype (1 or 2) and the reference, in a window.

    Substituted bases map to the bases they replace; positions beyond a contig's ends go on counting.
    """
    variants, edits = _read_far_enough(window, read_variants)
    column = variants.alleles[:, variants.samples.index(sample_id), haplotype - 1, None]
    carriers, _ = resolve_overlaps(variants, Carriers.of(column), lambda _: sample_id)
    reach = _reach(window, edits, carriers)
    out = np.empty((1, window.length), dtype=np.int64)
    source = np.arange(reach.start, reach.end, dtype=np.int64)
    _fill(out, window, source, _inserted_positions(edits), reach.start, edits, carriers)
    return CoordinateMap(window, out[0])


def _inserted_positions(edits: Edits) -> NDArray[np.int64]:
    """Positions that inserted bases stand for: those they substitute, else `INSERTED`."""
    owner = np.repeat(np.arange(len(edits.start)), np.diff(edits.inserted_first))
    nth = np.arange(len(edits.inserted)) - edits.inserted_first[owner]
    return np.where(nth < edits.removed[owner], edits.start[owner] + nth, INSERTED)
