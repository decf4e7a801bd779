"""The table of linear baselines, ready to print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from hapsight.evaluate.heritability import mean_ceiling
from hapsight.report import shown_genes, words
from hapsight.report.run_folder import RunFolder, read_table
from hapsight.tables import BASELINES, HERITABILITY

__all__ = ["BaselineRow", "baseline_rows", "baseline_table", "ceiling_sentence"]


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One baseline in words.

    Attributes
    ----------
    cells
        Number and what it is based on: mean R, share negative, mean R of a fold, difference, weights used.
    """

    method: str
    split: str
    read_out: str
    genes: str
    cells: tuple[tuple[str, str], ...]


def baseline_table(run: RunFolder) -> pl.DataFrame:
    """``evaluation/baselines.parquet``; empty where the run has none."""
    table = read_table(run.folder / "evaluation/baselines.parquet", BASELINES)
    return run.published("baselines", shown_genes.baselines(run, table))


def baseline_rows(run: RunFolder) -> tuple[BaselineRow, ...]:
    """Rows in the order in which the baselines are configured."""
    return tuple(_row(row) for row in baseline_table(run).iter_rows(named=True))


def ceiling_sentence(run: RunFolder) -> str | None:
    """What cis-heritability leaves to any linear prediction; None where it was not estimated."""
    h2 = read_table(run.folder / "eqtl/heritability.parquet", HERITABILITY)["h2"].drop_nulls()
    if h2.is_empty():
        return None
    ceiling = mean_ceiling(h2.to_numpy()).value
    return (
        f"The ceiling: R of a gene is at most the root of its cis-heritability, {words.decimal(ceiling)} on "
        f"average over {words.plural(len(h2), 'gene')} (REML, which cannot go below 0 and so is high where "
        "there is little)."
    )


def _row(row: dict[str, Any]) -> BaselineRow:
    paired = f"to {row['against']}, {words.plural(row['paired_genes'], 'gene')}" if row["against"] else ""
    return BaselineRow(
        row["model"],
        row["split"],
        row["read_out"],
        f"{words.count(row['genes_ok'])} of {words.count(row['genes'])}",
        (
            _cell(row, "mean_r", "ci", ""),
            (words.percent(row["share_negative"]), ""),
            _cell(row, "mean_fold_r", "fold_ci", words.plural(row["fold_genes"], "gene")),
            _cell(row, "difference", "difference_ci", paired),
            _used(row),
        ),
    )


def _used(row: dict[str, Any]) -> tuple[str, str]:
    """Shares of weights that were trained elsewhere, and genes that have too few."""
    if row["share_used"] is None:
        return words.ABSENT, ""
    few = words.plural(row["genes_low_share"], "gene")
    return words.percent(row["share_used"]), (
        f"{words.percent(row['share_weight_used'])} of their absolute sum; {few} below the floor"
    )


def _cell(row: dict[str, Any], name: str, bounds: str, basis: str) -> tuple[str, str]:
    low, high = row[f"{bounds}_low"], row[f"{bounds}_high"]
    interval = f"[{words.decimal(low)}, {words.decimal(high)}]" if low is not None else ""
    return words.decimal(row[name]), " ".join(part for part in (interval, basis) if part)
