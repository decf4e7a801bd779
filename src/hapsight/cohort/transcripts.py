"""Transcripts of genes, with exons and coding part, from a GTF: one a gene."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hapsight.cohort.matching import without_version
from hapsight.cohort.nouns import Dropped, Gene, Strand
from hapsight.cohort.tables import read_lines
from hapsight.errors import InputError

__all__ = ["TAGS", "Transcript", "read_transcripts"]

TAGS: Final = ("MANE_Select", "Ensembl_canonical")
"""Tags that choose a gene's transcript, the first one first; then the longest coding part."""

_ATTRIBUTE: Final = re.compile(r'(gene_id|transcript_id|tag) "([^"]*)"')
_PARTS: Final = ("exon", "CDS")

Span = tuple[int, int]
"""Start and end, from 0 and half-open."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A spliced transcript with a coding part.

    Attributes
    ----------
    exons
        Ascending on the forward strand, apart from each other.
    cds
        From the first to behind the last coding base, on the forward strand, as the GTF has it: in Ensembl's
        and GENCODE's without the stop codon.
    phase
        Bases of the coding part before its first whole codon: 0, but where its start is not known.
    """

    transcript_id: str
    gene_id: str
    contig: str
    strand: Strand
    exons: tuple[Span, ...]
    cds: Span
    phase: int = 0

    def __post_init__(self) -> None:
        ends = [place for exon in self.exons for place in exon]
        inside = self.exons and self.exons[0][0] <= self.cds[0] < self.cds[1] <= self.exons[-1][1]
        if not inside or any(a >= b for a, b in self.exons) or ends != sorted(ends):
            raise InputError(
                "The exons of a transcript overlap, or do not hold its coding part.",
                where=f"transcript {self.transcript_id} of gene {self.gene_id}",
                expected="exons apart from each other, and the coding part within them",
                got=f"exons {list(self.exons)}, coding part {self.cds}",
            )

    @property
    def length(self) -> int:
        """Bases of all exons."""
        return sum(end - start for start, end in self.exons)


@dataclass(slots=True)
class _Found:
    """What the GTF says of one transcript."""

    transcript_id: str
    contig: str
    strand: str
    tags: set[str] = field(default_factory=set)
    exons: list[Span] = field(default_factory=list)
    coding: list[tuple[int, int, int]] = field(default_factory=list)

    def rank(self) -> tuple[int, int, int, str]:
        """Smallest of the transcript that is chosen: by tag, then by coding length, length and name."""
        tag = next((n for n, name in enumerate(TAGS) if name in self.tags), len(TAGS))
        coding = sum(end - start for start, end, _ in self.coding)
        return tag, -coding, -sum(end - start for start, end in self.exons), self.transcript_id


def read_transcripts(path: Path, genes: Sequence[Gene]) -> tuple[dict[str, Transcript], Dropped]:
    """Read a coding transcript of each gene: the MANE or else Ensembl's canonical one, else the longest.

    Of several (or none) with a tag of `TAGS`, that of the longest coding part, then of the longest exons,
    then the first by name.

    Returns
    -------
    ``gene_id`` -> transcript, of the genes that have one, and the others, named.

    Raises
    ------
    InputError
        The file cannot be read, a row is broken, or exons overlap or do not hold the coding part.
    """
    wanted = {without_version(gene.gene_id): gene for gene in genes}
    found = _read(path, wanted)
    chosen, dropped = dict[str, Transcript](), Dropped()
    for name, gene in wanted.items():
        here = found.get(name, {}).values()
        coding = [one for one in here if one.coding and _at_home(one, gene)]
        if coding:
            chosen[gene.gene_id] = _transcript(min(coding, key=_Found.rank), gene)
        else:
            reason = "no coding transcript on its contig and strand" if here else "not in the GTF"
            dropped.add("gene", reason, gene.gene_id)
    return chosen, dropped


def _at_home(one: _Found, gene: Gene) -> bool:
    same = one.contig.removeprefix("chr") == gene.contig.removeprefix("chr")
    return same and one.strand in ("+", "-") and gene.strand in (None, one.strand)


def _read(path: Path, wanted: Iterable[str]) -> dict[str, dict[tuple[str, str], _Found]]:
    """Gene without version -> transcript and contig (X and Y share names) -> what is said of it."""
    found: dict[str, dict[tuple[str, str], _Found]] = {name: {} for name in wanted}
    for number, line in enumerate(read_lines(path, "transcript"), start=1):
        row = line.split("\t")
        if line.startswith("#") or len(row) != 9 or row[2] not in _PARTS:
            continue
        attributes = _ATTRIBUTE.findall(row[8])
        names = dict(attributes)
        gene = without_version(names.get("gene_id", ""))
        if gene not in found:
            continue
        start, end, phase = _numbers(row, f"{path}, line {number}")
        name = names.get("transcript_id", "")
        one = found[gene].setdefault((name, row[0]), _Found(name, row[0], row[6]))
        one.tags |= {value.replace(" ", "_") for key, value in attributes if key == "tag"}
        if row[2] == "exon":
            one.exons.append((start, end))
        else:
            one.coding.append((start, end, phase))
    return found


def _numbers(row: list[str], where: str) -> tuple[int, int, int]:
    """Start (from 0), end and phase of a row."""
    try:
        return int(row[3]) - 1, int(row[4]), int(row[7]) if row[7] in ("0", "1", "2") else 0
    except ValueError:
        got = f"{row[3]}, {row[4]}"
        raise InputError("A place in a GTF is not a whole number.", where=where, got=got) from None


def _transcript(one: _Found, gene: Gene) -> Transcript:
    strand, coding = Strand(one.strand), sorted(one.coding)
    first = coding[0] if strand is Strand.PLUS else coding[-1]
    cds = coding[0][0], coding[-1][1]
    exons = tuple(sorted(set(one.exons)))
    return Transcript(one.transcript_id, gene.gene_id, gene.contig, strand, exons, cds, first[2])
