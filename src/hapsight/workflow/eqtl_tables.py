"""Rows of the eQTL tables, with tensorQTL's names; see ``docs/formats.md``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Strand, Variants
from hapsight.evaluate.eqtl import NominalScan, allele_counts
from hapsight.evaluate.eqtl_independent import Signal
from hapsight.evaluate.eqtl_permutations import GeneTest
from hapsight.evaluate.heritability import Heritability
from hapsight.tables import CIS_INDEPENDENT, CIS_NOMINAL, CIS_TOP, HERITABILITY

__all__ = ["CisWindow", "heritability_row", "nominal_table", "signal_table", "top_table"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class CisWindow:
    """A gene and the variants that are tested with it.

    Attributes
    ----------
    dosage
        (V, N) ALT alleles of `variants`, as `Variants.linear_dosage`.
    """

    gene: Gene
    variants: Variants
    dosage: NDArray[np.uint8]

    def table(self) -> pl.DataFrame:
        """(V, ...) what is known of the variants without expression."""
        variants, gene = self.variants, self.gene
        distance = variants.position - gene.tss
        counts = allele_counts(self.dosage, variants.one_copy)
        return pl.DataFrame(
            {
                "phenotype_id": pl.repeat(gene.gene_id, len(variants), dtype=pl.String, eager=True),
                "variant_id": pl.Series(variants.variant_id, dtype=pl.String),
                "position": variants.position,
                "ref": pl.Series(variants.ref, dtype=pl.String),
                "alt": pl.Series(variants.alt, dtype=pl.String),
                "start_distance": distance,
                "end_distance": distance,
                "tss_distance": _along(gene, distance),
                "ma_samples": counts.ma_samples,
                "ma_count": counts.ma_count,
                "af": counts.af,
            }
        )


def _along(gene: Gene, distance: NDArray[np.int64]) -> pl.Series:
    """Distances in the direction of transcription; null where the gene has no strand."""
    if gene.strand is None:
        return pl.repeat(None, len(distance), dtype=pl.Int64, eager=True)
    return pl.Series(-distance if gene.strand is Strand.MINUS else distance)


def nominal_table(window: CisWindow, scan: NominalScan, halves: Sequence[NominalScan | None]) -> pl.DataFrame:
    """One row per variant of the window: effects in everyone, and in each half of the people."""
    effects = {"pval_nominal": scan.pval_nominal, "slope": scan.slope, "slope_se": scan.slope_se}
    missing = np.full(len(window.variants), np.nan)
    for number, half in enumerate(halves, start=1):
        effects[f"slope_half{number}"] = missing if half is None else half.slope
        effects[f"slope_se_half{number}"] = missing if half is None else half.slope_se
    table = window.table().with_columns(pl.Series(name, values) for name, values in effects.items())
    return _in_order(table.with_columns(pl.col(pl.Float64).fill_nan(None)), CIS_NOMINAL)


def top_table(gene: Gene, nominal: pl.DataFrame, test: GeneTest | None) -> pl.DataFrame:
    """One row: the strongest variant of a gene; nulls where none could be tested."""
    row: Row = {"phenotype_id": gene.gene_id, "num_var": 0}
    if test is not None:
        row = nominal.row(test.variant, named=True) | _test_row(test)
    return pl.DataFrame([{**dict.fromkeys(CIS_TOP), **row}], schema=CIS_TOP)


def signal_table(window: CisWindow, signals: Sequence[Signal]) -> pl.DataFrame:
    """One row per independent signal of a gene; effects are those beside the other signals."""
    known = window.table()
    rows = [
        known.row(signal.test.variant, named=True) | _test_row(signal.test) | {"rank": signal.rank}
        for signal in signals
    ]
    return pl.DataFrame([{**dict.fromkeys(CIS_INDEPENDENT), **row} for row in rows], schema=CIS_INDEPENDENT)


def heritability_row(gene: Gene, people: int, found: Heritability | None) -> pl.DataFrame:
    """One row: a gene's heritability; nulls where no variant, or no expression, varies."""
    row: Row = {"phenotype_id": gene.gene_id, "n": people, "num_var": 0}
    if found is not None:
        row |= asdict(found)
    table = pl.DataFrame([{**dict.fromkeys(HERITABILITY), **row}], schema=HERITABILITY)
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def _test_row(test: GeneTest) -> Row:
    row = asdict(test)
    row |= row.pop("beta") or {}
    del row["variant"]
    return row


def _in_order(table: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    return table.select(pl.col(name).cast(kind) for name, kind in schema.items())
