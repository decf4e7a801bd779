"""What the engine reads of a gene: its personal sequences, on both strands, with small shifts.

Where a model's window lies around a gene, and which of its bins are the gene's exons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand
from hapsight.dna import Codes, reverse_complement
from hapsight.errors import ConfigError
from hapsight.models.elements import ElementSum
from hapsight.models.protocol import ModelWindow, ReadOut, SequenceModel, SharedModel
from hapsight.sequence.haplotypes import (
    FetchReference,
    Haplotypes,
    PersonalSequences,
    ReadVariants,
    Window,
    find_haplotypes,
    personal_sequences,
)
from hapsight.sequence.transcripts import read_exons

__all__ = [
    "Sequences",
    "View",
    "about_tss",
    "margin",
    "of_genes",
    "read_bases",
    "require_fitting",
    "seen_bases",
    "seen_interval",
    "views",
    "window_of",
]

_SHOWN = 8
"""Genes that an error names."""


@dataclass(frozen=True, slots=True)
class View:
    """One way to present a window to a model, and the read-out that fits it.

    Attributes
    ----------
    shift
        Bases by which the window is moved, in the model's reading direction.
    flipped
        True for the reverse complement.
    """

    shift: int
    flipped: bool
    read_out: ReadOut

    def reading(self, model: SequenceModel, own: ReadOut) -> ReadOut:
        """The same view of a gene's own read-out."""
        return model.mirrored(own) if self.flipped else own

    def of(self, codes: Codes, beyond: int) -> Codes:
        """(R, L) codes of this view, from (R, L + 2 * beyond) ones in the model's orientation."""
        moved = codes[:, beyond + self.shift : codes.shape[1] - beyond + self.shift]
        return reverse_complement(moved) if self.flipped else moved


def views(model: SequenceModel, read_out: ReadOut) -> Iterator[View]:
    """All views whose mean is the read-out."""
    for shift in read_out.shifts:
        yield View(shift, False, read_out)
        if read_out.reverse_complement:
            yield View(shift, True, model.mirrored(read_out))


def of_genes(
    model: SequenceModel, read_out: ReadOut, genes: Sequence[Gene], beyond: Dropped | None = None
) -> dict[str, ReadOut]:
    """The read-out of each gene, by its id: one over exons has the bins of the gene's own transcript.

    Parameters
    ----------
    beyond
        Takes the genes of whose exons some bases lie beyond the window.

    Raises
    ------
    ConfigError
        Genes have no exon in the model's window; names them.
    InputError
        The GTF cannot be read.
    """
    if not isinstance(model, SharedModel) or model.gtf is None or read_out.bins:
        return {gene.gene_id: read_out for gene in genes}
    exons, _ = read_exons(model.gtf, genes, model.transcripts)
    made = {}
    for gene in genes:
        spans = [(start - gene.tss, end - gene.tss) for start, end in exons.get(gene.gene_id, ())]
        own = made[gene.gene_id] = model.over_exons(read_out, spans)
        every = sum(end - start for start, end in spans)
        if beyond is not None and len(own.bins) < every:
            name = f"{gene.gene_id}: {every - len(own.bins):,} of {every:,} bases"
            beyond.add("exon", "beyond the model's window", name)
    without = [name for name, one in made.items() if not one.bins]
    if without:
        more = f" and {len(without) - _SHOWN} more" if len(without) > _SHOWN else ""
        raise ConfigError(
            "Genes have no exon in the model's window.",
            where=f"{model.name}, read-out {read_out.name}, {model.gtf}",
            expected=f"an exon within {model.window.upstream:,} bases of the TSS of each gene",
            got=", ".join(without[:_SHOWN]) + more,
            fix="give a GTF of the genes' build, a longer `window`, or leave these genes out (keep_genes)",
        )
    return made


def margin(read_out: ReadOut) -> int:
    """Bases beyond the window that some view needs."""
    return max(abs(shift) for shift in read_out.shifts)


def window_of(gene: Gene, window: ModelWindow, beyond: int = 0) -> Window:
    """Where a model's window lies for a gene, `beyond` bases wider on either side.

    Raises
    ------
    ConfigError
        It reads in the direction of transcription, and the gene's strand is not known.
    """
    upstream, downstream = window.reach(minus_strand=gene.strand is Strand.MINUS)
    return Window.around(gene, upstream + beyond, downstream + beyond, window.oriented)


