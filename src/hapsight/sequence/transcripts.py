"""Transcripts of genes, with exons and coding part, from a GTF: one a gene.

Both haplotypes' spliced transcripts of every person: exon by exon, then put together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.genes import gtf_rows
from hapsight.cohort.matching import without_version
from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand, Variants
from hapsight.dna import Codes, plain_contig, reverse_complement
from hapsight.errors import InputError
from hapsight.sequence.edits import Carriers, Edits, distinct_columns, resolve_overlaps
from hapsight.sequence.haplotypes import INSERTED, FetchReference, ReadVariants

__all__ = [
    "TAGS",
    "Mrna",
    "PersonalTranscripts",
    "Transcript",
    "personal_transcripts",
    "read_exons",
    "read_transcripts",
]

TAGS: Final = ("MANE_Select", "Ensembl_canonical")
"""Tags that choose a gene's transcript, the first one first; then the longest coding part."""

_ATTRIBUTE: Final = re.compile(r'(?<!\w)(gene_id|gene_name|gene|transcript_id|tag) "([^"]*)"')
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

    gene_id: str
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
    then the first by name. A gene is found by its identifier without version, else by its name, where that
    is one gene's on its contig and strand.

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
        coding = [one for one in _at_home(found[name].values(), gene) if one.coding]
        if not coding:
            reason = "no coding transcript on its contig and strand" if found[name] else "not in the GTF"
            dropped.add("gene", reason, gene.gene_id)
        elif _of_one_gene(coding, gene, dropped):
            chosen[gene.gene_id] = _transcript(min(coding, key=_Found.rank), gene)
    return chosen, dropped


def read_exons(
    path: Path, genes: Sequence[Gene], named: Iterable[str] = ()
) -> tuple[dict[str, tuple[Span, ...]], Dropped]:
    """Read the exons of a transcript of each gene, coding or not, chosen as by `read_transcripts`.

    Parameters
    ----------
    named
        Transcripts that are taken before all others; Ensembl's with or without version.

    Returns
    -------
    ``gene_id`` -> exons ascending on the forward strand, of the genes that have any, and the others, named.

    Raises
    ------
    InputError
        The file cannot be read, or a row is broken.
    """
    wanted = {without_version(gene.gene_id): gene for gene in genes}
    first, found = {without_version(name) for name in named}, _read(path, wanted)
    chosen, dropped = dict[str, tuple[Span, ...]](), Dropped()
    for name, gene in wanted.items():
        here = [one for one in _at_home(found[name].values(), gene) if one.exons]
        if not here:
            dropped.add("gene", "no exon in the GTF on its contig and strand", gene.gene_id)
        elif _of_one_gene(here, gene, dropped):
            best = min(here, key=lambda one: (without_version(one.transcript_id) not in first, one.rank()))
            chosen[gene.gene_id] = tuple(sorted(set(best.exons)))
    return chosen, dropped


def _at_home(found: Iterable[_Found], gene: Gene) -> list[_Found]:
    """Transcripts on the gene's contig and strand."""
    strands = ("+", "-") if gene.strand is None else (gene.strand,)
    contig = plain_contig(gene.contig)
    return [one for one in found if plain_contig(one.contig) == contig and one.strand in strands]


def _of_one_gene(here: Sequence[_Found], gene: Gene, dropped: Dropped) -> bool:
    """Whether transcripts are of one gene; else the name is several genes', and that is counted."""
    if len({one.gene_id for one in here}) < 2:
        return True
    dropped.add("gene", "several genes of the GTF have its name", gene.gene_id)
    return False


def _read(path: Path, wanted: Iterable[str]) -> dict[str, dict[tuple[str, str], _Found]]:
    """Gene (without version) or its name -> transcript and contig (as of PARs) -> what is said of it."""
    found: dict[str, dict[tuple[str, str], _Found]] = {name: {} for name in wanted}
    for where, row in gtf_rows(path, "transcript", _PARTS):
        attributes = _ATTRIBUTE.findall(row[8])
        names = dict(attributes)
        own = without_version(names.get("gene_id", ""))
        called = (own, names.get("gene_name"), names.get("gene"))
        gene = next((one for one in called if one in found), None)
        if gene is None:
            continue
        start, end, phase = _numbers(row, where)
        name = names.get("transcript_id", "")
        one = found[gene].setdefault((name, row[0]), _Found(own, name, row[0], row[6]))
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


Index = NDArray[np.intp]

_MARGIN = 256
"""Bases around exons in which variants are read, so that overlaps at a border are judged as in the file."""

_OUTSIDE, _BORDER = -1, -2


@dataclass(frozen=True, slots=True, eq=False)
class Mrna:
    """A spliced transcript in its own direction.

    Attributes
    ----------
    codes
        (L,) as in the genome: T, not U.
    codon_starts
        Index of the first base of each codon, from the first coding base that is left on in steps of three to
        the last one: an indel shifts the frame of what follows, and a new stop codon does not end it.
    splice_sites
        Index of the last base of each exon but the last: where an intron was.
    """

    codes: Codes
    codon_starts: Index
    splice_sites: Index


@dataclass(frozen=True, slots=True, eq=False)
class PersonalTranscripts:
    """A transcript in N people.

    Attributes
    ----------
    reference
        Without variants.
    distinct
        D different ones.
    index
        (N, 2) which of them each person's haplotypes have, in the order of `samples`.
    dropped
        Variants that reach over a border of an exon, whose splicing is not known, and alleles that overlap
        others of the same haplotype: neither is applied.
    """

    transcript: Transcript
    samples: tuple[str, ...]
    reference: Mrna
    distinct: tuple[Mrna, ...]
    index: Index
    dropped: Dropped


