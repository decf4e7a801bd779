"""Where a model's window lies around a gene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hapsight.cohort.nouns import Gene, Strand
from hapsight.errors import ConfigError
from hapsight.models.protocol import SequenceModel
from hapsight.sequence.window import Window

__all__ = ["require_fitting", "window_of"]


def window_of(gene: Gene, model: SequenceModel, beyond: int = 0) -> Window:
    """The window that a model reads for a gene, `beyond` bases wider on either side.

    Raises
    ------
    ConfigError
        The model reads in the direction of transcription, and the gene's strand is not known.
    """
    upstream, downstream = model.window.reach(minus_strand=gene.strand is Strand.MINUS)
    return Window.around(gene, upstream + beyond, downstream + beyond, model.window.oriented)


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
