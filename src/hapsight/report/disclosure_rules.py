"""How each column of each published table is shown, by its kind; a column that is not here is withheld.

The kinds, and how a number of each is rounded: ``share`` (correlations, shares, frequencies: a step that
depends on the people), ``p`` and ``p of carriers``, ``expression`` and ``slope`` (a step in standard
deviations), ``count`` (to the nearest five; ``of all``: all, where fewer than five are left),
``mean over COLUMN`` (over the genes that the column counts; ``mean over all of COLUMN``: those whose R is
withheld are among them), ``unless withheld`` (three decimals, where no R of the arm is withheld; else
nothing),
``of drivers`` (over the main drivers of ``n`` genes: nothing of few, which may be variants that are not
shown), ``three decimals``, ``plain`` (nothing of people in it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr

__all__ = [
    "DIGITS",
    "FEWEST",
    "KINDS",
    "OF_A_CORRELATION",
    "OF_A_VARIANT",
    "RULES",
    "enough_carriers",
    "hidden_p",
    "nearest_five",
    "over_genes",
    "rounded",
    "step",
]

Float = NDArray[np.float64]

FEWEST: Final = 5
"""People behind the least that is shown, and in the step that numbers are rounded to."""
_FINEST: Final = 0.01
"""Smallest step of a share or a correlation: two digits."""
DIGITS: Final = 3
_MARK: Final = float(-ndtri(0.025))
"""|z| of p = 0.05: an edge of the cells of p, so that no p is moved across it."""
_LARGEST_Z: Final = 37.0
_LEVEL, _BELOW = 0.05, 0.0499


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


def step(n: pl.Expr, unit: pl.Expr | float = 1.0) -> pl.Expr:
    """Step that a mean over `n` people is rounded to: 1, 2 or 5 times a power of ten.

    Parameters
    ----------
    unit
        What one person can typically add, such as the standard deviation; 1 for shares and correlations.

    Returns
    -------
    The least such step that is `FEWEST` people's share of `unit`, and a hundredth of it.
    """
    share = pl.max_horizontal(FEWEST / n, pl.lit(_FINEST)) * unit
    power = pl.lit(10.0).pow((share.log10() + 1e-9).floor())
    lead = (share / power).round(9)
    nice = pl.when(lead <= 1).then(1.0).when(lead <= 2).then(2.0).when(lead <= 5).then(5.0).otherwise(10.0)
    return (nice * power).round_sig_figs(DIGITS)


def rounded(value: pl.Expr, by: pl.Expr) -> pl.Expr:
    """Nearest multiple of a step; null where either is null, and where the step is 0 or no number."""
    found = ((value / by).round() * by).round_sig_figs(12) + 0.0
    return pl.when(by.is_finite() & (by > 0)).then(found)


def nearest_five(count: pl.Expr) -> pl.Expr:
    """A count that people make, to the nearest five; 0 stays, and 1 to 7 are 5."""
    near = ((count.cast(pl.Float64) / FEWEST).round() * FEWEST).clip(lower_bound=FEWEST)
    return pl.when(count == 0).then(0).otherwise(near.cast(pl.Int64))


def hidden_p(values: Float, n: Float) -> Float:
    """Round p's on the scale of z, by `FEWEST` people's share of it; none is moved across 0.05.

    Parameters
    ----------
    values, n
        (K,) p's, and the people behind each.

    Returns
    -------
    The middle of the cell of z that each p is in, as a p. Cells are ``FEWEST / sqrt(n)`` wide.
    """
    z = np.minimum(-ndtri(np.clip(values, 1e-300, 1.0) / 2), _LARGEST_Z)
    width = np.maximum(FEWEST / np.sqrt(np.maximum(n, 1.0)), 0.05)
    low = _MARK + np.floor((z - _MARK) / width + 1e-9) * width
    low = np.where(values < 0.05, np.maximum(low, _MARK), np.minimum(low, _MARK - width))
    middle = (np.maximum(low, 0.0) + low + width) / 2
    p: Float = np.where(np.isfinite(values), 2 * ndtr(-middle), np.nan)
    return p


def enough_carriers(maf: pl.Expr, n: pl.Expr) -> pl.Expr:
    """Whether `FEWEST` people or more carry the rarer allele, and as many do not, by its share.

    Carriers are at least half of the alleles; those without it are counted by Hardy and Weinberg.
    """
    return (maf * n >= FEWEST - 1e-6) & (n * (1 - maf) ** 2 >= FEWEST)


def over_genes(column: str, genes: pl.Expr, withheld: bool = False) -> pl.Expr:
    """A mean over genes: one person moves it by that person's share of each, over all genes.

    Where genes whose R is withheld are among them, it follows from the mean and the others, so that the step
    is five of its standard errors over all genes.
    """
    coarse = pl.when(pl.col("_coarse") & withheld).then(FEWEST / pl.col("_n").sqrt())
    one = pl.max_horizontal(step(pl.col("_n")), coarse)
    by = pl.max_horizontal(one / genes.cast(pl.Float64), 10.0**-DIGITS)
    return rounded(pl.col(column), by).round(DIGITS)


def _p(column: str, people: str) -> pl.Expr:
    def hide(pair: pl.Series) -> pl.Series:
        frame = pair.struct.unnest()
        values = hidden_p(frame["p"].to_numpy().astype(np.float64), frame["n"].fill_null(1).to_numpy())
        return pl.Series(values).fill_nan(None).round_sig_figs(DIGITS)

    both = pl.struct(p=pl.col(column).cast(pl.Float64).fill_null(np.nan), n=pl.col(people))
    return both.map_batches(hide, return_dtype=pl.Float64)


def _interval(column: str) -> pl.Expr:
    """The end of Fisher's interval of the rounded R: its width depends on the number of people only."""
    r = pl.col("pearson_r").clip(-0.999999, 0.999999)
    shown = rounded(pl.col("pearson_r"), step(pl.col("_n"))).clip(-0.999999, 0.999999)
    end = (pl.col(column).clip(-0.999999, 0.999999).arctanh() - r.arctanh() + shown.arctanh()).tanh()
    return end.round(DIGITS)


