"""Columns of the tables that a run writes; their meaning is in ``docs/formats.md``.

What writes a table and what reads it both look here.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

__all__ = [
    "ACROSS_GENES",
    "AGREEMENT",
    "ALLELES",
    "ALLELE_PEOPLE",
    "BASELINES",
    "CIS_INDEPENDENT",
    "CIS_NOMINAL",
    "CIS_QTL",
    "CIS_TOP",
    "DIRECTION",
    "DIRECTION_FACTORS",
    "DIRECTION_GENES",
    "DIRECTION_STRATA",
    "DROPPED",
    "GENE",
    "HALVES",
    "HERITABILITY",
    "LABELS",
    "PER_GENE",
    "PER_PERSON",
    "PORTABILITY",
    "PORTABILITY_GENES",
    "PRECISION",
    "SIMULATED_GENES",
    "SIMULATED_VARIANTS",
    "STRUCTURE",
    "SUMMARY",
    "TRACK_EVALUATION",
    "TSS_EVALUATION",
    "VALIDATION",
]

LABELS: Final = {"model": pl.String, "read_out": pl.String, "protocol": pl.String}
GENE: Final = {"gene_id": pl.String, "gene_name": pl.String}

PRECISION: Final[dict[str, Any]] = {
    **LABELS,
    "device": pl.String,
    "precision": pl.String,
    "people": pl.Int64,
    "genes_tried": pl.Int64,
    "differences": pl.Int64,
    "largest_error": pl.Float64,
    "signs_lost": pl.Float64,
    "equal": pl.Float64,
    "lost_by_tenth": pl.List(pl.Float64),
    "genes": pl.Int64,
    "constant": pl.Int64,
    "lowest_r": pl.Float64,
    "median_r": pl.Float64,
    "below": pl.Int64,
    "mean_r_exact": pl.Float64,
    "mean_r": pl.Float64,
    "negative_exact": pl.Float64,
    "negative": pl.Float64,
    "sign_of_r_changed": pl.Int64,
}

PER_GENE: Final = {
    **GENE,
    "contig": pl.String,
    "tss": pl.Int64,
    "strand": pl.String,
    **LABELS,
    "observed": pl.String,
    "n": pl.Int64,
    "status": pl.String,
    "pearson_r": pl.Float64,
    "spearman_r": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "pval_empirical": pl.Float64,
    "pval_z": pl.Float64,
    "pval_sasse2023": pl.Float64,
    "pval_permutation": pl.Float64,
    "pval_nominal": pl.Float64,
    "pval_folds": pl.Float64,
    "qval": pl.Float64,
    "qval_empirical": pl.Float64,
    "qval_z": pl.Float64,
    "qval_sasse2023": pl.Float64,
    "qval_permutation": pl.Float64,
    "qval_nominal": pl.Float64,
    "qval_folds": pl.Float64,
    "null_draws": pl.Int64,
    "null_mean": pl.Float64,
    "null_sd": pl.Float64,
    "z": pl.Float64,
    "n_variants": pl.Int64,
    "n_distinct": pl.Int64,
    "prediction_sd": pl.Float64,
    "effective_people": pl.Float64,
    "share_used": pl.Float64,
    "share_weight_used": pl.Float64,
}
"""``evaluation/per_gene.parquet``: one row per gene and model."""

PER_PERSON: Final = {
    "sample_id": pl.String,
    **LABELS,
    "n": pl.Int64,
    "pearson_r": pl.Float64,
    "spearman_r": pl.Float64,
}
"""``evaluation/per_person.parquet``: one row per person and model."""

STRUCTURE: Final = {
    **GENE,
    **LABELS,
    "n": pl.Int64,
    "populations": pl.Int64,
    "share_predicted": pl.Float64,
    "pval_predicted": pl.Float64,
    "share_observed": pl.Float64,
    "pval_observed": pl.Float64,
    "pval": pl.Float64,
    "qval": pl.Float64,
    "r_within": pl.Float64,
}
"""``evaluation/structure.parquet``: one row per gene and model, where the sample sheet gives populations."""

PORTABILITY_GENES: Final = {
    **GENE,
    **LABELS,
    "trained_in": pl.String,
    "judged_in": pl.String,
    "n_trained": pl.Int64,
    "n": pl.Int64,
    "status": pl.String,
    "pearson_r": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}
"""``evaluation/portability_genes.parquet``: one row per gene, model and pair of populations."""

PORTABILITY: Final = {
    **LABELS,
    "trained_in": pl.String,
    "judged_in": pl.String,
    "n_trained": pl.Int64,
    "n": pl.Int64,
    "genes": pl.Int64,
    "genes_constant": pl.Int64,
    "mean_r": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "to_own": pl.Float64,
    "to_own_ci_low": pl.Float64,
    "to_own_ci_high": pl.Float64,
}
"""``evaluation/portability.parquet``: one row per model and pair of populations."""

ACROSS_GENES: Final = {
    **GENE,
    **LABELS,
    "predicted_reference": pl.Float64,
    "mean_expression": pl.Float64,
    "sd_expression": pl.Float64,
}
"""``evaluation/across_genes.parquet``: one row per gene and model."""

SUMMARY: Final = {
    **LABELS,
    "quantity": pl.String,
    "value": pl.Float64,
    "n": pl.Int64,
    "unit": pl.String,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}
"""``evaluation/summary.parquet``: one row per model and quantity."""

BASELINES: Final = {
    **LABELS,
    "split": pl.String,
    "genes": pl.Int64,
    "genes_ok": pl.Int64,
    "mean_r": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "share_negative": pl.Float64,
    "share_used": pl.Float64,
    "share_weight_used": pl.Float64,
    "genes_low_share": pl.Int64,
    "mean_fold_r": pl.Float64,
    "fold_genes": pl.Int64,
    "fold_ci_low": pl.Float64,
    "fold_ci_high": pl.Float64,
    "against": pl.String,
    "paired_genes": pl.Int64,
    "difference": pl.Float64,
    "difference_ci_low": pl.Float64,
    "difference_ci_high": pl.Float64,
}
"""``evaluation/baselines.parquet``: one row per linear baseline and split."""

DROPPED: Final = {
    "kind": pl.String,
    "reason": pl.String,
    "count": pl.Int64,
    "names": pl.List(pl.String),
}
"""``dropped.parquet``: one row per kind and reason."""

_VARIANT: Final = {
    "variant_id": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "start_distance": pl.Int64,
    "end_distance": pl.Int64,
    "tss_distance": pl.Int64,
    "ma_samples": pl.Int64,
    "ma_count": pl.Int64,
    "af": pl.Float64,
}
_EFFECT: Final = {"pval_nominal": pl.Float64, "slope": pl.Float64, "slope_se": pl.Float64}
_HALF_EFFECTS: Final = {
    "slope_half1": pl.Float64,
    "slope_se_half1": pl.Float64,
    "slope_half2": pl.Float64,
    "slope_se_half2": pl.Float64,
}
_GENE_TEST: Final = {
    "phenotype_id": pl.String,
    "num_var": pl.Int64,
    "beta_shape1": pl.Float64,
    "beta_shape2": pl.Float64,
    "true_df": pl.Float64,
    "pval_true_df": pl.Float64,
    **_VARIANT,
    **_EFFECT,
    "pval_perm": pl.Float64,
    "pval_beta": pl.Float64,
}

CIS_TOP: Final = {**_GENE_TEST, **_HALF_EFFECTS}
"""``eqtl/block-*.top.parquet``: one row per gene, its strongest variant."""

CIS_QTL: Final = {**CIS_TOP, "qval": pl.Float64}
"""``eqtl/cis_qtl.parquet``: one row per gene."""

CIS_NOMINAL: Final = {"phenotype_id": pl.String, **_VARIANT, **_EFFECT, **_HALF_EFFECTS}
"""``eqtl/block-*.nominal.parquet``: one row per gene and variant."""

CIS_INDEPENDENT: Final = {**_GENE_TEST, "rank": pl.Int64}
"""``eqtl/cis_independent.parquet``: one row per gene and signal."""

HERITABILITY: Final = {
    "phenotype_id": pl.String,
    "n": pl.Int64,
    "num_var": pl.Int64,
    "h2": pl.Float64,
    "h2_se": pl.Float64,
    "pval": pl.Float64,
    "h2_he": pl.Float64,
}
"""``eqtl/heritability.parquet``: one row per gene."""

HALVES: Final = {"sample_id": pl.String, "half": pl.Int64}
"""``eqtl/halves.parquet``: one row per person."""

DIRECTION_GENES: Final = {
    **GENE,
    **LABELS,
    "status": pl.String,
    "n": pl.Int64,
    "pearson_r": pl.Float64,
    "model_qval": pl.Float64,
    "variant_id": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "slope": pl.Float64,
    "slope_se": pl.Float64,
    "pval_nominal": pl.Float64,
    "eqtl_qval": pl.Float64,
    "tss_distance": pl.Int64,
    "distance": pl.Int64,
    "in_window": pl.Boolean,
    "maf": pl.Float64,
    "dosage_sd": pl.Float64,
    "n_ld80": pl.Int64,
    "n_signals": pl.Int64,
    "h2": pl.Float64,
    "mean_expression": pl.Float64,
    "sd_expression": pl.Float64,
    "predicted_reference": pl.Float64,
    "model_slope": pl.Float64,
    "model_slope_sd": pl.Float64,
    "model_slope_expression": pl.Float64,
    "sign_right": pl.Boolean,
    "variant_sign_agrees": pl.Boolean,
}
"""``evaluation/direction_genes.parquet``: one row per gene and model."""

DIRECTION: Final = {
    **LABELS,
    "quantity": pl.String,
    "of": pl.String,
    "value": pl.Float64,
    "n": pl.Int64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "pval": pl.Float64,
}
"""``evaluation/direction.parquet``: one row per model and quantity."""

DIRECTION_STRATA: Final = {
    **LABELS,
    "factor": pl.String,
    "rank": pl.Int64,
    "low": pl.Float64,
    "high": pl.Float64,
    "known": pl.Boolean,
    "n": pl.Int64,
    "share_right": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "mean_r": pl.Float64,
    "mean_r_ci_low": pl.Float64,
    "mean_r_ci_high": pl.Float64,
}
"""``evaluation/direction_strata.parquet``: one row per model, factor and stratum."""

DIRECTION_FACTORS: Final = {
    **LABELS,
    "outcome": pl.String,
    "factor": pl.String,
    "status": pl.String,
    "n": pl.Int64,
    "n_left_out": pl.Int64,
    "coefficient": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "pval": pl.Float64,
    "alone": pl.Float64,
    "unique": pl.Float64,
    "whole": pl.Float64,
    "by_chance": pl.Float64,
}
"""``evaluation/direction_factors.parquet``: one row per model, outcome and factor."""

_OVERLAP: Final = {
    "n": pl.Int64,
    "first": pl.Int64,
    "second": pl.Int64,
    "both": pl.Int64,
    "expected": pl.Float64,
    "odds_ratio": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "pval": pl.Float64,
}

AGREEMENT: Final = {
    **LABELS,
    "other_model": pl.String,
    "other_read_out": pl.String,
    "replicates": pl.Boolean,
    "n": pl.Int64,
    "pearson_r": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "spearman_r": pl.Float64,
    "same_sign": pl.Float64,
    "same_sign_ci_low": pl.Float64,
    "same_sign_ci_high": pl.Float64,
    **{f"failing_{name}": kind for name, kind in _OVERLAP.items()},
    **{f"significant_failing_{name}": kind for name, kind in _OVERLAP.items()},
    "prediction_genes": pl.Int64,
    "prediction_r_lower": pl.Float64,
    "prediction_r_median": pl.Float64,
    "prediction_r_upper": pl.Float64,
}
"""``evaluation/agreement.parquet``: one row per pair of models."""

SIMULATED_VARIANTS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "gene_id": pl.String,
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "af": pl.Float64,
    "tss_distance": pl.Int64,
    "planted": pl.Boolean,
    "gained": pl.List(pl.String),
    "lost": pl.List(pl.String),
    "effect": pl.Float64,
    "slope": pl.Float64,
}
"""``truth/variants.parquet`` of a simulated cohort: one row per gene and variant that acts on it."""

SIMULATED_GENES: Final = {
    **GENE,
    "contig": pl.String,
    "tss": pl.Int64,
    "strand": pl.String,
    "n_variants": pl.Int64,
    "n_causal": pl.Int64,
    "n_planted": pl.Int64,
    "reference": pl.Float64,
    "h2_asked": pl.Float64,
    "h2": pl.Float64,
    "genetic_sd": pl.Float64,
    "noise_sd": pl.Float64,
    "additive_r2": pl.Float64,
}
"""``truth/genes.parquet`` of a simulated cohort: one row per gene."""

ALLELES: Final = {
    **GENE,
    **LABELS,
    "people": pl.Int64,
    "reads": pl.Int64,
    "reference_share": pl.Float64,
    "status": pl.String,
    "n": pl.Int64,
    "effective_people": pl.Float64,
    "haplotype_r": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "slope": pl.Float64,
    "slope_se": pl.Float64,
    "pval": pl.Float64,
    "dispersion": pl.Float64,
    "signs": pl.Int64,
    "sign_agrees": pl.Float64,
    "sign_ci_low": pl.Float64,
    "sign_ci_high": pl.Float64,
    "variant_id": pl.String,
    "driver_effect": pl.Float64,
    "driver_n": pl.Int64,
    "driver_agrees": pl.Float64,
    "driver_ci_low": pl.Float64,
    "driver_ci_high": pl.Float64,
    "driver_ratio": pl.Float64,
    "driver_ratio_se": pl.Float64,
}
"""``validate/alleles.parquet``: one row per gene with allele-specific reads, and model."""

ALLELE_PEOPLE: Final = {
    "gene_id": pl.String,
    "sample_id": pl.String,
    "model": pl.String,
    "read_out": pl.String,
    "first": pl.Int64,
    "second": pl.Int64,
    "log2_ratio": pl.Float64,
    "log2_ratio_se": pl.Float64,
    "reference_lead": pl.Float64,
    "predicted": pl.Float64,
}
"""``validate/alleles_people.parquet``: one row per gene, person and model; of single people."""

_ESTIMATE: Final = {"n": pl.Int64, "value": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64}

TRACK_EVALUATION: Final = {"track": pl.String, "blocks": pl.String, "scale": pl.String, **_ESTIMATE}
"""``tracks.parquet`` of a reference training's evaluation: one row per track, kind of block and scale."""

TSS_EVALUATION: Final = {
    "model": pl.String,
    "read_out": pl.String,
    "blocks": pl.String,
    "quantity": pl.String,
    **_ESTIMATE,
    "n_positive": pl.Int64,
}
"""``tss.parquet`` of the same: one row per model, read-out, kind of block and quantity."""

VALIDATION: Final = {
    "model": pl.String,
    "read_out": pl.String,
    "track": pl.String,
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
