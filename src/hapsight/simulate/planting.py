"""Planting: motifs written into a copy of the reference, so that one allele of a real variant completes them.

The base under the variant stays, so REF goes on to equal the (new) reference; bases that belong to any other
variant are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval, Variants
from hapsight.dna import N_CODE, Codes, encode, reverse_complement
from hapsight.simulate.grammar import Grammar, Motif

__all__ = ["Edit", "Planter", "patched"]


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """Bases written over the reference from `start` on.

    Attributes
    ----------
    variant
        Position of the variant whose alleles differ by the motif; ``None`` for a constant motif.
    """

    contig: str
    start: int
    codes: Codes
    variant: int | None = None

    @property
    def end(self) -> int:
        """Position after the last base."""
        return self.start + len(self.codes)


@dataclass(slots=True)
class Planter:
    """Plants variants gene by gene; remembers what is written.

    Attributes
    ----------
    read
        The source's variants of an interval.
    fetch
        Codes of the unchanged reference.
    min_maf
        Least frequency, in the source, of a variant that is planted at.
    partners
        Write a constant motif beside every second planted one, for the grammar's pairs to act on.
    """

    grammar: Grammar
    read: Callable[[Interval], Variants]
    fetch: Callable[[Interval], Codes]
    min_maf: float
    partners: bool = False
    edits: dict[str, list[Edit]] = field(default_factory=dict)

    def plant(self, gene: Gene, count: int, rng: np.random.Generator) -> list[Edit] | None:
        """Edits that plant `count` variants of a gene; ``None`` (and nothing kept) where it has too few."""
        window = gene.cis(self.grammar.reach)
        before = self.edits.setdefault(gene.contig, [])
        site = _Surroundings.of(window, self.read(window), self.fetch(window), before, self.grammar)
        edits: list[Edit] = []
        planted = 0
        for row in rng.permutation(site.common(self.min_maf)).tolist():
            if planted == count:
                break
            edit = site.plant_at(row, rng)
            if edit is not None:
                edits.append(edit)
                if self.partners and planted % 2 == 0:
                    edits += site.partner_of(edit, rng)
                planted += 1
        if planted < count:
            return None
        before += edits
        return edits


@dataclass(slots=True, eq=False)
class _Surroundings:
    """The reach of one gene: what is there, and where nothing may be written.

    Attributes
    ----------
    codes, blocked
        (L,) bases from `start` on, and how often each is spoken for: by a variant, by the neighbourhood of a
        planted motif, or as N.
    """

    contig: str
    start: int
    codes: Codes
    blocked: NDArray[np.int64]
    variants: Variants
    grammar: Grammar

    @classmethod
    def of(
        cls, window: Interval, variants: Variants, codes: Codes, before: Sequence[Edit], grammar: Grammar
    ) -> _Surroundings:
        bases = patched(codes, window.start, before)
        blocked = (bases == N_CODE).astype(np.int64)
        site = cls(window.contig, window.start, bases, blocked, variants, grammar)
        for first, last in zip(variants.position.tolist(), variants.end.tolist(), strict=True):
            site._block(first - window.start, last - window.start)
        for edit in before:
            site._block_around(edit.start - window.start, edit.end - window.start)
        return site

    def common(self, min_maf: float) -> NDArray[np.intp]:
        """Rows of the substitutions that are frequent enough."""
        return np.flatnonzero(self.variants.is_snv & (self.variants.maf >= min_maf))

    def plant_at(self, row: int, rng: np.random.Generator) -> Edit | None:
        """Write a motif that one allele of a variant completes; ``None`` where there is no room."""
        at = int(self.variants.position[row]) - self.start
        for number in rng.permutation(len(self.grammar.motifs)).tolist():
            written = _written(self.grammar.motifs[number], rng)
            for offset in rng.permutation(len(written)).tolist():
                first = at - offset
                last = first + len(written)
                if self._has_room(first, last, 1) and self._differ(row, first, at, written, number):
                    codes = written.copy()
                    codes[at - first] = self.codes[at]
                    return self._write(first, codes, self.start + at)
        return None

    def partner_of(self, edit: Edit, rng: np.random.Generator) -> list[Edit]:
        """Write a whole motif some bases on, where there is room."""
        written = _written(self.grammar.motifs[int(rng.integers(len(self.grammar.motifs)))], rng)
        first = edit.end - self.start + self.grammar.widest - 1
        return [self._write(first, written)] if self._has_room(first, first + len(written), 0) else []

    def _has_room(self, first: int, last: int, variants: int) -> bool:
        """Whether the stretch is inside, and free but for so many variants of one base."""
        inside = first >= 0 and last <= len(self.codes)
        return inside and int(self.blocked[first:last].sum()) == variants

    def _differ(self, row: int, first: int, at: int, written: Codes, motif: int) -> bool:
        """Whether the alleles differ in how many instances there are, if `written` were there.

        More than the one placement counts: where a motif overlaps its own reverse complement, one allele
        may take the motif from one strand and give it to the other.
        """
        margin = self.grammar.widest - 1
        low, high = max(first - margin, 0), first + len(written) + margin
        codes = np.stack([self.codes[low:high]] * 2)
        codes[:, first - low : first - low + len(written)] = written
        alleles = encode(self.variants.ref[row] + self.variants.alt[row])
        codes[:, at - low] = alleles
        counts = self.grammar.counts(codes)[:, motif]
        return bool(counts[0] != counts[1])

    def _write(self, first: int, codes: Codes, variant: int | None = None) -> Edit:
        self.codes[first : first + len(codes)] = codes
        self._block_around(first, first + len(codes))
        return Edit(self.contig, self.start + first, codes, variant)

    def _block_around(self, first: int, last: int) -> None:
        """Keep others away, so that no motif over the planted variant reaches what is written later."""
        self._block(first - self.grammar.widest + 1, last + self.grammar.widest - 1)

    def _block(self, first: int, last: int) -> None:
        self.blocked[max(first, 0) : max(last, 0)] += 1


def patched(codes: Codes, start: int, edits: Sequence[Edit]) -> Codes:
    """A copy of a stretch (L,) that begins at `start`, edits written over it where they overlap it."""
    out = codes.copy()
    for edit in edits:
        first, last = max(edit.start, start), min(edit.end, start + len(codes))
        if first < last:
            out[first - start : last - start] = edit.codes[first - edit.start : last - edit.start]
    return out


def _written(motif: Motif, rng: np.random.Generator) -> Codes:
    """A motif's bases on a random strand; of an ambiguous letter's, any."""
    letters = [[base for base in range(4) if bits >> base & 1] for bits in motif.pattern.tolist()]
    codes = np.array([rng.choice(bases) for bases in letters], dtype=np.uint8)
    return reverse_complement(codes) if rng.integers(2) else codes
