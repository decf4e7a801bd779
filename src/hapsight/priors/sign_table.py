"""Tables of sign priors: of variants, which way ALT should take the expression of a gene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.effect_tables import EffectTable, effect_table
from hapsight.cohort.nouns import Gene, Variants
from hapsight.cohort.tables import read_table
from hapsight.errors import InputError
from hapsight.explain.support import GivenEffects
from hapsight.tables import GENE

__all__ = [
    "PRIOR_SCORES",
    "PRIOR_SIGNS",
    "SCORES",
    "SIGNS_LEARNED",
    "SIGNS_OF_REGULONS",
    "SignPriors",
    "read_sign_priors",
]

SIGNS_LEARNED: Final = "motifs, signs learned"
SIGNS_OF_REGULONS: Final = "motifs, signs of regulons"

PRIOR_SCORES: Final = {
    "prior": pl.String,
    "gene_id": pl.String,
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "score": pl.Float64,
}
"""``priors/scores.{learned,regulons}.parquet``: one row per gene and variant near its TSS."""

PRIOR_SIGNS: Final = {
    "variants": pl.String,
    **GENE,
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "distance": pl.Int64,
    "slope": pl.Float64,
    "effect": pl.Float64,
    "motif_name": pl.String,
    "motif_class": pl.String,
    "motif_bits": pl.Float64,
    "n_motifs": pl.Int64,
    "stretch": pl.Int64,
    "prior_odds": pl.Float64,
    "prior_and_effect_odds": pl.Float64,
    "regulon_bits": pl.Float64,
}
"""``priors/signs.parquet``: one row per set of variants and gene, the sign prior beside ISM."""


SCORES: Final = ("score", "sign", "prior_odds")
"""Columns that may hold the score; the first that is there counts."""


class SignPriors:
    """Scores of variants, above 0 where ALT should raise expression; their size is how sure that is.

    Attributes
    ----------
    names
        What the table calls its priors (column ``prior``); empty where it does not say.
    """

    def __init__(self, given: GivenEffects, names: tuple[str, ...]) -> None:
        self._given = given
        self.names = names

    @property
    def typical(self) -> float:
        """Median size of the scores other than 0; 1 where there are none."""
        size = np.abs(self._given.given.table["value"].to_numpy())
        return float(np.median(size[size > 0])) if (size > 0).any() else 1.0

    def shuffled(self, rng: np.random.Generator) -> SignPriors:
        """The control: the same variants with the same sizes, and the signs shuffled among all of them."""
        dealt = self._given.given.table["value"].to_numpy().copy()
        known = dealt != 0
        dealt[known] = np.abs(dealt[known]) * rng.permutation(np.sign(dealt[known]))
        table = self._given.given.table.with_columns(value=pl.Series(dealt))
        return SignPriors(GivenEffects(replace(self._given.given, table=table)), self.names)

    def for_genes(self, genes: Sequence[Gene], contigs: Mapping[str, int]) -> SignPriors:
        """Those of a cohort's genes; see `hapsight.cohort.effect_tables.EffectTable.for_genes`."""
        return SignPriors(self._given.for_genes(genes, contigs), self.names)

    def holding(self, genes: Sequence[Gene]) -> SignPriors:
        """Those that may be of variants near these genes."""
        return SignPriors(self._given.holding(genes), self.names)

    @property
    def table(self) -> EffectTable:
        """The scores as they were read."""
        return self._given.given

    @property
    def path(self) -> Path:
        """The table."""
        return self._given.path

    def on(self, gene_id: str, variants: Variants) -> NDArray[np.float64]:
        """(V,) scores of a gene's variants; 0 where nothing is known.

        Found and aligned as measured effects are (`hapsight.explain.support.GivenEffects.on`): exchanged
        alleles turn the sign.
        """
        return np.nan_to_num(self._given.on(gene_id, variants), nan=0.0)


def read_sign_priors(path: Path) -> SignPriors:
    """Read a table of sign priors.

    Parameters
    ----------
    path
        Text or Parquet with a score per variant in the first of the columns `SCORES` that is there, and
        where the variant is: ``contig, position`` (from 0), ``ref, alt``, as hapsight's own tables have it
        (``priors/scores.*.parquet``; of ``priors/signs.parquet`` the rows with ``variants = "cis"``), or
        ``chrom, pos`` (from 1), ``ref, alt``, or ``variant_id`` (``chr22_1000_A_G``). With ``gene_id``, a
        score counts for that gene only.

    Raises
    ------
    InputError
        Columns are missing, a score is no finite number, or a variant comes twice.
    """
    table = read_table(path, "sign priors")
    table = table.rename({name: name.lower().lstrip("#") for name in table.columns})
    score = next((name for name in SCORES if name in table.columns), None)
    if score is None:
        raise InputError(
            "The table of sign priors has no score.",
            where=path,
            expected=f"a column {' or '.join(SCORES)}: above 0 where ALT should raise expression",
            got=", ".join(table.columns),
        )
    if "variants" in table.columns:
        table = table.filter(pl.col("variants") == "cis")
    given = effect_table(path, table, "sign priors", (score,))
    return SignPriors(GivenEffects(given), _names(table, score))


def _names(table: pl.DataFrame, score: str) -> tuple[str, ...]:
    """What the priors of a table are called; log odds are of signs that were learned."""
    if score == "prior_odds":
        return (SIGNS_LEARNED,)
    return tuple(table["prior"].cast(pl.String).unique().sort()) if "prior" in table.columns else ()
