"""The tables of informed prediction: every gene with every set of evidence, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene
from hapsight.evaluate.correlation import correlate
from hapsight.evaluate.direction import share_true
from hapsight.evaluate.folds import fold_p
from hapsight.evaluate.nulls import benjamini_hochberg
from hapsight.evaluate.paired import Mean, mean_fold_r, mean_interval
from hapsight.informed_tables import INFORMED_GENES, INFORMED_SUMMARY
from hapsight.predict.store import NamedUnit, UnitStore
from hapsight.workflow.blocks import in_gene_order

__all__ = ["gene_rows", "summary_table"]

_JUDGED = ("ok", "no_model")
"""Statuses of genes that are compared; one without a model predicts nothing: R = 0."""

_SIGNIFICANT = 0.05


def gene_rows(
    genes: Sequence[Gene],
    store: UnitStore,
    units: Sequence[NamedUnit],
    evidence: str,
    shuffled: bool,
    split: str,
) -> tuple[pl.DataFrame, list[NDArray[np.float64]]]:
    """One row per gene of a set of evidence, and each gene's R in each held-out fold."""
    facts = in_gene_order(store.read(units, "genes"), genes)
    by_gene = store.read(units, "predictions").partition_by("gene_id", as_dict=True)
    name = {gene.gene_id: gene.gene_name for gene in genes}
    rows = []
    for fact in facts.iter_rows(named=True):
        gene_id, fold_r = fact["gene_id"], np.array(fact["fold_r"], dtype=np.float64)
        finite = fold_r[np.isfinite(fold_r)]
        rows.append(
            {
                "gene_id": gene_id,
                "gene_name": name[gene_id],
                "evidence": evidence,
                "shuffled": shuffled,
                "split": split,
                **{key: fact[key] for key in ("status", "n", "n_variants", "n_nonzero")},
                "share_used": fact.get("share_used"),
                **_held_out(by_gene[(gene_id,)], fact["status"]),
                "mean_fold_r": float(finite.mean()) if len(finite) else None,
                "qval_folds": None,
            }
        )
    tested = [row for row in rows if row["pval_folds"] is not None]
    for row, q in zip(tested, benjamini_hochberg(np.array([r["pval_folds"] for r in tested])), strict=True):
        row["qval_folds"] = float(q)
    of_folds = [np.array(r, dtype=np.float64) for r in facts["fold_r"].to_list()]
    return pl.DataFrame(rows, schema=INFORMED_GENES), of_folds


def _held_out(table: pl.DataFrame, status: str) -> dict[str, float | None]:
    """R over all held-out people, and the p of the folds, of a gene that has a model."""
    if status != "ok":
        return {"pearson_r": None, "pval_folds": None}
    predicted, observed = table["predicted"].to_numpy(), table["observed"].to_numpy()
    return {
        "pearson_r": correlate(predicted, observed).pearson_r,
        "pval_folds": fold_p(predicted, observed, table["fold"].to_numpy()),
    }


def summary_table(found: Sequence[tuple[pl.DataFrame, list[NDArray[np.float64]]]]) -> pl.DataFrame:
    """One row per set of evidence and split, from the results of `gene_rows`; see ``docs/formats.md``."""
    r_of = {_key(table): _judged(table) for table, _ in found}
    return pl.DataFrame([_row(table, fold_r, r_of) for table, fold_r in found], schema=INFORMED_SUMMARY)


def _key(table: pl.DataFrame) -> tuple[str, bool, str]:
    evidence, shuffled, split = table.select("evidence", "shuffled", "split").row(0)
    return evidence, shuffled, split


def _judged(table: pl.DataFrame) -> pl.DataFrame:
    kept = table.filter(pl.col("status").is_in(_JUDGED))
    return kept.select("gene_id", r=pl.col("pearson_r").fill_null(0.0))


def _row(
    table: pl.DataFrame, fold_r: list[NDArray[np.float64]], r_of: dict[tuple[str, bool, str], pl.DataFrame]
) -> dict[str, Any]:
    key = evidence, shuffled, split = _key(table)
    mean, folds = mean_interval(r_of[key]["r"].to_numpy()), mean_fold_r(fold_r)
    significant = table.filter(pl.col("qval_folds") < _SIGNIFICANT)["pearson_r"].to_numpy()
    wrong = share_true(significant < 0.0)
    others = {
        "plain": ("plain", False, split),
        "none": ("none", False, split),
        "distance": ("distance", False, split),
        "shuffled": (evidence, True, split),
    }
    return {
        "evidence": evidence,
        "shuffled": shuffled,
        "split": split,
        "genes": mean.n,
        "genes_ok": int((table["status"] == "ok").sum()),
        **_named("", mean, "mean_r"),
        **_named("fold_", folds, "mean_fold_r"),
        "significant": len(significant),
        "significant_negative": int((significant < 0.0).sum()),
        "significant_negative_share": wrong.value,
        "share_ci_low": wrong.ci_low,
        "share_ci_high": wrong.ci_high,
        **{
            name: value
            for to, other in others.items()
            for name, value in _named(f"to_{to}_", _difference(r_of, key, other), f"to_{to}").items()
        },
    }


def _named(prefix: str, mean: Mean, name: str) -> dict[str, float | None]:
    return {name: mean.value, f"{prefix}ci_low": mean.ci_low, f"{prefix}ci_high": mean.ci_high}


def _difference(
    r_of: dict[tuple[str, bool, str], pl.DataFrame], one: tuple[str, bool, str], other: tuple[str, bool, str]
) -> Mean:
    """Mean over genes of R less the R with other evidence; none to itself, or to what was not run."""
    if one == other or other not in r_of:
        return Mean(None, 0, None, None)
    both = r_of[one].join(r_of[other], on="gene_id", how="inner")
    return mean_interval((both["r"] - both["r_right"]).to_numpy())
