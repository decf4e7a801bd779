"""The nouns of a cohort. Coordinates are 0-based and half-open; only file readers know 1-based ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.ploidy import OneCopy
from hapsight.errors import InputError
from hapsight.least_squares import row_means

__all__ = ["Dropped", "Gene", "Interval", "Strand", "Variants", "count_overlaps", "merge_intervals"]


class Strand(StrEnum):
    """Direction of transcription."""

    PLUS = "+"
    MINUS = "-"

    @classmethod
    def parse(cls, text: str | None, where: object) -> Strand | None:
        """The strand as files have it, BioMart's 1 and -1 too; ``None`` where they have none.

        Raises
        ------
        InputError
            It is no strand.

        Examples
        --------
        >>> Strand.parse("-1", "genes.tsv"), Strand.parse(".", "genes.bed")
        (<Strand.MINUS: '-'>, None)
        """
        word = (text or "").strip()
        if word not in _STRANDS:
            raise InputError("A strand is neither + nor -.", where=where, got=repr(text))
        return _STRANDS[word]


_STRANDS: Final = {
    **dict.fromkeys(("+", "1", "+1"), Strand.PLUS),
    **dict.fromkeys(("-", "-1"), Strand.MINUS),
    **dict.fromkeys(("", ".", "*"), None),
}


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of a contig, ``[start, end)``; may reach over the contig's ends.

    Examples
    --------
    >>> str(Interval("chr22", 99, 200))
    'chr22:100-200'
    """

    contig: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise InputError(
                "An interval ends before it starts.", where=self.contig, got=f"[{self.start}, {self.end})"
            )

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1}-{self.end}"

    def widen(self, left: int, right: int) -> Interval:
        """Reach `left` and `right` bases further out."""
        return Interval(self.contig, self.start - left, self.end + right)


def merge_intervals(intervals: Iterable[Interval]) -> list[Interval]:
    """The union of intervals, sorted, without overlaps.

    Examples
    --------
    >>> [str(i) for i in merge_intervals([Interval("1", 5, 9), Interval("1", 0, 6), Interval("1", 20, 30)])]
    ['1:1-9', '1:21-30']
    """
    merged: list[Interval] = []
    for interval in sorted(intervals, key=lambda i: (i.contig, i.start, i.end)):
        last = merged[-1] if merged else None
        if last is not None and last.contig == interval.contig and interval.start <= last.end:
            merged[-1] = Interval(last.contig, last.start, max(last.end, interval.end))
        else:
            merged.append(interval)
    return merged


@dataclass(frozen=True, slots=True)
class Gene:
    """A gene and its transcription start; or a peak, a stretch of DNA without direction, and its centre.

    Attributes
    ----------
    tss
        0-based position of the first transcribed base.
    strand
        ``None`` where the file has no strand, and of a peak; oriented models then refuse the gene.
    is_peak
        Whether `tss` is the centre of a peak.
    """

    gene_id: str
    contig: str
    tss: int
    strand: Strand | None = None
    gene_name: str = ""
    is_peak: bool = False

    @property
    def direction(self) -> int | None:
        """1 where distances from the TSS count along the chromosome, -1 against it; ``None``: not known."""
        if self.strand is None:
            return 1 if self.is_peak else None
        return -1 if self.strand is Strand.MINUS else 1

    def cis(self, reach: int) -> Interval:
        """The window of `reach` bases on either side of the TSS: ``[tss - reach, tss + reach]``."""
        return Interval(self.contig, self.tss - reach, self.tss + reach + 1)


