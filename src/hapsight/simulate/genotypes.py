"""Genotypes of simulated people, read stretch by stretch from the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.cohort.reference import Reference
from hapsight.simulate.mosaic import Mosaic

__all__ = ["SimulatedGenotypes", "spans_of"]

_STRETCH = 100_000
"""Bases that are read at a time, for the sake of memory."""


def spans_of(genes: Sequence[Gene], flank: int) -> tuple[Interval, ...]:
    """The stretches within `flank` bases of a TSS, joined where they touch; genes of one contig."""
    spans: list[Interval] = []
    for window in sorted((gene.cis(flank) for gene in genes), key=lambda one: one.start):
        if spans and window.start <= spans[-1].end:
            spans[-1] = Interval(window.contig, spans[-1].start, max(spans[-1].end, window.end))
        else:
            spans.append(Interval(window.contig, max(window.start, 0), window.end))
    return tuple(spans)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedGenotypes:
    """The source's variants of one contig that lie in `spans`, as a mosaic's people carry them."""

    source: Genotypes
    reference: Reference
    mosaic: Mosaic
    spans: tuple[Interval, ...]
    dropped: Dropped = field(default_factory=Dropped)

    def __call__(self, interval: Interval) -> Variants:
        """Variants whose reference allele overlaps `interval`."""
        return self.mosaic.copy(self._kept(self.source.read(interval, self.reference)[0]))

    def stretches(self) -> Iterator[Variants]:
        """All variants, each once and in order; what the source's policy left out is counted in `dropped`."""
        for span in self.spans:
            for start in range(span.start, span.end, _STRETCH):
                part = Interval(span.contig, start, min(start + _STRETCH, span.end))
                variants, dropped = self.source.read(part, self.reference)
                self.dropped.merge(dropped)
                yield self.mosaic.copy(variants.take(variants.position >= start))

    def _kept(self, variants: Variants) -> Variants:
        inside = np.zeros(len(variants), dtype=np.bool_)
        for span in self.spans:
            inside |= (variants.position >= span.start) & (variants.position < span.end)
        return variants.take(inside)
