"""Both haplotypes' spliced transcripts of every person: exon by exon, then put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Interval, Strand, Variants
from hapsight.cohort.transcripts import Transcript
from hapsight.dna import Codes, reverse_complement
from hapsight.sequence.edits import Carriers, Edits, distinct_columns, resolve_overlaps
from hapsight.sequence.haplotypes import INSERTED, FetchReference, ReadVariants

__all__ = ["Mrna", "PersonalTranscripts", "personal_transcripts"]

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
        name = f"{variants.contig}:{variants.position[v] + 1} {variants.ref[v]}>{variants.alt[v]}"
        dropped.add("variant", "reaches over an exon's border", name)
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