def personal_transcripts(
    transcript: Transcript, read_variants: ReadVariants, fetch_reference: FetchReference
) -> PersonalTranscripts:
    """Put the variants of every haplotype into each exon, and join the exons.

    Introns and what lies before and behind the transcript have no effect; the exons are those of the
    annotation, whatever a variant does to splicing.
    """
    variants = _near_exons(transcript, read_variants)
    edits = Edits.of(variants)
    exon_of = _exon_of(transcript, edits)
    one, of = distinct_columns(variants.haplotypes)
    samples = variants.samples
    carriers, dropped = resolve_overlaps(
        variants, Carriers.of(variants.haplotypes[:, one]), lambda d: _haplotype_name(samples, int(one[d]))
    )
    for v in np.unique(carriers.variant[exon_of[carriers.variant] == _BORDER]):
        dropped.add("variant", "reaches over an exon's border", variants.name(v))
    exons = [fetch_reference(Interval(transcript.contig, *exon)) for exon in transcript.exons]
    made = [
        _mrna(transcript, exons, edits, exon_of, carriers.variant[carriers.first[d] : carriers.first[d + 1]])
        for d in range(len(one))
    ]
    distinct, same = _distinct(made)
    reference = _mrna(transcript, exons, edits, exon_of, np.empty(0, np.int64))
    return PersonalTranscripts(transcript, samples, reference, distinct, same[of].reshape(-1, 2), dropped)


def _near_exons(transcript: Transcript, read_variants: ReadVariants) -> Variants:
    """The variants in and around the exons."""
    whole = Interval(transcript.contig, transcript.exons[0][0], transcript.exons[-1][1])
    variants = read_variants(whole.widen(_MARGIN, _MARGIN))
    near = np.zeros(len(variants), np.bool_)
    for start, end in transcript.exons:
        near |= (variants.end > start - _MARGIN) & (variants.position < end + _MARGIN)
    return variants.take(near)


def _exon_of(transcript: Transcript, edits: Edits) -> NDArray[np.int64]:
    """(V,) the exon that holds each edit; or that it is in none, or over (an insertion: at) a border."""
    found = np.full(len(edits.start), _OUTSIDE, np.int64)
    first, behind = edits.start, edits.start + edits.removed
    insertion = edits.removed == 0
    for number, (start, end) in enumerate(transcript.exons):
        inside = np.where(insertion, (first > start) & (first < end), (first >= start) & (behind <= end))
        touches = np.where(insertion, (first >= start) & (first <= end), (behind > start) & (first < end))
        found[touches & ~inside] = _BORDER
        found[inside] = number
    return found


def _mrna(
    transcript: Transcript,
    exons: list[Codes],
    edits: Edits,
    exon_of: NDArray[np.int64],
    carried: NDArray[np.int64],
) -> Mrna:
    """The spliced transcript of a haplotype that carries these variants (ascending)."""
    parts, sources = [], []
    for number, (start, end) in enumerate(transcript.exons):
        codes, source = exons[number], np.arange(start, end, dtype=np.int64)
        for v in carried[exon_of[carried] == number][::-1]:
            codes, source = _edited(codes, source, edits, int(v), start)
        parts.append(codes)
        sources.append(source)
    codes, source = np.concatenate(parts), np.concatenate(sources)
    lengths = [len(part) for part in parts]
    if transcript.strand is Strand.MINUS:
        codes, source, lengths = reverse_complement(codes), source[::-1], lengths[::-1]
    ends = np.unique(np.cumsum(lengths)[:-1]) - 1
    return Mrna(codes, _codon_starts(transcript, source), ends[ends >= 0])


def _edited(
    codes: Codes, source: NDArray[np.int64], edits: Edits, v: int, start: int
) -> tuple[Codes, NDArray[np.int64]]:
    """An exon, and where its bases come from, with one edit more, before all that were made."""
    at, removed = int(edits.start[v]) - start, int(edits.removed[v])
    new = edits.inserted[edits.inserted_first[v] : edits.inserted_first[v + 1]]
    came = np.full(len(new), INSERTED, np.int64)
    came[:removed] = source[at : at + min(removed, len(new))]
    return (
        np.concatenate([codes[:at], new, codes[at + removed :]]),
        np.concatenate([source[:at], came, source[at + removed :]]),
    )


def _codon_starts(transcript: Transcript, source: NDArray[np.int64]) -> Index:
    coding = np.flatnonzero((source >= transcript.cds[0]) & (source < transcript.cds[1]))
    if not len(coding):
        return np.empty(0, np.intp)
    return np.arange(coding[0] + transcript.phase, coding[-1] + 1, 3, dtype=np.intp)


def _distinct(made: list[Mrna]) -> tuple[tuple[Mrna, ...], Index]:
    """Different transcripts, and which of them each one is."""
    place: dict[bytes, int] = {}
    distinct: list[Mrna] = []
    same = np.empty(len(made), np.intp)
    for d, one in enumerate(made):
        marks = (one.codes, one.codon_starts, one.splice_sites)
        key = b"|".join(len(array).to_bytes(8, "big") + array.tobytes() for array in marks)
        if key not in place:
            place[key] = len(distinct)
            distinct.append(one)
        same[d] = place[key]
    return tuple(distinct), same


def _haplotype_name(samples: tuple[str, ...], column: int) -> str:
    return f"{samples[column // 2]} haplotype {column % 2 + 1}"
