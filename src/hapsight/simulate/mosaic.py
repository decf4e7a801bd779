"""New people as mosaics of real haplotypes, so that linkage, frequencies and populations stay real.

The copying process of Li and Stephens (Genetics 165, 2003) without mutation: a new haplotype copies one
haplotype of its population and changes to another, any with equal chance, at a constant rate per base.

Genotypes of simulated people, read stretch by stretch from the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.cohort.reference import Reference
from hapsight.errors import ConfigError

__all__ = ["Mosaic", "People", "SimulatedGenotypes", "draw_mosaic", "draw_people", "spans_of"]


@dataclass(frozen=True, slots=True)
class People:
    """Simulated people.

    Attributes
    ----------
    population
        N of them; ``None`` where the source does not say.
    """

    samples: tuple[str, ...]
    population: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """Which real haplotype each of H = 2N new ones copies, along one contig.

    Attributes
    ----------
    first
        (H + 1,) where each haplotype's segments begin in `start` and `source`.
    start
        (S,) first base of each segment; a haplotype's first one begins where the mosaic does.
    source
        (S,) column of the source's haplotypes.
    """

    samples: tuple[str, ...]
    first: NDArray[np.int64]
    start: NDArray[np.int64]
    source: NDArray[np.int32]

    def sources(self, position: NDArray[np.int64]) -> NDArray[np.int32]:
        """(V, H) column of the source that each haplotype copies at each of V positions."""
        out = np.empty((len(position), len(self.first) - 1), dtype=np.int32)
        for h, (begin, end) in enumerate(zip(self.first[:-1], self.first[1:], strict=True)):
            segment = np.searchsorted(self.start[begin + 1 : end], position, side="right")
            out[:, h] = self.source[begin + segment]
        return out

    def copy(self, variants: Variants) -> Variants:
        """The source's variants as the new people carry them."""
        chosen = np.take_along_axis(variants.haplotypes, self.sources(variants.position), axis=1)
        return Variants(
            variants.contig,
            variants.position,
            variants.ref,
            variants.alt,
            variants.variant_id,
            chosen.reshape(len(variants), len(self.samples), 2),
            self.samples,
        )


def draw_people(population: Sequence[str | None], count: int, rng: np.random.Generator) -> People:
    """Draw `count` people; populations in the shares that the source's people have."""
    if count < 1:
        raise ConfigError("There must be people to simulate.", expected="1 or more", got=count)
    like = rng.integers(0, len(population), count)
    names = tuple(f"SIM{number:05d}" for number in range(1, count + 1))
    return People(names, tuple(population[i] for i in like.tolist()))


def draw_mosaic(
    people: People,
    population: Sequence[str | None],
    interval: Interval,
    switch_rate: float,
    rng: np.random.Generator,
) -> Mosaic:
    """Draw the mosaic of two haplotypes of each person over `interval`.

    Parameters
    ----------
    population
        Of the source's people; their haplotypes 2i and 2i + 1 are person i's.
    switch_rate
        Changes of the copied haplotype per base; 0 copies whole haplotypes.
    """
    if not 0 <= switch_rate <= 0.1:
        raise ConfigError("The switch rate is out of range.", expected="0 to 0.1 per base", got=switch_rate)
    columns = np.arange(2 * len(population), dtype=np.int32)
    of = np.repeat(np.array([p or "" for p in population]), 2)
    pools = {name: columns[of == (name or "")] for name in set(people.population)}
    owners = [name for name in people.population for _ in range(2)]
    switches = rng.poisson(switch_rate * len(interval), len(owners))
    starts, sources = [], []
    for owner, count in zip(owners, switches.tolist(), strict=True):
        breaks = np.sort(rng.integers(interval.start, interval.end, count))
        starts.append(np.concatenate([[interval.start], breaks]))
        sources.append(rng.choice(pools[owner], count + 1))
    first = np.concatenate([[0], np.cumsum(switches + 1)]).astype(np.int64)
    return Mosaic(people.samples, first, np.concatenate(starts), np.concatenate(sources))


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
