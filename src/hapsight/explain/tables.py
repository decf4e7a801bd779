"""Columns of the tables of variants and their effects; their meaning is in ``docs/formats.md``."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from hapsight.tables import GENE, LABELS

__all__ = [
    "BACKGROUND_DEPENDENT",
    "DRIVERS",
    "DRIVER_SUMMARY",
    "DRIVER_VARIANTS",
    "EXPLAIN_ADDITIVITY",
    "EXPLAIN_EFFECTS",
    "EXPLAIN_ELEMENTS",
    "MODISCO_PATTERNS",
    "PAGES_WITHHELD",
    "PAGE_VARIANTS",
    "RELIABILITY",
    "RELIABILITY_FEATURES",
    "RELIABILITY_SUMMARY",
    "SCORED",
    "SCORES",
    "SCORE_BACKGROUNDS",
    "SCORE_SUMMARY",
    "VIEW_VARIANTS",
    "WITHHELD",
]

_ALLELES: Final = {
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "tss_distance": pl.Int64,
}
_OVER_BACKGROUNDS: Final = {
    "effect": pl.Float64,
    "effect_mean": pl.Float64,
    "effect_sd": pl.Float64,
    "n_backgrounds": pl.Int64,
}

EXPLAIN_EFFECTS: Final = {
    "gene_id": pl.String,
    "track": pl.String,
    **_ALLELES,
    "af": pl.Float64,
    **_OVER_BACKGROUNDS,
}
"""``explain/<model>.<read-out>/effects.parquet``: one row per gene, track and variant."""

EXPLAIN_ELEMENTS: Final = {
    "gene_id": pl.String,
    "track": pl.String,
    **_ALLELES,
    "centre": pl.Int64,
    "element_distance": pl.Int64,
    "element_effect": pl.Float64,
    "activity": pl.Float64,
    "effect": pl.Float64,
}
"""``explain/<model>.<read-out>/elements.parquet`` of a sum over elements: the element of each variant."""

BACKGROUND_DEPENDENT: Final = {
    "gene_id": pl.String,
    "track": pl.String,
    **_ALLELES,
    "af": pl.Float64,
    **_OVER_BACKGROUNDS,
    "spread": pl.Float64,
    "share_opposite": pl.Float64,
}
"""``explain/<model>.<read-out>/background_dependent.parquet``: effects that other variants change."""

EXPLAIN_ADDITIVITY: Final = {
    "gene_id": pl.String,
    "track": pl.String,
    "status": pl.String,
    "n": pl.Int64,
    "n_variants": pl.Int64,
    "pearson_r": pl.Float64,
    "n_dependent": pl.Int64,
    "asked": pl.Int64,
    "distinct": pl.Int64,
    "gflop": pl.Float64,
}
"""``explain/<model>.<read-out>/additivity.parquet``: one row per gene and track."""

MODISCO_PATTERNS: Final = {
    "sign": pl.String,
    "pattern": pl.Int64,
    "n_seqlets": pl.Int64,
    "length": pl.Int64,
    "consensus": pl.String,
    "contribution": pl.Float64,
}
"""``patterns.parquet`` of ``hapsight modisco --run``: one row per motif that TF-MoDISco finds."""

SCORES: Final = {
    "gene_id": pl.String,
    "gene_name": pl.String,
    "model": pl.String,
    "read_out": pl.String,
    "track": pl.String,
    "sample_id": pl.String,
    "haplotype": pl.Int64,
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "pos": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "tss_distance": pl.Int64,
    "without": pl.Float64,
    "effect": pl.Float64,
}
"""What ``hapsight score`` writes: one row per gene in reach, model, track, background and variant."""

SCORED: Final[dict[str, Any]] = {
    **{name: SCORES[name] for name in ("gene_id", "gene_name", "model", "read_out", "track")},
    **{name: SCORES[name] for name in (*_ALLELES, "pos")},
}
"""What a row of both tables of ``hapsight score --sample all`` says of a variant."""

SCORE_BACKGROUNDS: Final = {
    **SCORED,
    "background": pl.String,
    "haplotypes": pl.Int64,
    "people": pl.Int64,
    "without": pl.Float64,
    "effect": pl.Float64,
}
"""``hapsight score --sample all``: one row per gene, model, track, variant and distinct background."""

SCORE_SUMMARY: Final = {
    **SCORED,
    "effect": pl.Float64,
    "effect_mean": pl.Float64,
    "effect_min": pl.Float64,
    "effect_max": pl.Float64,
    "share_opposite": pl.Float64,
    "share_opposite_haplotypes": pl.Float64,
    "n_shown": pl.Int64,
    "n_backgrounds": pl.Int64,
    "share_shown": pl.Float64,
}
"""Its summary, over the rows of the other table: one row per gene, model, track and variant."""

DRIVERS: Final = {
    **GENE,
    **LABELS,
    "form": pl.String,
    "status": pl.String,
    "n": pl.Int64,
    "n_variants": pl.Int64,
    "additivity": pl.Float64,
    "n_drivers": pl.Int64,
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "tss_distance": pl.Int64,
    "distance": pl.Int64,
    "maf": pl.Float64,
    "effect": pl.Float64,
    "effect_sd": pl.Float64,
    "n_backgrounds": pl.Int64,
    "spread": pl.Float64,
    "rise": pl.Float64,
    "driver_r": pl.Float64,
    "driver_pval": pl.Float64,
    "slope": pl.Float64,
    "slope_half2": pl.Float64,
    "given_beta": pl.Float64,
    "n_given": pl.Int64,
    "n_given_used": pl.Int64,
    "supported_cohort": pl.Boolean,
    "supported_half2": pl.Boolean,
    "supported_given": pl.Boolean,
    "prior_score": pl.Float64,
    "prior_sign": pl.Int64,
    "prior_agrees": pl.Boolean,
    "share_of_tss_max": pl.Float64,
    "run_5": pl.Int64,
    "run_10": pl.Int64,
    "run_20": pl.Int64,
    "run_50": pl.Int64,
    "conservation": pl.Float64,
    "motif": pl.String,
    "motif_id": pl.String,
    "motif_name": pl.String,
    "motif_ref_score": pl.Float64,
    "motif_alt_score": pl.Float64,
    "control_id": pl.String,
    "control_motif": pl.String,
    "pearson_r": pl.Float64,
    "qval": pl.Float64,
    "sign_right": pl.Boolean,
    "r_half1": pl.Float64,
}
"""``explain/drivers.parquet``: one row per gene, model and published form."""

DRIVER_VARIANTS: Final = {
    **GENE,
    **LABELS,
    "form": pl.String,
    **_ALLELES,
    "effect": pl.Float64,
    "rise": pl.Float64,
    "driver_r": pl.Float64,
    "driver_pval": pl.Float64,
}
"""``explain/driver_variants.parquet``: one row per gene, model, form and driver."""

DRIVER_SUMMARY: Final = {
    **LABELS,
    "form": pl.String,
    "quantity": pl.String,
    "genes": pl.String,
    "factor": pl.String,
    "rank": pl.Int64,
    "level": pl.String,
    "value": pl.Float64,
    "n": pl.Int64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "pval": pl.Float64,
    "published": pl.Float64,
}
"""``explain/driver_summary.parquet``: one row per model, form, quantity, choice of genes and stratum."""

RELIABILITY_FEATURES: Final = {
    "agreement_models": pl.Float64,
    "agreement_replicates": pl.Float64,
    "replicates_same_sign": pl.Float64,
    "log_replicates_z": pl.Float64,
    "log_element_effect": pl.Float64,
    "log_activity": pl.Float64,
    "additivity": pl.Float64,
    "n_drivers": pl.Float64,
    "driver_r": pl.Float64,
    "log_spread": pl.Float64,
    "log_effect": pl.Float64,
    "log_distance": pl.Float64,
    "motif": pl.Float64,
    "conservation": pl.Float64,
    "log_n_variants": pl.Float64,
    "log_prediction_sd": pl.Float64,
}
"""What a reliability is estimated from; none needs the gene's expression."""