def _p_of_r(column: str) -> pl.Expr:
    """The p of the rounded R; the side of 0.05 is that of the p itself."""

    def recompute(pair: pl.Series) -> pl.Series:
        frame = pair.struct.unnest()
        r, n, p = (frame[name].to_numpy().astype(np.float64) for name in ("r", "n", "p"))
        t = r * np.sqrt(np.maximum(n - 2, 1) / np.maximum(1 - r * r, 1e-12))
        made = 2 * stdtr(np.maximum(n - 2, 1), -np.abs(t))
        made = np.where(p < _LEVEL, np.minimum(made, _BELOW), np.maximum(made, _LEVEL))
        return pl.Series(np.where(np.isfinite(p), made, np.nan)).fill_nan(None).round_sig_figs(DIGITS)

    r = rounded(pl.col("pearson_r"), step(pl.col("_n")))
    both = pl.struct(r=r, n="_n", p=pl.col(column).cast(pl.Float64).fill_null(np.nan))
    return both.map_batches(recompute, return_dtype=pl.Float64)


RULES: Final[Mapping[str, Callable[[str], pl.Expr]]] = {
    "plain": pl.col,
    "people": pl.col,
    "share": lambda c: rounded(pl.col(c), step(pl.col("_n"))),
    "half": lambda c: rounded(pl.col(c), step(pl.col("_n") / 2)),
    "interval": _interval,
    "p": lambda c: _p(c, "_n"),
    "p of carriers": lambda c: _p(c, "_carriers"),
    "share of carriers": lambda c: pl.when(pl.col("_fewest") >= 2 * FEWEST).then(
        rounded(pl.col(c), step(pl.col("_fewest")))
    ),
    "over haplotypes": lambda c: pl.when(pl.col("n_backgrounds") >= FEWEST).then(pl.col(c).round_sig_figs(2)),
    "z": lambda c: rounded(pl.col(c), step(pl.col("_n").sqrt())),
    "expression": lambda c: rounded(pl.col(c), step(pl.col("_n"), pl.col("_sd"))).round_sig_figs(DIGITS),
    "slope": lambda c: rounded(pl.col(c), step(pl.col("_carriers"), pl.col("_sd"))),
    "count": lambda c: nearest_five(pl.col(c)),
    "of all": lambda c: (
        pl.when(pl.col(f"_all_{c}") - pl.col(c) < FEWEST).then(f"_all_{c}").otherwise(nearest_five(pl.col(c)))
    ),
    "two digits": lambda c: pl.col(c).round_sig_figs(2),
    "three digits": lambda c: pl.col(c).round_sig_figs(DIGITS),
    "three decimals": lambda c: pl.col(c).round(DIGITS),
    "summary": lambda c: (
        pl.when(pl.col("quantity").str.starts_with("within_person"))
        .then(pl.col(c).round(2))
        .when(pl.col("quantity").str.contains("^across_people_.*_median$"))
        .then(rounded(pl.col(c), step(pl.col("_n"))))
        .when(pl.col("quantity").str.starts_with("across_people_"))
        .then(over_genes(c, pl.col("n")))
        .otherwise(pl.col(c).round(DIGITS))
    ),
    "of drivers": lambda c: (
        pl.when((pl.col("n") < FEWEST) & (pl.col("quantity") != "genes"))
        .then(None)
        .when(pl.col("quantity") == "maf")
        .then(rounded(pl.col(c), step(pl.col("_n"))))
        .otherwise(pl.col(c).round_sig_figs(DIGITS))
    ),
    "p of r": _p_of_r,
    "bound": lambda c: (
        pl.when(pl.col("factor") == "mean_expression")
        .then(rounded(pl.col(c), step(pl.col("_n"), pl.col("_sd"))))
        .otherwise(pl.col(c).round_sig_figs(2))
    ),
}
"""Kind of column -> how it is shown."""
