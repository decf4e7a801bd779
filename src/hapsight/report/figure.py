"""What every picture of the report is made of, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.report import charts
from hapsight.report.run_folder import Arm, RunFolder

__all__ = [
    "MOST_POINTS",
    "Figure",
    "Panel",
    "colour",
    "gene_label",
    "in_words",
    "median",
    "nothing",
    "numbers",
    "scatter",
    "summary_value",
]

Values = NDArray[np.float64]

MOST_POINTS: Final = 5000
"""The scatters of one figure draw at most so many points in all; above, they become heat maps."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of a figure.

    Attributes
    ----------
    spec
        Vega-Lite; None where there is nothing to draw, and then `caption` says why.
    named
        Lists of genes too long for the caption: title and names.
    """

    title: str
    spec: dict[str, Any] | None
    caption: tuple[str, ...]
    named: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A question, its pictures (one panel a model) and the numbers they are drawn from.

    Attributes
    ----------
    how_to_read
        Paragraphs for a reader who sees such a picture for the first time.
    numbers
        What ``report/<name>.csv`` holds.
    key
        Entries of the colour key: ``"model"``, ``"baseline"``, ``"strong"``.
    colours
        Further entries: text and colour.
    """

    name: str
    title: str
    how_to_read: tuple[str, ...]
    panels: tuple[Panel, ...]
    numbers: pl.DataFrame
    key: frozenset[str] = field(default_factory=frozenset)
    colours: tuple[tuple[str, str], ...] = ()


def nothing(reason: str) -> Panel:
    """Make a panel without a chart, which says why."""
    return Panel("", None, (reason,))


def colour(arm: Arm) -> str:
    """Colour of a kind of arm, the same everywhere."""
    return charts.BASELINE_COLOUR if arm.is_baseline else charts.MODEL_COLOUR


def median(values: Values) -> float:
    """Median of (N,) numbers, N >= 1."""
    return float(np.median(values))


def gene_label() -> pl.Expr:
    """Column ``gene``: the gene's name, or its identifier where it has none."""
    name = pl.col("gene_name")
    return pl.when(name.is_null() | (name == "")).then("gene_id").otherwise(name).alias("gene")


def in_words(column: str, say: Callable[[Any], str]) -> pl.Expr:
    """Write a column as text ready to print; null becomes a dash."""
    return pl.col(column).map_elements(say, return_dtype=pl.String, skip_nulls=False)


def numbers(parts: Sequence[tuple[Arm, pl.DataFrame]], columns: Mapping[str, Any]) -> pl.DataFrame:
    """Stack tables of several arms under ``model, read_out``; only the header where there is none."""
    schema = {"model": pl.String, "read_out": pl.String, **columns}
    tables = [
        table.select(pl.lit(arm.model).alias("model"), pl.lit(arm.read_out).alias("read_out"), *columns)
        for arm, table in parts
    ]
    return pl.concat([pl.DataFrame(schema=schema), *tables])


def scatter(points: pl.DataFrame, *, crowded: bool, **options: Any) -> dict[str, Any]:
    """Points ``x, y``, or a heat map of them where all panels together would be `crowded`.

    Parameters
    ----------
    options
        Handed on to `hapsight.report.charts.cloud`; a heat map has no `tooltip`.
    """
    if not crowded:
        return charts.cloud(points, **options)
    return charts.density(points, unit="genes", **{k: v for k, v in options.items() if k != "tooltip"})


def summary_value(run: RunFolder, arm: Arm, quantity: str) -> tuple[float | None, int | None]:
    """Value and n of one quantity of ``evaluation/summary.parquet``; None where it is not there."""
    rows = arm.of(run.summary).filter(pl.col("quantity") == quantity)
    return (None, None) if rows.is_empty() else (rows.item(0, "value"), rows.item(0, "n"))
