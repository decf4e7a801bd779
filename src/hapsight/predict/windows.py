"""Where a model's window lies around a gene."""

from __future__ import annotations

from hapsight.cohort.nouns import Gene, Strand
from hapsight.models.protocol import SequenceModel
from hapsight.sequence.window import Window

__all__ = ["window_of"]


def window_of(gene: Gene, model: SequenceModel, beyond: int = 0) -> Window:
    """The window that a model reads for a gene, `beyond` bases wider on either side.

    Raises
    ------
    ConfigError
        The model reads in the direction of transcription, and the gene's strand is not known.
    """
    upstream, downstream = model.window.reach(minus_strand=gene.strand is Strand.MINUS)
    return Window.around(gene, upstream + beyond, downstream + beyond, model.window.oriented)
