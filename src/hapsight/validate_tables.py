"""Columns of the tables of ``hapsight validate``; their meaning is in ``docs/formats.md``."""

from __future__ import annotations

from typing import Final

import polars as pl

__all__ = ["CRISPRI_EFFECTS", "EQTL_EFFECTS", "MPRA_EFFECTS", "VALIDATION"]

_RUN: Final = {"model": pl.String, "read_out": pl.String, "track": pl.String}
_PLACE: Final = {"contig": pl.String, "position": pl.Int64, "ref": pl.String, "alt": pl.String}

MPRA_EFFECTS: Final = {
    "element": pl.String,
    "gene_id": pl.String,
    "anchor": pl.String,
    **_RUN,
    **_PLACE,
    "tss_distance": pl.Int64,
    "barcodes": pl.Int64,
    "coefficient": pl.Float64,
    "pval": pl.Float64,
    "effect": pl.Float64,
}
"""``mpra.parquet``: one row per model, track and measured variant."""

CRISPRI_EFFECTS: Final = {
    "pair": pl.String,
    "gene_id": pl.String,
    "gene_name": pl.String,
    **_RUN,
    "contig": pl.String,
    "start": pl.Int64,
    "end": pl.Int64,
    "distance": pl.Int64,
    "regulated": pl.Boolean,
    "reference": pl.Float64,
    "deletion": pl.Float64,
    "shuffle": pl.Float64,
    "shuffle_sd": pl.Float64,
    "mask": pl.Float64,
}
"""``crispri.parquet``: one row per model, track and pair that fits the model's window."""

EQTL_EFFECTS: Final = {
    "gene_id": pl.String,
    "variant_id": pl.String,
    "eqtl": pl.Boolean,
    **_RUN,
    **_PLACE,
    "distance": pl.Int64,
    "maf": pl.Float64,
    "pip": pl.Float64,
    "slope": pl.Float64,
    "effect": pl.Float64,
}
"""``eqtl.parquet``: one row per model, track and eQTL or matched control (whose `slope` is null)."""

VALIDATION: Final = {
    **_RUN,
    "what": pl.String,
    "predictor": pl.String,
    "quantity": pl.String,
    "stratum": pl.String,
    "value": pl.Float64,
    "n": pl.Int64,
    "n_positive": pl.Int64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "status": pl.String,
}
"""``<assay>_summary.parquet``: one row per model, predictor, quantity and stratum."""