def seen_bases(model: SequenceModel, read_out: ReadOut) -> tuple[int, int]:
    """Bases ``[first, last)`` of the window, as the model reads it, that a read-out depends on.

    Shifts and strands are included: it may be shorter than the window, or reach beyond it by the shifts.
    """
    return _union(model, read_out, lambda view: model.sees(view.read_out))


def read_bases(model: SequenceModel, read_out: ReadOut) -> tuple[int, int]:
    """Bases ``[first, last)`` of the window that a read-out is a prediction of: of its bins, or the window.

    Shifts and strands are included, as in `seen_bases`.
    """
    placed, whole = model.output_bins, (0, model.window.length)
    return _union(
        model,
        read_out,
        lambda view: placed.bases(view.read_out.bins) if placed and view.read_out.bins else whole,
    )


def about_tss(window: ModelWindow, bases: tuple[int, int], *, minus_strand: bool) -> tuple[int, int]:
    """First and last of bases ``[first, last)`` of a gene's window, counted from its TSS (0) downstream."""
    upstream, _ = window.reach(minus_strand=minus_strand)
    first, last = bases[0] - upstream, bases[1] - 1 - upstream
    return (-last, -first) if minus_strand and not window.oriented else (first, last)


def seen_interval(gene: Gene, window: ModelWindow, seen: tuple[int, int]) -> Interval:
    """The stretch of reference that bases ``[first, last)`` of a gene's window are.

    Raises
    ------
    ConfigError
        As `window_of`.
    """
    around, (start, end) = window_of(gene, window), seen
    if around.reverse:
        start, end = window.length - end, window.length - start
    left = around.interval.start
    return Interval(gene.contig, left + start, left + end)


def _union(
    model: SequenceModel, read_out: ReadOut, of_view: Callable[[View], tuple[int, int]]
) -> tuple[int, int]:
    """Bases ``[first, last)`` of all views together, from the first base that the model reads on."""
    found = []
    for view in views(model, read_out):
        first, last = of_view(view)
        if view.flipped:
            first, last = model.window.length - last, model.window.length - first
        found.append((first + view.shift, last + view.shift))
    return min(first for first, _ in found), max(last for _, last in found)


def require_fitting(model: SequenceModel, genes: Iterable[Gene], contigs: Mapping[str, int]) -> None:
    """Refuse genes that a model cannot be run on.

    No strand, a contig shorter than the window, or elements on none of their contigs. A window that only
    reaches over a contig's end is fine: it is filled with N there.

    Raises
    ------
    ConfigError
        Names the gene, or the contigs.
    """
    genes, read = list(genes), model
    if isinstance(model, ElementSum):
        model.require_elements(gene.contig for gene in genes)
        read = model.element
    for gene in genes:
        window_of(gene, read.window)
        if contigs[gene.contig] < read.window.length:
            raise ConfigError(
                "A model's window is longer than the contig.",
                where=f"{model.name}, gene {gene.gene_id} on {gene.contig}",
                expected=f"a contig of at least {read.window.length:,} bp",
                got=f"{contigs[gene.contig]:,} bp",
                fix="give the whole chromosome's sequence, or leave out these genes (keep_genes)",
            )


@dataclass(frozen=True, slots=True)
class Sequences:
    """Where the personal sequences of genes come from, as one model and read-out want them."""

    model: SequenceModel
    read_out: ReadOut
    read_variants: ReadVariants
    fetch_reference: FetchReference

    def of(self, gene: Gene) -> tuple[PersonalSequences, Codes]:
        """A gene's haplotypes; and (1 + D, L + 2 * margin) codes, the reference first, as the model reads."""
        window = window_of(gene, self.model.window, margin(self.read_out))
        found = personal_sequences(window, self.read_variants, self.fetch_reference)
        return found, found.oriented(np.concatenate([found.reference[None], found.distinct]))

    def find(self, gene: Gene) -> Haplotypes:
        """A gene's haplotypes, to be built when they are needed."""
        window = window_of(gene, self.model.window, margin(self.read_out))
        return find_haplotypes(window, self.read_variants, self.fetch_reference)
