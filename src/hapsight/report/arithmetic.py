"""What an arithmetic does to differences between people: a table, and a picture of the signs it loses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import polars as pl

from hapsight.report import words
from hapsight.report.charts import finish, inline
from hapsight.report.figure import Figure, Panel
from hapsight.report.run_folder import RunFolder, read_table
from hapsight.report.shown_genes import published
from hapsight.tables import PRECISION

__all__ = ["ArithmeticRow", "arithmetic_figure", "arithmetic_rows", "arithmetic_table"]

_COLOURS: Final = {
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
        panels=tuple(_panel(own) for own in tenths.partition_by(_MEASURED, maintain_order=True)),
        numbers=tenths,
        colours=tuple((name, colour) for name, colour in _COLOURS.items() if name in known),
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


def _panel(tenths: pl.DataFrame) -> Panel:
    model, read_out, device = tenths.select(_MEASURED).row(0)
    means = tenths.group_by("precision", maintain_order=True).agg(pl.col("lost").mean())
    said = "; ".join(f"{name} {words.percent(share)}" for name, share in means.iter_rows())
    caption = f"{model} ({read_out}), on {device}. Signs lost over all differences: {said}."
    return Panel(f"{model} ({read_out})", _spec(tenths, caption), (caption,))


def _spec(tenths: pl.DataFrame, alt_text: str) -> dict[str, Any]:
    share = pl.col("lost").map_elements(words.percent, return_dtype=pl.String).alias("signs lost")
    names = [name for name in _COLOURS if name in tenths["precision"]]
    colour = alt.Scale(domain=names, range=[_COLOURS[name] for name in names])
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
