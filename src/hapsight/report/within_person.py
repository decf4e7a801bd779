"""Picture: within each person, the correlation over genes."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from hapsight.report import charts, words
from hapsight.report.binning import histogram, round_edges
from hapsight.report.disclosure import FEWEST
from hapsight.report.figure import Figure, Panel, Values, colour, median, nothing, numbers
from hapsight.report.run_folder import Arm, RunFolder

__all__ = ["within_person"]

_COLUMNS = {"sample_id": pl.String, "n": pl.Int64, "pearson_r": pl.Float64, "spearman_r": pl.Float64}
_COARSE = (
    f", to the nearest {FEWEST}; bars of fewer than {FEWEST} are one with their neighbour, and as high as "
    "their mean; the outermost hold everybody beyond them"
)
_BARS = {"start": pl.Float64, "end": pl.Float64, "people": pl.Int64}


def within_person(run: RunFolder) -> Figure:
    """One panel a model."""
    reason = "No sequence model ran, so there is no prediction to rank within a person."
    bars = [(arm, _bars(run, arm)) for arm in run.models]
    return Figure(
        name="within_person",
        title="Within one person, are the genes in the right order?",
        how_to_read=(
            "For each person, Spearman's correlation over genes of that person's predictions with that "
            f"person's expression. A bar counts people{_COARSE if run.disclosure else ''}.",
            "People hardly differ in which genes are high, so a narrow hill near the across-gene value is "
            "expected; it is no evidence that the model sees personal variants.",
        ),
        panels=tuple(_panel(run, arm, own) for arm, own in bars) or (nothing(reason),),
        numbers=numbers(bars, _BARS)
        if run.disclosure
        else numbers([(arm, arm.of(run.per_person)) for arm in run.models], _COLUMNS),
    )


def _values(run: RunFolder, arm: Arm) -> Values:
    return arm.of(run.per_person).get_column("spearman_r").drop_nulls().to_numpy()


def _bars(run: RunFolder, arm: Arm) -> pl.DataFrame:
    """Bars of the histogram, each of `FEWEST` people or more; none where there are fewer."""
    values = _values(run, arm)
    if len(values) < (FEWEST if run.disclosure else 1):
        return pl.DataFrame(schema=_BARS)
    if run.disclosure is None:
        return histogram(values, round_edges(values)).rename({"count": "people"})
    _, low, high = _range(values)  # the least and the largest value are of one person each
    inner = values.clip(low, high)
    bins = histogram(inner, round_edges(inner)).rename({"count": "people"})
    return run.published("within_person", _merged(bins))


def _range(values: Values) -> tuple[float, float, float]:
    """Share of people beyond either end of a range (a twentieth, or `FEWEST` people); its ends, to 0.02."""
    tail = min(max(0.05, FEWEST / len(values)), 0.5)
    low, high = np.quantile(values, [tail, 1 - tail])
    return tail, round(float(low) * 50) / 50, round(float(high) * 50) / 50


def _merged(bins: pl.DataFrame) -> pl.DataFrame:
    """Neighbours in one until every bin has `FEWEST` people; the last joins the one before it."""
    rows: list[list[Any]] = []
    for start, end, people in bins.iter_rows():
        if rows and rows[-1][2] < FEWEST:
            rows[-1][1:] = [end, rows[-1][2] + people]
        else:
            rows.append([start, end, people])
    if len(rows) > 1 and rows[-1][2] < FEWEST:
        _, end, people = rows.pop()
        rows[-1][1:] = [end, rows[-1][2] + people]
    return pl.DataFrame(rows, schema=_BARS, orient="row")


def _panel(run: RunFolder, arm: Arm, bars: pl.DataFrame) -> Panel:
    values = _values(run, arm)
    if not len(values):
        return Panel(arm.label, None, (f"No person has a correlation over genes for {arm.label}.",))
    if bars.is_empty():
        return Panel(arm.label, None, (f"Fewer than {FEWEST} people have one, so none are shown.",))
    tail, low, high = _range(values)
    caption = f"{arm.label}: {words.plural(len(values), 'people')}, median {words.decimal(median(values), 2)}"
    if tail < 0.5:
        between = f"from {words.decimal(low, 2)} to {words.decimal(high, 2)}"
        caption += f"; all but {words.percent(2 * tail)} {between}"
    caption += "."
    spec = charts.distribution(
        _drawn(bars),
        None,
        [(round(median(values), 2), colour(arm))],
        axis="Spearman over genes, per person",
        unit="people",
        zero=False,
        alt_text=f"Histogram of the correlation over genes within each person. {caption}",
    )
    return Panel(arm.label, spec, (caption,))


def _drawn(bars: pl.DataFrame) -> pl.DataFrame:
    """Heights of bars that are not equally wide: people per the narrowest width."""
    width = (pl.col("end") - pl.col("start")).round(6)
    return bars.select("start", "end", count=(pl.col("people") * width.min() / width).round(1))
