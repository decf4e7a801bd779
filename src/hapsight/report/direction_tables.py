"""Tables of direction beside magnitude: how far either agrees with eQTLs, and what explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from hapsight.report import shown_genes, words
from hapsight.report.direction import FACTORS
from hapsight.report.run_folder import Arm, RunFolder, read_table
from hapsight.report.seed_figure import beside_eqtls
from hapsight.tables import DIRECTION, DIRECTION_FACTORS

__all__ = [
    "AgreementRow",
    "FactorRow",
    "agreement_rows",
    "agreement_table",
    "factor_rows",
    "factor_table",
]

Cells = tuple[tuple[str, str], ...]

_QUANTITIES: Final = MappingProxyType(
    {
        "sign_right": "R > 0",
        "variant_sign_agrees": "sign at the top variant",
        "magnitude_spearman": "size per allele, Spearman",
        "magnitude_spearman_per_sd": "size per SD of dosage, Spearman",
        "magnitude_log_pearson": "log size per allele, Pearson",
    }
)
_OUTCOMES: Final = MappingProxyType(
    {
        "sign_right": "direction, R > 0",
        "abs_r": "magnitude, |R|",
        "log_abs_effect": "magnitude, log size of the predicted effect of the top variant",
    }
)


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """One quantity of one arm in words.

    Attributes
    ----------
    of
        ``direction`` or ``magnitude``.
    cells
        Number and what it is based on: of all genes, and of those with a significant eQTL.
    """

    title: str
    of: str
    cells: Cells


def agreement_table(run: RunFolder) -> pl.DataFrame:
    """``evaluation/direction.parquet``; empty where the run has none."""
    table = read_table(run.folder / "evaluation/direction.parquet", DIRECTION)
    return run.published("direction", shown_genes.beside_eqtls(run, "direction", table))


def agreement_rows(run: RunFolder) -> list[tuple[Arm, list[AgreementRow]]]:
    """Each arm that has numbers beside eQTLs, with its rows."""
    table, found = agreement_table(run), []
    for arm in beside_eqtls(run):
        rows = {row["quantity"]: row for row in arm.of(table).iter_rows(named=True)}
        if rows:
            found.append((arm, [_agreement_row(name, rows) for name in _QUANTITIES]))
    return found


def _agreement_row(name: str, rows: Mapping[str, dict[str, Any]]) -> AgreementRow:
    cells = _agreement(rows[name]), _agreement(rows[f"{name}.significant"])
    return AgreementRow(_QUANTITIES[name], rows[name]["of"], cells)


def _agreement(row: dict[str, Any]) -> tuple[str, str]:
    say = words.percent if row["of"] == "direction" else words.decimal
    basis = f"n {words.count(row['n'])}"
    if row["ci_low"] is not None:
        interval = f"[{say(row['ci_low'])}, {say(row['ci_high'])}]"
        basis = f"{interval} p {words.p_value(row['pval'])}, {basis}"
    return say(row["value"]), basis


@dataclass(frozen=True, slots=True)
class FactorRow:
    """One factor of one arm in words.

    Attributes
    ----------
    direction, magnitude
        Effect with its interval, share explained alone, share explained beside the others: of R > 0, and
        of abs(R).
    """

    factor: str
    direction: Cells
    magnitude: Cells


def factor_table(run: RunFolder) -> pl.DataFrame:
    """``evaluation/direction_factors.parquet``; empty where the run has none."""
    table = read_table(run.folder / "evaluation/direction_factors.parquet", DIRECTION_FACTORS)
    return run.published("direction_factors", shown_genes.beside_eqtls(run, "direction_factors", table))


def factor_rows(run: RunFolder) -> list[tuple[Arm, list[FactorRow], str]]:
    """Each arm with its factors, and what they explain together."""
    table, found = factor_table(run), []
    for arm in beside_eqtls(run):
        rows = {(row["outcome"], row["factor"]): row for row in arm.of(table).iter_rows(named=True)}
        if rows:
            lines = [
                FactorRow(title, _cells(rows["sign_right", factor]), _cells(rows["abs_r", factor]))
                for factor, title in FACTORS.items()
            ]
            found.append((arm, lines, _together(list(rows.values()))))
    return found


def _cells(row: dict[str, Any]) -> Cells:
    if row["status"] != "ok":
        return (words.ABSENT, row["status"]), (words.ABSENT, ""), (words.ABSENT, "")
    interval = f"[{words.decimal(row['ci_low'])}, {words.decimal(row['ci_high'])}]"
    return (
        (words.decimal(row["coefficient"]), interval),
        (words.percent(row["alone"]), ""),
        (words.percent(row["unique"]), ""),
    )


def _together(rows: list[dict[str, Any]]) -> str:
    """What all factors explain of each outcome, beside chance."""
    parts = []
    for outcome, title in _OUTCOMES.items():
        row = next((r for r in rows if r["outcome"] == outcome and r["status"] == "ok"), None)
        if row is not None:
            whole, chance = words.percent(row["whole"]), words.percent(row["by_chance"])
            parts.append(f"{title}: {whole} (by chance {chance}, {words.plural(row['n'], 'gene')})")
    return "; ".join(parts) or "nothing that could be estimated"