RELIABILITY: Final = {
    **GENE,
    **LABELS,
    **RELIABILITY_FEATURES,
    "pearson_r": pl.Float64,
    "qval": pl.Float64,
    "sign_right": pl.Boolean,
    "fold": pl.Int64,
    "probability": pl.Float64,
    "base_rate": pl.Float64,
}
"""``explain/reliability.parquet``: one row per gene and model."""

RELIABILITY_SUMMARY: Final = {
    **LABELS,
    "genes": pl.String,
    "n": pl.Int64,
    "share_right": pl.Float64,
    "ap": pl.Float64,
    "ap_low": pl.Float64,
    "ap_high": pl.Float64,
    "ap_gain_low": pl.Float64,
    "ap_gain_high": pl.Float64,
    "brier": pl.Float64,
    "brier_base": pl.Float64,
    "brier_gain": pl.Float64,
    "brier_gain_low": pl.Float64,
    "brier_gain_high": pl.Float64,
    "calibration": pl.Float64,
    "beats_base_rate": pl.Boolean,
    "verdict": pl.String,
}
"""``explain/reliability_summary.parquet``: one row per model and choice of genes."""

PAGE_VARIANTS: Final = {
    **_ALLELES,
    "af": pl.Float64,
    "in_window": pl.Boolean,
    **_OVER_BACKGROUNDS,
    "slope": pl.Float64,
    "slope_se": pl.Float64,
    "pval_nominal": pl.Float64,
    "r2": pl.Float64,
    "driver": pl.Boolean,
    "supported": pl.Boolean,
}
"""``report/genes/<gene_id>.csv``, with the labels of the model: one row per model and variant."""

VIEW_VARIANTS: Final = {**PAGE_VARIANTS, "carriers": pl.Int64}
"""The same with the people who carry the rarer allele, by which rows are shown or withheld."""

PAGES_WITHHELD: Final = "explain/pages_withheld.parquet"
"""Where a run keeps what its gene pages do not show."""

WITHHELD: Final = {
    "gene_id": pl.String,
    "model": pl.String,
    "read_out": pl.String,
    "table": pl.String,
    "rows": pl.Int64,
    "reason": pl.String,
}
"""``explain/pages_withheld.parquet``: one row per gene page, model, table and reason."""
