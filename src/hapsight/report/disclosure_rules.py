"""How each column of each published table is shown; a column that is not here is withheld.

The kinds are those of `hapsight.report.disclosure`: ``share`` (correlations, shares, frequencies: a step that
depends on the people), ``p`` and ``p of carriers``, ``expression`` and ``slope`` (a step in standard
deviations), ``count`` (to the nearest five; ``of all``: all, where fewer than five are left),
``mean over COLUMN`` (over the genes that the column counts; ``mean over all of COLUMN``: those whose R is
withheld are among them), ``unless withheld`` (three decimals, where no R of the arm is withheld; else
nothing),
``of drivers`` (over the main drivers of ``n`` genes: nothing of few, which may be variants that are not
shown), ``three decimals``, ``plain`` (nothing of people in it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["KINDS", "OF_A_CORRELATION", "OF_A_VARIANT"]


def _all(kind: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), kind)


_ARM: Final = _all("plain", "model read_out protocol")
_GENE: Final = _all("plain", "gene_id gene_name gene contig tss strand")
_TESTS: Final = ("empirical", "z", "sasse2023", "permutation", "nominal", "folds")

_VARIANT: Final = _all("plain", "variant_id contig position ref alt tss_distance")
_OVERLAP: Final = _all("plain", "n first second both") | _all(
    "three digits", "expected odds_ratio ci_low ci_high pval"
)

_GENES: Final = {
    **_GENE,
    **_ARM,
    "observed": "plain",
    "n": "people",
    "status": "plain",
    **_all("share", "pearson_r spearman_r null_mean baseline_r"),
    **_all("interval", "ci_low ci_high"),
    **dict.fromkeys([f"{p}_{test}" for p in ("pval", "qval") for test in _TESTS], "p"),
    "pval_nominal": "p of r",
    "qval": "p",
    "null_draws": "plain",
    **_all("two digits", "null_sd prediction_sd"),
    "z": "z",
    **_all("count", "n_variants n_distinct effective_people"),
    "outcome": "plain",
    **_all("three decimals", "share_used share_weight_used"),
}

_DRIVERS: Final = {
    **_GENE,
    **_ARM,
    **_VARIANT,
    **_all("plain", "form status n_drivers distance effect given_beta"),
    "n": "people",
    **_all("count", "n_variants n_backgrounds"),
    **_all("share", "additivity maf rise driver_r pearson_r"),
    **_all("two digits", "effect_sd spread"),
    "driver_pval": "p of carriers",
    **_all("slope", "slope slope_half2"),
    **_all("plain", "supported_cohort supported_half2 supported_given prior_score prior_sign prior_agrees"),
    **_all("plain", "share_of_tss_max run_5 run_10 run_20 run_50 conservation"),
    **_all("plain", "motif motif_id motif_name motif_ref_score motif_alt_score control_motif"),
    **_all("plain", "n_given n_given_used"),
    "qval": "p",
    "sign_right": "plain",
    "r_half1": "half",
}

KINDS: Final[Mapping[str, Mapping[str, str]]] = {
    "genes": _GENES,
    "across_genes": {
        **_GENE,
        **_ARM,
        "predicted_reference": "plain",
        "mean_expression": "expression",
        "sd_expression": "unseen",
    },
    "within_person": {**_ARM, **_all("plain", "start end"), "people": "count"},
    "seed_figure": {
        **_GENE,
        **_ARM,
        **_all("plain", "variant_id predicted_reference"),
        "n": "people",
        "maf": "share",
        "pval_nominal": "p of carriers",
        "pearson_r": "share",
        "mean_expression": "expression",
    },
    "summary": {**_ARM, **_all("plain", "quantity n unit"), **_all("summary", "value ci_low ci_high")},
    "baselines": {
        **_ARM,
        **_all("plain", "split genes genes_ok fold_genes against paired_genes"),
        **_all("mean over genes_ok", "mean_r ci_low ci_high"),
        **_all("mean over all of fold_genes", "mean_fold_r fold_ci_low fold_ci_high"),
        **_all("mean over all of paired_genes", "difference difference_ci_low difference_ci_high"),
        **_all("three decimals", "share_negative share_used share_weight_used"),
        "genes_low_share": "plain",
    },
    "direction": {
        **_ARM,
        **_all("plain", "quantity of n"),
        **_all("three digits", "value ci_low ci_high pval"),
    },
    "direction_strata": {
        **_ARM,
        **_all("plain", "factor rank known n"),
        **_all("bound", "low high"),
        **_all("mean over n", "mean_r mean_r_ci_low mean_r_ci_high"),
        **_all("three decimals", "share_right ci_low ci_high"),
    },
    "direction_factors": {
        **_ARM,
        **_all("plain", "outcome factor status n n_left_out"),
        **_all("three digits", "coefficient ci_low ci_high pval"),
        **_all("three decimals", "alone unique whole by_chance"),
    },
    "between_models": {
        **_ARM,
        **_all("plain", "other_model other_read_out replicates n prediction_genes first second"),
        **_all("three decimals", "pearson_r ci_low ci_high spearman_r"),
        **_all("three decimals", "same_sign same_sign_ci_low same_sign_ci_high"),
        **{f"failing_{name}": kind for name, kind in _OVERLAP.items()},
        **{f"significant_failing_{name}": kind for name, kind in _OVERLAP.items()},
        **_all("share", "prediction_r_lower prediction_r_median prediction_r_upper"),
    },
    "alleles": {
        **_GENE,
        **_ARM,
        "n": "people",
        "effective_people": "count",
        **_all("share", "haplotype_r sign_agrees"),
        **_all("unseen", "ci_low ci_high"),
        "pval": "p",
    },
    "allele_drivers": {**_GENE, **_ARM, "n": "people", "driver_agrees": "share"},
    "drivers": _DRIVERS,
    "driver_summary": {
        **_ARM,
        **_all("plain", "form quantity genes factor rank level n published"),
        **_all("of drivers", "value ci_low ci_high pval"),
    },
    "gene page": {
        **_GENE,
        **_ARM,
        **_VARIANT,
        **_all("plain", "in_window effect driver supported carriers"),
        "af": "share",
        "n_backgrounds": "count",
        **_all("over haplotypes", "effect_mean effect_sd"),
        "slope": "slope",
        "slope_se": "two digits",
        "pval_nominal": "p of carriers",
        "r2": "share of carriers",
    },
    "score backgrounds": {
        **_GENE,
        **_ARM,
        **_VARIANT,
        **_all("plain", "track pos background without effect"),
        **_all("of all", "haplotypes people"),
    },
    "score summary": {
        **_GENE,
        **_ARM,
        **_VARIANT,
        **_all("plain", "track pos effect effect_mean effect_min effect_max n_shown"),
        **_all("plain", "share_opposite share_opposite_haplotypes"),
        "n_backgrounds": "unseen",
        "share_shown": "share",
    },
    "reliability_summary": {
        **_ARM,
        **_all("plain", "genes n beats_base_rate verdict"),
        **_all("three decimals", "share_right ap ap_low ap_high ap_gain_low ap_gain_high calibration"),
        **_all("three digits", "brier brier_base brier_gain brier_gain_low brier_gain_high"),
    },
    "abstention": {
        **_ARM,
        "n": "plain",
        **_all("three decimals", "kept share_right ci_low ci_high base_rate"),
    },
    "kept_right": {
        **_ARM,
        **_all("plain", "track what predictor stratum n"),
        **_all("three decimals", "value ci_low ci_high"),
    },
    "precision": {
        **_ARM,
        **_all("plain", "device precision people genes_tried genes constant below"),
        "differences": "count",
        "largest_error": "two digits",
        **_all("three decimals", "signs_lost equal median_r"),
        **_all("unless withheld", "mean_r_exact mean_r negative_exact negative sign_of_r_changed"),
        "lowest_r": "share",
    },
    "arithmetic": {**_ARM, **_all("plain", "device precision tenth"), "lost": "three decimals"},
    "qtl_signs": {
        **_ARM,
        **_all("plain", "track what predictor quantity stratum n status"),
        **_all("three decimals", "value ci_low ci_high"),
    },
    "modality_gap": {
        **_ARM,
        **_all("plain", "track what predictor quantity stratum n status"),
        **_all("three decimals", "value ci_low ci_high"),
    },
    "training": {
        **_ARM,
        **_all("plain", "label kind mode loss init prior people min_maf seeds cell genes genes_ok"),
        **_all("plain", "wrong_genes constant_seeds ceiling_genes"),
        **_all(
            "three decimals",
            "mean_r mean_r_all ci_low ci_high significant wrong wrong_low wrong_high ceiling",
        ),
    },
}
"""Table -> column -> kind."""

OF_A_CORRELATION: Final = frozenset(
    {"pearson_r", "spearman_r", "ci_low", "ci_high", "null_mean", "null_sd", "z", "prediction_sd"}
    | {*(f"{p}_{test}" for p in ("pval", "qval") for test in _TESTS), "qval", "r_half1", "sign_right"}
    | {"effective_people"}
)
"""Columns that tell of how a gene's prediction goes with its expression."""

OF_A_VARIANT: Final = frozenset(_VARIANT) - {"contig"} | {
    *(
        "maf",
        "pval_nominal",
        "distance",
        "effect",
        "effect_sd",
        "n_backgrounds",
        "spread",
        "rise",
        "driver_r",
    ),
    *("driver_pval", "slope", "slope_half2", "given_beta", "supported_cohort", "supported_half2"),
    *("supported_given", "prior_score", "prior_sign", "prior_agrees", "share_of_tss_max", "run_5", "run_10"),
    *("run_20", "run_50", "conservation", "motif", "motif_id", "motif_name", "motif_ref_score"),
    *("motif_alt_score", "control_id", "control_motif"),
}
"""Columns that tell of the variant of a row, and not of its gene."""
