"""The table of genes: by column for the page, by row for the file beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import polars as pl

from hapsight.evaluate.summary import SIGNIFICANT
from hapsight.files import file_name
from hapsight.report import words
from hapsight.report.gene_view import page_link
from hapsight.report.run_folder import Arm, RunFolder

__all__ = ["gene_columns", "gene_rows", "outcome"]

_GENE: Final = ("gene_id", "gene_name", "contig", "tss", "strand")
_R_DIGITS: Final = 4
_P_DIGITS: Final = 3


def outcome() -> pl.Expr:
    """Column ``outcome``: what became of a gene, in words a reader can search for."""
    significant = pl.col("qval") < SIGNIFICANT
    tested = (
        pl.when(pl.col("pearson_r").is_null() | pl.col("qval").is_null())
        .then(pl.lit("tested, no q"))
        .when(significant & (pl.col("pearson_r") < 0))
        .then(pl.lit("significant, wrong sign"))
        .when(significant)
        .then(pl.lit("significant, right sign"))
        .otherwise(pl.lit("not significant"))
    )
    others = pl.col("status").map_elements(words.status, return_dtype=pl.String, skip_nulls=False)
    return pl.when(pl.col("status") == "ok").then(tested).otherwise(others).alias("outcome")


def gene_rows(run: RunFolder) -> pl.DataFrame:
    """Build ``report/genes.csv``: one row per gene and arm, the baseline's R beside each."""
    baseline = run.baseline
    table = run.per_gene.with_columns(outcome())
    if baseline is None:
        return table.with_columns(pl.lit(None, dtype=pl.Float64).alias("baseline_r"))
    other = baseline.of(run.per_gene).select("gene_id", baseline_r="pearson_r")
    return table.join(other, on="gene_id", how="left", maintain_order="left")


def gene_columns(run: RunFolder) -> dict[str, Any]:
    """Build the same table as columns, so that 20,000 genes stay small inside the page.

    Returns
    -------
    ``genes`` (columns shared by all arms; `tss` 1-based; ``page``: link to the gene's page, None without
    one), ``outcomes`` (words), ``baseline`` (place among the arms, or None) and ``arms``: for each its label
    and columns in the order of ``genes``; None where a gene has no number.
    """
    genes = run.per_gene.select(_GENE).unique("gene_id", keep="first", maintain_order=True)
    outcomes = run.per_gene.select(outcome()).get_column("outcome").unique().sort().to_list()
    return {
        "genes": {
            "id": genes["gene_id"].to_list(),
            "name": genes["gene_name"].to_list(),
            "contig": genes["contig"].to_list(),
            "tss": (genes["tss"] + 1).to_list(),
            "strand": genes["strand"].to_list(),
            "page": _pages(run, genes["gene_id"]),
        },
        "outcomes": outcomes,
        "baseline": next((place for place, arm in enumerate(run.arms) if arm == run.baseline), None),
        "arms": [_arm_columns(run, arm, genes, outcomes) for arm in run.arms],
    }


def _pages(run: RunFolder, gene_ids: Iterable[str]) -> list[str | None]:
    """Link to each gene's page, where the run has one."""
    there = {path.name for path in (run.folder / "report" / "genes").glob("*.html")}
    return [
        page_link(gene_id) if file_name(gene_id, suffix=".html") in there else None for gene_id in gene_ids
    ]


def _arm_columns(run: RunFolder, arm: Arm, genes: pl.DataFrame, outcomes: list[str]) -> dict[str, Any]:
    rows = arm.of(run.per_gene).with_columns(outcome())
    table = genes.select("gene_id").join(rows, on="gene_id", how="left", maintain_order="left")
    place = {text: index for index, text in enumerate(outcomes)}
    rounded = {
        "r": pl.col("pearson_r").round(_R_DIGITS),
        "low": pl.col("ci_low").round(_R_DIGITS),
        "high": pl.col("ci_high").round(_R_DIGITS),
        "p": pl.col("pval_nominal").round_sig_figs(_P_DIGITS),
        "p_null": pl.col("pval_empirical").round_sig_figs(_P_DIGITS),
        "q": pl.col("qval").round_sig_figs(_P_DIGITS),
        "n": pl.col("n"),
        "variants": pl.col("n_variants"),
        "distinct": pl.col("n_distinct"),
        "used": pl.col("share_used").round(_R_DIGITS),
        "weight_used": pl.col("share_weight_used").round(_R_DIGITS),
        "outcome": pl.col("outcome").replace_strict(place, default=None, return_dtype=pl.Int64),
    }
    columns = table.select(**rounded).to_dict(as_series=False)
    return {"label": arm.label, "baseline": arm.is_baseline, "columns": columns}
