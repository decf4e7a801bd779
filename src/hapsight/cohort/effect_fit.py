"""Whether a table of effects is of this genome at all: told before its numbers are used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hapsight.cohort.alleles import WeightRow, align_weights
from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.nouns import Interval, Variants
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.errors import InputError

__all__ = ["SAMPLE", "require_fit"]

SAMPLE: Final = 5
"""Genes that are looked at."""
_ROWS: Final = 500
"""Rows of a gene whose alleles are compared with the FASTA."""
_FEW: Final = 0.5
"""Share of rows that are laid on variants from which on nothing is asked."""
_AGREES: Final = 0.8
"""Share of places with one of both alleles in the FASTA below which they are not of this FASTA: of another
build it is about a half."""
_SHIFTED: Final = 0.95
"""Share that agrees a base further from which on positions are counted from the wrong number."""
_SURE: Final = 20
"""Places that say so much even where some rows found a variant."""


def require_fit(
    path: Path,
    what: str,
    samples: Iterable[tuple[Sequence[WeightRow], Variants]],
    reference: Reference,
    unplaced: int = 0,
) -> None:
    """Refuse a table most of whose rows find no variant because its places are not those of the FASTA.

    Parameters
    ----------
    samples
        Rows of some genes, and the cohort's variants around these.
    unplaced
        Rows of another build that are in no sample, since they have no place.

    Raises
    ------
    InputError
        Few rows find a variant, and most are on other contigs than their genes; or the names of the variants
        are of another build, or the alleles are not in the FASTA at their places: these are of another build,
        or counted from 0 where 1 is expected, or from 1 where 0 is.
    """
    found = _Found()
    for rows, variants in samples:
        found.add(rows, variants, reference)
    if not found.used and unplaced:
        found.total, found.elsewhere = found.total + unplaced, found.elsewhere + unplaced
    if not found.total or found.used >= _FEW * found.total:
        return
    if len(found.astray) > _FEW * found.total:
        raise _other_contigs(path, what, found)
    if found.elsewhere > _FEW * found.total:
        named = f"{found.elsewhere:,} of {found.total:,} variants are named for another build"
        raise _other_build(path, what, reference, named)
    agree, places = found.agree, found.places
    if places < (_SURE if found.used else 1) or agree[0] >= _AGREES * places:
        return
    for shift, counted in ((1, 0), (-1, 1)):
        if agree[shift] >= (_SHIFTED if places >= _SURE else 1.0) * places:
            raise _shifted(path, what, reference, counted, found.words())
    if places >= _SURE:
        raise _other_build(path, what, reference, found.words())


@dataclass
class _Found:
    """What became of rows that were looked at.

    Attributes
    ----------
    astray
        Contigs of rows that are not on their gene's, and the genes' contigs.
    agree
        Of `places`, those with one of both alleles in the FASTA there, a base before, and a base behind.
    """

    used: int = 0
    total: int = 0
    elsewhere: int = 0
    astray: list[tuple[str, str]] = field(default_factory=list)
    places: int = 0
    agree: dict[int, int] = field(default_factory=lambda: dict.fromkeys((0, -1, 1), 0))

    def add(self, rows: Sequence[WeightRow], variants: Variants, reference: Reference) -> None:
        """Take up the rows of a gene."""
        aligned = align_weights(rows, variants)
        self.used, self.total = self.used + aligned.n_used, self.total + len(rows)
        self.elsewhere += aligned.counts["other_build"]
        own = plain_contig(variants.contig)
        here = [row for row in rows if row.place and row.place.contig == own]
        self.astray += [(row.place.contig, own) for row in rows if row.place and row.place.contig != own]
        self.places += len(here[:_ROWS])
        for shift in self.agree:
            self.agree[shift] += sum(_agrees(row, variants.contig, shift, reference) for row in here[:_ROWS])

    def words(self) -> str:
        """What an error says."""
        return (
            f"neither allele at {self.places - self.agree[0]:,} of {self.places:,} places; "
            f"{self.used:,} of {self.total:,} rows find a variant"
        )


def _agrees(row: WeightRow, contig: str, shift: int, reference: Reference) -> bool:
    """Whether the FASTA has one of both alleles at the place of a row, or some bases from there."""
    assert row.place is not None
    start = row.place.position + shift
    longest = max(len(row.ref_allele), len(row.eff_allele))
    there = decode(reference.fetch(Interval(contig, start, start + longest)))
    return there.startswith((row.ref_allele, row.eff_allele))


def _other_contigs(path: Path, what: str, found: _Found) -> InputError:
    theirs, own = (", ".join(sorted(set(names))[:3]) for names in zip(*found.astray, strict=True))
    return InputError(
        f"The places of the {what} are on other contigs than their genes.",
        where=path,
        expected=f"contigs such as {own}, with or without chr",
        got=f"{theirs}, in {len(found.astray):,} of {found.total:,} rows",
        fix="name the contigs as the cohort does",
    )


def _other_build(path: Path, what: str, reference: Reference, got: str) -> InputError:
    return InputError(
        f"The {what} are of another genome build than the cohort.",
        where=path,
        expected=f"places and alleles of {reference.path}",
        got=got,
        fix="lift the table over to the cohort's build, or give rsIDs that the genotypes have",
    )


def _shifted(path: Path, what: str, reference: Reference, counted: int, got: str) -> InputError:
    return InputError(
        f"The positions of the {what} are counted from {counted}, where they are read as from {1 - counted}.",
        where=path,
        expected=f"alleles of {reference.path} at their places: columns chrom, pos and variant_id from 1, "
        "contig, position from 0",
        got=got,
        fix=f"{'subtract 1 from' if counted else 'add 1 to'} the positions",
    )
