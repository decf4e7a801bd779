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

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import WeightRow, align_weights
from hapsight.cohort.nouns import Variants
from hapsight.cohort.tables import numbers, read_table
from hapsight.errors import InputError

__all__ = ["GIVEN", "GivenEffects", "given_effects", "read_effects", "supported"]

Float = NDArray[np.float64]

GIVEN: Final = {
    "gene_id": pl.String,
    "rsid": pl.String,
    "var_id": pl.String,
    "ref": pl.String,
    "alt": pl.String,
    "beta": pl.Float64,
}
"""Columns of a table of effects once it is read; ``gene_id`` is null where an effect is of any gene."""

_PLACE: Final = ("chrom", "pos", "ref", "alt")
_FORMS: Final = (
    "beta (per ALT allele) with chrom, pos (1-based), ref, alt; "
    "or with variant_id, as chr22_1000_A_G or beside ref, alt"
)
_ALLELES: Final = r"(?i)^(?:chr)?[^_:]+[_:]\d+[_:]([ACGTN]+)[_:]([ACGTN]+)(?:[_:]\w+)?$"


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
    table
        Columns `GIVEN`.
    """

    path: Path
    table: pl.DataFrame

    def on(self, gene_id: str, variants: Variants) -> Float:
        """(V,) beta per copy of ALT of the cohort's variants; NaN where the table has none.

        Variants are found by place, and alleles aligned, as for PredictDB weights
        (`hapsight.cohort.alleles`): exchanged alleles turn the sign, other strands are recognised, and what
        could be either is not used.

        Raises
        ------
        InputError
            Two effects fall on one variant, such as one for either allele.
        """
        own = self.table.filter(pl.col("gene_id").is_null() | (pl.col("gene_id") == gene_id))
        rows = [WeightRow(*row) for row in own.drop("gene_id").iter_rows()]
        aligned = align_weights(rows, variants)
        if aligned.n_used > aligned.used.sum():
            raise InputError(
                "Two effects fall on one variant.",
                where=f"{self.path}, gene {gene_id}",
                expected=f"{int(aligned.used.sum())} effects, one for each variant",
                got=f"{aligned.n_used} effects",
                fix="keep one effect per variant (and gene)",
            )
        return np.where(aligned.used, aligned.weights, np.nan)


def read_effects(path: Path) -> GivenEffects:
    """Read a table of measured effects of variants.

    Parameters
    ----------
    path
        Text (tab, or comma for ``.csv``; gzipped or not) or Parquet, with ``beta`` per copy of the
        alternative allele, and either ``chrom, pos, ref, alt`` (``pos`` 1-based) or ``variant_id`` (a place
        and alleles as in ``chr22_1000_A_G``). ``gene_id`` is optional: with it, an effect counts for that
        gene only.

    Raises
    ------
    InputError
        Columns are missing, an effect is no finite number, or a variant comes twice.
    """
    return given_effects(path, read_table(path, "effects"))


def given_effects(path: Path, table: pl.DataFrame) -> GivenEffects:
    """Take up a table that was read from `path`, with columns and errors as of `read_effects`."""
    table = table.rename({name: name.lower().lstrip("#") for name in table.columns})
    placed = set(_PLACE) <= set(table.columns)
    if "beta" not in table.columns or not (placed or "variant_id" in table.columns):
        raise InputError(
            "The table of effects lacks columns.", where=path, expected=_FORMS, got=", ".join(table.columns)
        )
    found = _typed(path, table.with_columns(pl.all().cast(pl.String)), placed)
    twice = found.filter(found.select("gene_id", "var_id", "ref", "alt").is_duplicated())
    if not twice.is_empty():
        raise InputError(
            "The table of effects has a variant twice.",
            where=path,
            got=f"{twice.height} such rows, such as {twice.item(0, 'var_id')}",
            fix="keep one effect per variant (and gene)",
        )
    return GivenEffects(path, found)


def _typed(path: Path, table: pl.DataFrame, placed: bool) -> pl.DataFrame:
    """The columns `GIVEN` of a table of text."""
    name = pl.col("variant_id") if "variant_id" in table.columns else pl.lit("")
    var_id = pl.concat_str(_PLACE, separator="_") if placed else name
    ref, alt = (
        pl.col(allele) if {"ref", "alt"} <= set(table.columns) else name.str.extract(_ALLELES, group)
        for group, allele in enumerate(("ref", "alt"), start=1)
    )
    found = table.select(
        gene_id=pl.col("gene_id") if "gene_id" in table.columns else pl.lit(None, pl.String),
        rsid=name.fill_null(""),
        var_id=var_id,
        ref=ref.str.to_uppercase(),
        alt=alt.str.to_uppercase(),
    )
    incomplete = found.select(pl.any_horizontal(pl.col("var_id", "ref", "alt").is_null())).to_series()
    if incomplete.any():
        row = int(incomplete.arg_true()[0])
        raise InputError(
            "An effect does not say which alleles it is of.",
            where=f"{path}, row {row + 1}",
            expected=_FORMS,
            got=", ".join(str(cell) for cell in table.row(row)),
        )
    beta = numbers(table.select("beta"), [str(row + 1) for row in range(table.height)], path)
    return found.with_columns(pl.Series("beta", beta[:, 0])).select(list(GIVEN))
