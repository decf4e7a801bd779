"""Columns of the tables of ``hapsight informed``; their meaning is in ``docs/formats.md``."""

from __future__ import annotations

from typing import Final

import polars as pl

from hapsight.tables import GENE

__all__ = ["INFORMED_GENES", "INFORMED_SHAPES", "INFORMED_SUMMARY"]

_ARM: Final = {"evidence": pl.String, "shuffled": pl.Boolean, "split": pl.String}
_DIFFERENCE: Final = ("", "_ci_low", "_ci_high")

INFORMED_GENES: Final = {
    **GENE,
    **_ARM,
    "status": pl.String,
    "n": pl.Int64,
    "n_variants": pl.Int64,
    "n_nonzero": pl.Int64,
    "share_used": pl.Float64,
    "pearson_r": pl.Float64,
    "mean_fold_r": pl.Float64,
    "pval_folds": pl.Float64,
    "qval_folds": pl.Float64,
}
"""``informed/per_gene.parquet``: one row per gene and set of evidence."""

INFORMED_SHAPES: Final = {
    **_ARM,
    "fold": pl.Int64,
    "feature": pl.String,
    "theta": pl.Float64,
    "gain": pl.Float64,
    "genes": pl.Int64,
    "genes_with_evidence": pl.Int64,
}
"""``informed/shapes.parquet``: one row per set of evidence, outer fold (null: all people) and feature."""

INFORMED_SUMMARY: Final = {
    **_ARM,
    "genes": pl.Int64,
    "genes_ok": pl.Int64,
    "mean_r": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "mean_fold_r": pl.Float64,
    "fold_ci_low": pl.Float64,
    "fold_ci_high": pl.Float64,
    "significant": pl.Int64,
    "significant_negative": pl.Int64,
    "significant_negative_share": pl.Float64,
    "share_ci_low": pl.Float64,
    "share_ci_high": pl.Float64,
    **{
        f"to_{other}{end}": pl.Float64
        for other in ("plain", "none", "distance", "shuffled")
        for end in _DIFFERENCE
    },
}
"""``informed/summary.parquet``: one row per set of evidence and split."""
