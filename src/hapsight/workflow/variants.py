"""Reading the variants of many windows: each apart, or all at once where windows overlap."""

from __future__ import annotations

from collections.abc import Sequence

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.reference import Reference

__all__ = ["VariantReader"]


class VariantReader:
    """Variants of any interval, and what was dropped of all that was read.

    Parameters
    ----------
    expected
        Intervals that will be asked for. Where together they are shorter than their sum, they are read
        once, with the first that is asked for, and kept; others are read when asked for.
    """

    def __init__(self, genotypes: Genotypes, reference: Reference, expected: Sequence[Interval] = ()) -> None:
        self._genotypes, self._reference = genotypes, reference
        self.dropped = Dropped()
        self._together: list[Interval] = []
        self._kept: dict[Interval, Variants] = {}
        for contig in sorted({interval.contig for interval in expected}):
            parts = [interval for interval in expected if interval.contig == contig]
            union = Interval(contig, min(p.start for p in parts), max(p.end for p in parts))
            if len(parts) > 1 and len(union) < sum(map(len, parts)):
                self._together.append(union)

    def __call__(self, interval: Interval) -> Variants:
        """The variants whose reference allele overlaps `interval`."""
        for union in self._together:
            if (
                union.contig == interval.contig
                and union.start <= interval.start
                and interval.end <= union.end
            ):
                if union not in self._kept:
                    self._kept[union] = self._read(union)
                return self._kept[union].within(interval)
        return self._read(interval)

    def _read(self, interval: Interval) -> Variants:
        variants, dropped = self._genotypes.read(interval, self._reference)
        self.dropped.merge(dropped)
        return variants
