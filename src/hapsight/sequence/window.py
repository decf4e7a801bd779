"""Windows anchored at a TSS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.errors import ConfigError

__all__ = ["Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """`left` bases before the anchor and `right` bases from it on, on the forward strand.

    The anchor (a TSS) is at index `left` of every haplotype, whatever indels the haplotype carries.

    Attributes
    ----------
    reverse
        True where a model wants the reverse complement of what is built here.
    """

    contig: str
    anchor: int
    left: int
    right: int
    reverse: bool = False

    @classmethod
    def around(cls, gene: Gene, upstream: int, downstream: int, oriented: bool) -> Self:
        """The window of a gene: `upstream` bases before its TSS, `downstream` from the TSS on.

        With `oriented`, upstream means against the direction of transcription: for a gene on the minus
        strand the TSS is at index `upstream` of the *reverse complement*.

        Raises
        ------
        ConfigError
            An oriented window of a gene whose strand is not known.
        """
        if not oriented:
            return cls(gene.contig, gene.tss, upstream, downstream)
        if gene.strand is None:
            raise ConfigError(
                "A model that reads in the direction of transcription needs the gene's strand.",
                where=f"gene {gene.gene_id}",
                expected="+ or -",
                got="no strand",
                fix="give a gene table with strands (`genes` in the configuration: GTF, BED6 or TSV)",
            )
        if gene.strand is Strand.PLUS:
            return cls(gene.contig, gene.tss, upstream, downstream)
        return cls(gene.contig, gene.tss, downstream - 1, upstream + 1, reverse=True)

    @property
    def length(self) -> int:
        """Bases in the window."""
        return self.left + self.right

    @property
    def interval(self) -> Interval:
        """The stretch of reference that the window covers where nobody has an indel."""
        return Interval(self.contig, self.anchor - self.left, self.anchor + self.right)
