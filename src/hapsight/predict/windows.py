"""Where a model's window lies around a gene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.errors import ConfigError
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.predict.views import View, views
from hapsight.sequence.window import Window

__all__ = ["require_fitting", "seen_interval", "window_of"]


def window_of(gene: Gene, model: SequenceModel, beyond: int = 0) -> Window:
    """The window that a model reads for a gene, `beyond` bases wider on either side.

    Raises
    ------
    ConfigError
        The model reads in the direction of transcription, and the gene's strand is not known.
    """
    upstream, downstream = model.window.reach(minus_strand=gene.strand is Strand.MINUS)
    return Window.around(gene, upstream + beyond, downstream + beyond, model.window.oriented)


def seen_interval(gene: Gene, model: SequenceModel, read_out: ReadOut) -> Interval:
    """The stretch of reference that a read-out of a gene depends on, its shifts and strands included.

    It may be shorter than the model's window, or reach beyond it by the shifts.

    Raises
    ------
    ConfigError
        As `window_of`.
    """
    window, length = window_of(gene, model), model.window.length
    first, last = zip(*(_seen(view, model) for view in views(model, read_out)), strict=True)
    start, end = min(first), max(last)
    if window.reverse:
        start, end = length - end, length - start
    left = window.interval.start
    return Interval(gene.contig, left + start, left + end)


def _seen(view: View, model: SequenceModel) -> tuple[int, int]:
    """Bases ``[first, last)`` that a view depends on, from the first base that the model reads on."""
    first, last = model.sees(view.read_out)
    if view.flipped:
        first, last = model.window.length - last, model.window.length - first
    return first + view.shift, last + view.shift


def require_fitting(model: SequenceModel, genes: Iterable[Gene], contigs: Mapping[str, int]) -> None:
    """Refuse genes that a model cannot be run on: no strand, or a contig shorter than the window.

    A window that only reaches over a contig's end is fine: it is filled with N there.

    Raises
    ------
    ConfigError
        Names the gene.
    """
    for gene in genes:
        window_of(gene, model)
        if contigs[gene.contig] < model.window.length:
            raise ConfigError(
                "A model's window is longer than the contig.",
                where=f"{model.name}, gene {gene.gene_id} on {gene.contig}",
                expected=f"a contig of at least {model.window.length:,} bp",
                got=f"{contigs[gene.contig]:,} bp",
                fix="give the whole chromosome's sequence, or leave out these genes (keep_genes)",
            )
