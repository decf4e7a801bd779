"""Support of a driver: does the effect that a model gives it point where a measured effect points.

Three measured effects, which say different things:

(a) *The same cohort's eQTL.* Nearly circular. A driver carries its gene's prediction over people, so where
    the prediction correlates with expression, its slope on expression has, almost by construction, the sign
    that the correlation has. It tells which way a gene goes, not why.
(b) *The other half of the people.* Genes are chosen, and their direction is told, in half 1; slopes are
    estimated in half 2. The noise of expression no longer favours agreement, but what travels with the
    driver (LD) does so in both halves: a sign that is wrong because of a neighbour stays wrong.
(c) *Any table of effects*: fine-mapped variants, MPRA, allelic imbalance. Of these only a measurement of the
    variant itself is free of LD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import Aligned, WeightRow, align_weights
from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.effect_tables import EffectTable, read_effect_table, weight_rows
from hapsight.cohort.nouns import Gene, Variants

__all__ = ["GivenEffects", "read_effects", "supported"]

Float = NDArray[np.float64]


def supported(effect: float | None, slope: float | None) -> bool | None:
    """Whether two effects of one allele have the same sign; None where one is not known or 0.

    Examples
    --------
    >>> supported(-0.2, -3.0), supported(-0.2, 3.0), supported(0.1, None)
    (True, False, None)
    """
    if effect is None or slope is None or not np.isfinite([effect, slope]).all() or effect == 0 or slope == 0:
        return None
    return bool((effect > 0) == (slope > 0))


@dataclass(frozen=True, slots=True, eq=False)
class GivenEffects:
    """Effects that the user gives, to be laid on the variants of a gene.

    Attributes
    ----------
    given
        ``value`` is per copy of ALT.
    """

    given: EffectTable

    @property
    def path(self) -> Path:
        """The table's file."""
        return self.given.path

    def for_genes(self, genes: Sequence[Gene], contigs: Mapping[str, int]) -> GivenEffects:
        """Those of a cohort's genes; see `EffectTable.for_genes`."""
        return GivenEffects(self.given.for_genes(genes, contigs))

    def on(self, gene_id: str, variants: Variants) -> Float:
        """(V,) effect per copy of ALT of the cohort's variants; NaN where the table has none.

        Variants are found by place, and alleles aligned, as for PredictDB weights
        (`hapsight.cohort.alleles`): exchanged alleles turn the sign, other strands are recognised, and what
        could be either is not used.

        Raises
        ------
        InputError
            Two effects fall on one variant, such as one for either allele.
        """
        aligned = self.laid(gene_id, variants)
        return np.where(aligned.used, aligned.weights, np.nan)

    def laid(self, gene_id: str, variants: Variants) -> Aligned:
        """What becomes of the rows near a gene's variants; errors as of `on`."""
        aligned = align_weights(self.near(gene_id, variants), variants)
        aligned.require_one_each(self.given.what, f"{self.path}, gene {gene_id}")
        return aligned

    def near(self, gene_id: str, variants: Variants) -> tuple[WeightRow, ...]:
        """Rows of a gene, or of any, that lie among the variants or have the rsID of one."""
        if not len(variants):
            return ()
        own = pl.col("gene_id").is_null() | (pl.col("gene_id") == gene_id)
        first, last = int(variants.position[0]), int(variants.end.max())
        here = (pl.col("contig") == plain_contig(variants.contig)) & pl.col("position").is_between(
            first, last
        )
        named = (pl.col("rsid") != "") & pl.col("rsid").is_in(set(variants.variant_id))
        return weight_rows(self.given.table.filter(own & (here | named)))


def read_effects(path: Path) -> GivenEffects:
    """Read a table of measured effects of variants.

    Parameters
    ----------
    path
        Text or Parquet, with ``beta`` (or ``effect``, ``weight``) per copy of the alternative allele; see
        `hapsight.cohort.effect_tables`. ``gene_id`` is optional: with it, an effect counts for that gene
        only.

    Raises
    ------
    InputError
        Columns are missing, an allele is no DNA, an effect is no finite number, or a variant comes twice.
    """
    return GivenEffects(read_effect_table(path, "effects", ("beta", "effect", "weight")))
