"""Signs of QTLs, and direction at accessibility beside direction at expression: two tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from hapsight.report import words
from hapsight.report.disclosure import FEWEST
from hapsight.report.run_folder import RunFolder, read_table
from hapsight.report.shown_genes import published
from hapsight.tables import VALIDATION

__all__ = [
    "GAP_COLUMNS",
    "HOW_TO_READ",
    "SIGN_COLUMNS",
    "ModalityRow",
    "gap_rows",
    "modality_tables",
    "sign_rows",
]

SIGN_COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "Sign right": ("sign_agrees.stretches", "all"),
    "Largest quarter": ("sign_agrees.stretches", "effect top quarter"),
    "Largest twentieth": ("sign_agrees.stretches", "effect top twentieth"),
    "AUROC of the sign": ("sign_auroc.stretches", "all"),
    "Pearson of effects": ("pearson.stretches", "all"),
}
"""Heading -> quantity and stratum."""

GAP_COLUMNS: Final[Mapping[str, str]] = {
    "Right at accessibility": "accessibility_right",
    "Right at expression": "expression_right",
    "Difference": "gap",
    "Measured effects agree": "measured_carries",
    "Carries to expression": "mediation",
}

HOW_TO_READ: Final = (
    "Sign right: share of variants whose predicted effect at their own place has the measured sign; a coin "
    "gives 50 %. Most listed variants are not the causal ones but travel with them, which no model can know: "
    "variants with the largest predicted effects are the stronger test. 95 % intervals are bootstraps over "
    "stretches of 1 Mb, because neighbouring variants share sites and haplotypes.",
    "All columns of the second table are of the same variants: a QTL of accessibility that is an eQTL of a "
    "gene nearby, each variant once. Difference: right at accessibility less right at expression. Measured "
    "effects agree: how often the measured accessibility effect has the sign of the eQTL, which is what a "
    "model always right at accessibility would get at expression. Carries to expression: that share "
    "where the model’s accessibility sign is right, less where it is wrong; above 0, what it gets right is "
    "what matters to expression.",
)


@dataclass(frozen=True, slots=True)
class ModalityRow:
    """One model, or what stands beside the models; `cells` are number and what it is based on."""

    label: str
    read_out: str
    cells: tuple[tuple[str, str], ...]


def modality_tables(run: RunFolder) -> dict[str, pl.DataFrame]:
    """``qtl_signs`` and ``modality_gap``: the summaries of `hapsight validate`; only those that were made."""
    made = {"qtl_signs": "qtl_summary", "modality_gap": "modality_summary"}
    tables = {name: _summary(run, file) for name, file in made.items()}
    return {name: published(run, name, table) for name, table in tables.items() if not table.is_empty()}


def _summary(run: RunFolder, name: str) -> pl.DataFrame:
    table = read_table(run.folder / "validate" / f"{name}.parquet", VALIDATION)
    return table.filter(pl.col("n") >= FEWEST).drop("n_positive")


def sign_rows(run: RunFolder) -> tuple[ModalityRow, ...]:
    """One row per model, and per thing that stands beside them, over the QTLs."""
    table = modality_tables(run).get("qtl_signs")
    if table is None:
        return ()
    return _rows(table.filter(pl.col("what") == "qtls"), SIGN_COLUMNS.values())


def gap_rows(run: RunFolder) -> tuple[ModalityRow, ...]:
    """One row per model, over variants that are both kinds of QTL."""
    table = modality_tables(run).get("modality_gap")
    if table is None:
        return ()
    wanted = [(quantity, "all") for quantity in GAP_COLUMNS.values()]
    return _rows(table.filter(pl.col("what") == "one gene"), wanted)


def _rows(table: pl.DataFrame, columns: Any) -> tuple[ModalityRow, ...]:
    parts = table.partition_by(["model", "read_out", "track", "predictor"], as_dict=True, maintain_order=True)
    return tuple(_row(tuple(map(str, key)), part, columns) for key, part in parts.items())


def _row(key: tuple[str, ...], part: pl.DataFrame, columns: Any) -> ModalityRow:
    model, read_out, track, predictor = key
    named = {"model": model, "gc": "G or C, no model", "distance": "distance to the TSS, no model"}
    label = named.get(predictor, f"{model}, {predictor}")
    found = {(row["quantity"], row["stratum"]): row for row in part.iter_rows(named=True)}
    return ModalityRow(
        label, f"{read_out}: {track}" if track else "", tuple(_cell(found.get(c)) for c in columns)
    )


def _cell(row: dict[str, Any] | None) -> tuple[str, str]:
    if row is None or row["value"] is None:
        return words.ABSENT, ""
    interval = f"[{words.decimal(row['ci_low'])}, {words.decimal(row['ci_high'])}]"
    return words.decimal(
        row["value"]
    ), f"{interval if row['ci_low'] is not None else ''} n {words.count(row['n'])}"
