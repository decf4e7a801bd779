"""Pictures: the share of genes whose direction is right, in strata of one factor at a time."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

import polars as pl

from hapsight.report import charts, direction_charts, shown_genes, words
from hapsight.report.figure import Figure, Panel, numbers
from hapsight.report.run_folder import Arm, RunFolder, read_table
from hapsight.report.seed_figure import beside_eqtls
from hapsight.tables import DIRECTION_STRATA

__all__ = ["FACTORS", "direction_strata", "stratum_words"]

FACTORS: Final = MappingProxyType(
    {
        "distance": "distance to the TSS",
        "in_window": "top variant within the window",
        "abs_slope": "size of the eQTL’s effect",
        "neg_log10_p": "−log₁₀ P of the top eQTL",
        "maf": "frequency of the rarer allele",
        "mean_expression": "mean expression",
        "n_ld80": "variants with r² > 0.8 to the top one",
        "n_signals": "independent signals",
        "h2": "cis-heritability",
    }
)
"""Factor -> its words, in the order in which they are shown."""

_COLOURS: Final = (charts.MODEL_COLOUR, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a7a7a")
_LABELS: Final = frozenset({"model", "read_out", "protocol"})
_WHOLE: Final = frozenset({"distance", "n_ld80", "n_signals", "neg_log10_p"})


def direction_strata(run: RunFolder) -> Figure | None:
    """One panel a factor, all arms in it; None without eQTLs."""
    table = read_table(run.folder / "evaluation/direction_strata.parquet", DIRECTION_STRATA)
    table = run.published("direction_strata", shown_genes.beside_eqtls(run, "direction_strata", table))
    arms = [(arm, arm.of(table)) for arm in beside_eqtls(run)]
    arms = [(arm, rows) for arm, rows in arms if not rows.is_empty()]
    if not arms:
        return None
    colours = _colours([arm for arm, _ in arms])
    return Figure(
        name="direction_strata",
        title="When is the direction right?",
        how_to_read=(
            "Genes are sorted into strata by one property at a time. A dot is the share of a stratum’s genes "
            "with R > 0, the line its 95 % Wilson interval, the dashed line a coin. Where an interval leaves "
            "the coin out, the model knows something of direction, or takes it for its opposite.",
            "Each gene is in one stratum of each property. Strata without a number of their own are thirds "
            "of the genes. Hold the pointer over a dot for the number of genes and their mean R.",
        ),
        panels=tuple(_panel(factor, arms, colours) for factor in FACTORS),
        numbers=numbers(arms, {k: v for k, v in DIRECTION_STRATA.items() if k not in _LABELS}),
        colours=tuple(colours.items()),
    )


def _colours(arms: list[Arm]) -> dict[str, str]:
    models = [arm for arm in arms if not arm.is_baseline]
    found = {arm.label: _COLOURS[i % len(_COLOURS)] for i, arm in enumerate(models)}
    return found | {arm.label: charts.BASELINE_COLOUR for arm in arms if arm.is_baseline}


def _panel(factor: str, arms: list[tuple[Arm, pl.DataFrame]], colours: dict[str, str]) -> Panel:
    title = FACTORS[factor][0].upper() + FACTORS[factor][1:]
    rows = [
        _drawn(arm, row)
        for arm, table in arms
        for row in table.filter(pl.col("factor") == factor).sort("rank").iter_rows(named=True)
    ]
    order = sorted({row["stratum"]: row["place"] for row in rows}.items(), key=lambda pair: pair[1])
    said = "; ".join(f"{row['arm']}, {row['stratum']}: {row['right']} of {row['genes']}" for row in rows)
    spec = direction_charts.shares(
        pl.DataFrame(rows).drop("place"),
        [stratum for stratum, _ in order],
        colours,
        alt_text=f"Share of genes with R > 0 by {FACTORS[factor]}. {said}.",
    )
    counted = {arm.label: sum(row["n"] for row in rows if row["arm"] == arm.label) for arm, _ in arms}
    caption = "; ".join(f"{label}: {words.plural(n, 'gene')}" for label, n in counted.items())
    return Panel(title, spec, (f"{caption}.",))


def _drawn(arm: Arm, row: dict[str, Any]) -> dict[str, Any]:
    low = float("-inf") if row["low"] is None else row["low"]
    return {
        "arm": arm.label,
        "stratum": stratum_words(row["factor"], row["low"], row["high"], row["known"]),
        "place": low if row["known"] else float("inf"),
        "share": row["share_right"],
        "low": row["ci_low"],
        "high": row["ci_high"],
        "n": row["n"],
        "genes": words.count(row["n"]),
        "right": words.percent(row["share_right"]),
        "mean R": words.decimal(row["mean_r"]),
    }


def stratum_words(factor: str, low: float | None, high: float | None, known: bool) -> str:
    """Name a stratum by its bounds.

    Examples
    --------
    >>> stratum_words("distance", 1000.0, 10000.0, True), stratum_words("h2", None, None, True)
    ('1 to 10 kb', 'all genes')
    """
    if not known:
        return "not known"
    if factor == "in_window" and (low, high) != (None, None):
        return "outside" if high is not None else "within"
    if low is None and high is None:
        return "all genes"
    if factor == "n_signals" and high is not None:
        return "none" if low is None else words.count(low)
    first, last = (_bound(factor, value) for value in (low, high))
    unit = " kb" if factor == "distance" else ""
    if low is None:
        return f"below {last}{unit}"
    return f"{first}{unit} or more" if high is None else f"{first} to {last}{unit}"


def _bound(factor: str, value: float | None) -> str:
    if factor == "distance" and value is not None:
        return words.count(value / 1000)
    return words.count(value) if factor in _WHOLE else words.decimal(value)
