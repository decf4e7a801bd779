"""Columns of the tables of ``hapsight priors``; their meaning is in ``docs/formats.md``."""

from __future__ import annotations

from typing import Final

import polars as pl

from hapsight.tables import GENE

__all__ = [
    "PRIOR_ABLATION",
    "PRIOR_GENES",
    "PRIOR_SCORES",
    "PRIOR_SIGNS",
    "SIGNS_LEARNED",
    "SIGNS_OF_REGULONS",
]

SIGNS_LEARNED: Final = "motifs, signs learned"
SIGNS_OF_REGULONS: Final = "motifs, signs of regulons"

_PRIOR: Final = {"prior": pl.String, "level": pl.String}

PRIOR_ABLATION: Final = {
    **_PRIOR,
    "enters": pl.String,
    "beside": pl.String,
    "quantity": pl.String,
    "n": pl.Int64,
    "without": pl.Float64,
    "with_prior": pl.Float64,
    "alone": pl.Float64,
    "shuffled": pl.Float64,
    **{
        f"{gain}{end}": pl.Float64
        for gain in ("gain", "over_shuffled")
        for end in ("", "_ci_low", "_ci_high")
    },
}
"""``priors/ablation.parquet``: one row per prior and what it enters."""

PRIOR_GENES: Final = {
    **GENE,
    **_PRIOR,
    "beside": pl.String,
    "n": pl.Int64,
    "has_prior": pl.Boolean,
    "without_r": pl.Float64,
    "with_r": pl.Float64,
    "alone_r": pl.Float64,
    "shuffled_r": pl.Float64,
}
"""``priors/per_gene.parquet``: one row per gene and prior that enters the linear combination over people."""

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
