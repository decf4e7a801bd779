"""Pictures: the share of genes whose direction is right, in strata of one factor at a time.

Tables of direction beside magnitude: how far either agrees with eQTLs, and what explains it.

What an arithmetic does to differences between people: a table, and a picture of the signs it loses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import altair as alt
import polars as pl

from hapsight.report import charts, direction_charts, words
from hapsight.report.charts import finish, inline
from hapsight.report.figure import Figure, Panel, numbers
from hapsight.report.published import published
from hapsight.report.run_folder import Arm, RunFolder, read_table
from hapsight.report.seed_figure import beside_eqtls
from hapsight.tables import DIRECTION, DIRECTION_FACTORS, DIRECTION_STRATA, PRECISION

__all__ = [
    "FACTORS",
    "AgreementRow",
    "ArithmeticRow",
    "FactorRow",
    "agreement_rows",
    "agreement_table",
    "arithmetic_figure",
    "arithmetic_rows",
    "arithmetic_table",
    "direction_strata",
    "factor_rows",
    "factor_table",
    "stratum_words",
]

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

_COLOURS: Final = (charts.MODEL_COLOUR, "#009e73", "#b5508f", "#8f7a00", "#8f68d8", "#7a7a7a")
"""Of the models: each 3:1 or more on white and on dark paper."""
_LABELS: Final = frozenset({"model", "read_out", "protocol"})
_WHOLE: Final = frozenset({"distance", "n_ld80", "n_signals", "neg_log10_p"})


def direction_strata(run: RunFolder) -> Figure | None:
    """One panel a factor, all arms in it; None without eQTLs."""
    table = read_table(run.folder / "evaluation/direction_strata.parquet", DIRECTION_STRATA)
    table = published(run, "direction_strata", table)
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
    return published(run, "direction", table)


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
    return published(run, "direction_factors", table)


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


_ARITHMETIC_COLOURS: Final = {
    "float32": "#7a7a7a",
    "float16x3": "#009e73",
    "tf32": "#0072b2",
    "bfloat16": "#d55e00",
}
_MEASURED: Final = ["model", "read_out", "device"]
"""What is measured together, and so has a panel of its own."""
_HEIGHT: Final = 260


@dataclass(frozen=True, slots=True)
class ArithmeticRow:
    """One model in one arithmetic, in words.

    Attributes
    ----------
    cells
        Number and what it is based on, column by column of the table.
    """

    model: str
    device: str
    precision: str
    cells: tuple[tuple[str, str], ...]


def arithmetic_table(run: RunFolder) -> pl.DataFrame:
    """``predictions/precision.parquet`` but for the tenths; empty where nothing was measured."""
    return published(run, "precision", _measured(run).drop("lost_by_tenth"))


def arithmetic_rows(run: RunFolder) -> tuple[ArithmeticRow, ...]:
    """Rows in the order in which they were measured."""
    return tuple(_row(row) for row in arithmetic_table(run).iter_rows(named=True))


def arithmetic_figure(run: RunFolder) -> Figure | None:
    """One panel a model, one line an arithmetic; None where nothing was measured."""
    tenths = published(run, "arithmetic", _tenths(_measured(run)))
    if tenths.is_empty():
        return None
    known = tenths["precision"].unique().to_list()
    return Figure(
        name="arithmetic",
        title="Which differences keep their sign?",
        how_to_read=(
            "The difference between a haplotype’s value and that of the reference sequence, in each "
            "arithmetic, against the same difference in float64. From left to right the tenths of all "
            "differences by size, the smallest first; up, the share that came out with another sign, or as "
            "exactly 0.",
            "A line at 0 everywhere is an arithmetic whose result can be trusted. One that is high on the "
            "left alone loses differences that hardly count; one that stays high makes people equal whom the "
            "model tells apart.",
        ),
        panels=tuple(_arithmetic_panel(own) for own in tenths.partition_by(_MEASURED, maintain_order=True)),
        numbers=tenths,
        colours=tuple((name, colour) for name, colour in _ARITHMETIC_COLOURS.items() if name in known),
    )


def _measured(run: RunFolder) -> pl.DataFrame:
    return read_table(run.folder / "predictions/precision.parquet", PRECISION)


def _tenths(table: pl.DataFrame) -> pl.DataFrame:
    """One row for each tenth of the differences; ``tenth`` 1 has the smallest."""
    tenth = pl.int_ranges(1, pl.col("lost_by_tenth").list.len() + 1, dtype=pl.Int64).alias("tenth")
    columns = [*_MEASURED, "precision", tenth, pl.col("lost_by_tenth").alias("lost")]
    return table.select(columns).explode("tenth", "lost")


def _row(row: dict[str, Any]) -> ArithmeticRow:
    genes = words.plural(row["genes"], "gene")
    cells = (
        (words.percent(row["signs_lost"]), f"of {words.count(row['differences'])}"),
        (words.percent(row["equal"]), ""),
        (words.count(row["below"]), f"of {genes}; {words.count(row['constant'])} constant"),
        (words.decimal(row["lowest_r"]), f"median {words.decimal(row['median_r'])}"),
        (words.decimal(row["mean_r"]), f"float64: {words.decimal(row['mean_r_exact'])}"),
        (words.percent(row["negative"]), f"float64: {words.percent(row['negative_exact'])}"),
        (words.count(row["sign_of_r_changed"]), ""),
    )
    return ArithmeticRow(f"{row['model']}, {row['read_out']}", row["device"], row["precision"], cells)


def _arithmetic_panel(tenths: pl.DataFrame) -> Panel:
    model, read_out, device = tenths.select(_MEASURED).row(0)
    means = tenths.group_by("precision", maintain_order=True).agg(pl.col("lost").mean())
    said = "; ".join(f"{name} {words.percent(share)}" for name, share in means.iter_rows())
    caption = f"{model} ({read_out}), on {device}. Signs lost over all differences: {said}."
    return Panel(f"{model} ({read_out})", _spec(tenths, caption), (caption,))


def _spec(tenths: pl.DataFrame, alt_text: str) -> dict[str, Any]:
    share = pl.col("lost").map_elements(words.percent, return_dtype=pl.String).alias("signs lost")
    names = [name for name in _ARITHMETIC_COLOURS if name in tenths["precision"]]
    colour = alt.Scale(domain=names, range=[_ARITHMETIC_COLOURS[name] for name in names])
    lines = (
        alt.Chart(inline(tenths.with_columns(share)))
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X(
                "tenth:O", title="tenth of the differences, the smallest first", axis=alt.Axis(labelAngle=0)
            ),
            y=alt.Y("lost:Q", title="sign lost", axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("precision:N", scale=colour, legend=None),
            tooltip=[alt.Tooltip(f"{name}:N", title=name) for name in ("precision", "tenth", "signs lost")],
        )
    )
    return finish(lines, _HEIGHT, alt_text)
