"""Columns of the tables of training on people; their meaning is in ``docs/formats.md``."""

from __future__ import annotations

from typing import Final

import polars as pl

from hapsight.tables import GENE

__all__ = ["ARM", "CELLS", "TRAIN_PER_GENE", "TRAIN_RUNS", "TRAIN_SUMMARY"]

ARM: Final = {
    "model": pl.String,
    "read_out": pl.String,
    "mode": pl.String,
    "loss": pl.String,
    "init": pl.String,
    "prior": pl.String,
    "people": pl.Int64,
    "min_maf": pl.Float64,
    "seed": pl.Int64,
}
"""What was trained and how; `people` are those that weights were fitted to."""

CELLS: Final = (
    "seen genes, seen people",
    "seen genes, unseen people",
    "unseen genes, seen people",
    "unseen genes, unseen people",
)
"""The four cells; validation people are in none."""

TRAIN_PER_GENE: Final = {
    **GENE,
    **ARM,
    "cell": pl.String,
    "status": pl.String,
    "n": pl.Int64,
    "pearson_r": pl.Float64,
    "spearman_r": pl.Float64,
    "pval_nominal": pl.Float64,
    "qval_nominal": pl.Float64,
}
"""``train/*_per_gene.parquet``: one row per gene, arm, seed and cell."""

TRAIN_SUMMARY: Final = {
    **ARM,
    "cell": pl.String,
    "quantity": pl.String,
    "value": pl.Float64,
    "n": pl.Int64,
    "unit": pl.String,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}
"""``train/*_summary.parquet``: one row per arm, seed (null: all of them), cell and quantity."""

TRAIN_RUNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    **ARM,
    "valid_people": pl.Int64,
    "test_people": pl.Int64,
    "seen_genes": pl.Int64,
    "unseen_genes": pl.Int64,
    "guard_genes": pl.List(pl.String),
    "best_step": pl.Int64,
    "best_score": pl.Float64,
    "steps": pl.Int64,
    "stopped": pl.String,
    "seconds": pl.Float64,
    "haplotypes": pl.Int64,
    "weights": pl.String,
}
"""``train/*_runs.parquet``: one row per arm and seed."""