@dataclass
class Dropped:
    """What a reader or a join left out: how many, and the first names, by kind and reason."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    names: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    keep_names: int = 1000

    def add(
        self, kind: str, reason: str, name: str, times: int = 1, at: tuple[int, int] | None = None
    ) -> None:
        """Count a dropped `kind` (``"sample"``, ``"gene"``, ``"variant"``, ``"genotype"``) under one name.

        Parameters
        ----------
        at
            From where to where a variant's REF reaches; for those who want to know (here nobody).
        """
        key = (kind, reason)
        self.counts[key] += times
        names = self.names.setdefault(key, [])
        if len(names) < self.keep_names:
            names.append(name)

    def merge(self, other: Dropped) -> None:
        """Add what `other` dropped."""
        self.counts.update(other.counts)
        for key, names in other.names.items():
            mine = self.names.setdefault(key, [])
            mine.extend(names[: self.keep_names - len(mine)])

    def rows(self) -> list[dict[str, object]]:
        """One row per kind and reason: ``kind, reason, count, names``."""
        return [
            {
                "kind": kind,
                "reason": reason,
                "count": count,
                "names": list(self.names.get((kind, reason), [])),
            }
            for (kind, reason), count in sorted(self.counts.items())
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """Phased biallelic variants of one contig, in file order; multi-allelic records come split.

    Attributes
    ----------
    position
        (V,) int64, 0-based position of the first base of `ref`; not decreasing.
    ref, alt
        V upper-case alleles each, as in the VCF (an indel keeps its anchor base).
    alleles
        (V, N, 2) uint8; 1 where that haplotype of that person carries `alt`. Who has one copy (a man's chrX
        outside the PARs) has it in both columns.
    samples
        N sample identifiers, the order of the second axis.
    one_copy
        Who has one copy of which variant; ``None`` where everybody has two of all.
    """

    contig: str
    position: NDArray[np.int64]
    ref: tuple[str, ...]
    alt: tuple[str, ...]
    variant_id: tuple[str, ...]
    alleles: NDArray[np.uint8]
    samples: tuple[str, ...]
    one_copy: OneCopy | None = None

    def __post_init__(self) -> None:
        shape = (len(self.ref), len(self.samples), 2)
        if self.alleles.shape != shape or not (
            len(self.position) == len(self.ref) == len(self.alt) == len(self.variant_id)
        ):
            raise InputError(
                "The parts of Variants do not fit each other.", expected=shape, got=self.alleles.shape
            )
        if np.any(np.diff(self.position) < 0):
            raise InputError("Variants must be sorted by position.", where=self.contig)

    def __len__(self) -> int:
        return len(self.ref)

    def name(self, row: int) -> str:
        """A variant in words, 1-based as in the file: ``chr22:100 A>G``."""
        return f"{self.contig}:{self.position[row] + 1} {self.ref[row]}>{self.alt[row]}"

    @property
    def haplotypes(self) -> NDArray[np.uint8]:
        """(V, 2N) view of `alleles`: a column per haplotype, a person's two beside each other."""
        return self.alleles.reshape(len(self), 2 * len(self.samples))

    @property
    def dosage(self) -> NDArray[np.uint8]:
        """(V, N) uint8: how many of a person's two haplotypes carry `alt`; 0 or 2 where there is one copy."""
        return self.alleles[:, :, 0] + self.alleles[:, :, 1]

    @property
    def linear_dosage(self) -> NDArray[np.uint8]:
        """(V, N) uint8: `dosage` as linear methods are to see it, see ``one_copy.dosage``."""
        return self.dosage if self.one_copy is None else self.one_copy.coded(self.dosage)

    @property
    def af(self) -> NDArray[np.float64]:
        """(V,) frequency of `alt` among all copies, one of one person or two."""
        if self.one_copy is not None:
            return self.one_copy.af(self.linear_dosage)
        return row_means(self.haplotypes)

    @property
    def maf(self) -> NDArray[np.float64]:
        """(V,) frequency of the rarer allele."""
        return np.minimum(self.af, 1.0 - self.af)

    @property
    def end(self) -> NDArray[np.int64]:
        """(V,) position after the last base of `ref`."""
        return self.position + self._letters(self.ref)

    @property
    def is_snv(self) -> NDArray[np.bool_]:
        """(V,) true where both alleles are one base."""
        one: NDArray[np.bool_] = (self._letters(self.ref) == 1) & (self._letters(self.alt) == 1)
        return one

    def _letters(self, alleles: tuple[str, ...]) -> NDArray[np.int64]:
        return np.fromiter(map(len, alleles), np.int64, len(self))

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The variants at these indices, or where this mask is true."""
        index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        if len(index) and np.array_equal(index, np.arange(index[0], index[0] + len(index))):
            return self._run(slice(int(index[0]), int(index[0]) + len(index)))
        numbers = index.tolist()
        return type(self)(
            self.contig,
            self.position[index],
            tuple(self.ref[i] for i in numbers),
            tuple(self.alt[i] for i in numbers),
            tuple(self.variant_id[i] for i in numbers),
            self.alleles[index],
            self.samples,
            None if self.one_copy is None else self.one_copy.take(index),
        )

    def _run(self, rows: slice) -> Self:
        """Neighbouring variants; their alleles are a view."""
        return type(self)(
            self.contig,
            self.position[rows],
            self.ref[rows],
            self.alt[rows],
            self.variant_id[rows],
            self.alleles[rows],
            self.samples,
            None if self.one_copy is None else self.one_copy.take(rows),
        )

    def within(self, interval: Interval) -> Self:
        """Variants whose reference allele overlaps `interval`."""
        return self.take((self.end > interval.start) & (self.position < interval.end))


def count_overlaps(variants: Variants) -> Counter[str]:
    """Haplotypes that carry both of two variants whose REFs share a base, for each such pair."""
    pairs = Counter[str]()
    stops = np.searchsorted(variants.position, variants.end)  # the first row that starts beyond this one
    for row in np.flatnonzero(stops > np.arange(1, len(variants) + 1)).tolist():
        for other in range(row + 1, int(stops[row])):
            both = int((variants.alleles[row] & variants.alleles[other]).sum())
            if both:
                pairs[f"{variants.name(row)} and {variants.name(other)}"] = both
    return pairs
