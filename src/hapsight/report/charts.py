"""Vega-Lite specifications, made from frames; pure functions that know nothing of runs.

Text, axes and grid are drawn in ``currentColor``: the page's colours (light, dark, print) reach into the SVG.

Counts of points in bins: what a histogram or a heat map draws instead of every point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import altair as alt
import numpy as np
import polars as pl
from altair.utils import schemapi
from numpy.typing import NDArray

__all__ = [
    "BASELINE_COLOUR",
    "CORRELATION_EDGES",
    "MODEL_COLOUR",
    "TEXT_COLOUR",
    "at_height",
    "cloud",
    "density",
    "distribution",
    "finish",
    "grid",
    "histogram",
    "inline",
    "log_floor",
    "round_edges",
    "unchecked",
    "zero_rule",
]

Values = NDArray[np.float64]

CORRELATION_EDGES: Final[Values] = np.round(np.linspace(-1.0, 1.0, 41), 2)
"""Edges of the bins of every distribution of per-gene R: 0.05 wide, from -1 to 1."""

_STEPS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
_MOST_BINS: Final = 40
_SKEWED: Final = 30.0


def histogram(values: Values, edges: Values) -> pl.DataFrame:
    """Count values in bins ``[start, end)``; the last bin includes its end.

    Parameters
    ----------
    values
        (N,) numbers within the edges.
    edges
        (B + 1,) increasing.

    Returns
    -------
    B rows: ``start, end, count``.
    """
    counts, _ = np.histogram(values, edges)
    return pl.DataFrame({"start": edges[:-1], "end": edges[1:], "count": counts.astype(np.int64)})


def round_edges(values: Values) -> Values:
    """Edges at round numbers that hold all `values` (correlations, N >= 1) in at most 40 bins or so."""
    low, high = float(values.min()), float(values.max())
    step = next((s for s in _STEPS if (high - low) / s <= _MOST_BINS), _STEPS[-1])
    first, last = np.floor(low / step), np.floor(high / step) + 1
    return np.round(np.arange(first, last + 1) * step, 3)


def log_floor(values: Values) -> float | None:
    """Decide whether values want a logarithmic axis, and above which value it is logarithmic.

    Returns
    -------
    A tenth of the median, where no value is negative and the largest is over 30 medians; None (a linear
    axis) otherwise, and where these numbers are too far apart for their ratio to be one.
    """
    floor = float(np.median(values)) / 10
    skewed = floor > 0 and values.min() >= 0 and values.max() / 10 > _SKEWED * floor
    return floor if skewed and np.isfinite(float(values.max()) / floor) else None


def grid(x: Values, y: Values, bins: int = 60) -> pl.DataFrame:
    """Count points in the cells of a `bins` x `bins` grid over their range; even on the axis of `log_floor`.

    Parameters
    ----------
    x, y
        (N,) each, N >= 1, finite.

    Returns
    -------
    One row per cell that is not empty: ``x, x_end, y, y_end, count``.
    """
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=(_edges(x, bins), _edges(y, bins)))
    column, row = np.nonzero(counts)
    return pl.DataFrame(
        {
            "x": x_edges[column],
            "x_end": x_edges[column + 1],
            "y": y_edges[row],
            "y_end": y_edges[row + 1],
            "count": counts[column, row].astype(np.int64),
        }
    )


def _edges(values: Values, bins: int) -> Values:
    floor = log_floor(values)
    if floor is None:
        return _even_edges(values, bins)
    edges: Values = floor * np.expm1(_even_edges(np.log1p(values / floor), bins))
    edges[[0, -1]] = values.min(), values.max()
    return edges


def _even_edges(values: Values, bins: int) -> Values:
    """Edges of so many bins, or of fewer where there are no numbers between that would tell them apart."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        around = max(0.5, bins * float(np.spacing(abs(low))))
        low, high = low - around, high + around
    return np.unique(np.linspace(low, high, bins + 1))


MODEL_COLOUR: Final = "#0072b2"
BASELINE_COLOUR: Final = "#d55e00"

TEXT_COLOUR: Final = "currentColor"
"""The page's own: light, dark or print."""


def distribution(
    bars: pl.DataFrame | None,
    outline: pl.DataFrame | None,
    medians: Sequence[tuple[float, str]],
    *,
    axis: str,
    unit: str,
    zero: bool,
    alt_text: str,
) -> dict[str, Any]:
    """Histogram in bars (the model), in outline (the baseline), or both on the same bins.

    Parameters
    ----------
    bars, outline
        ``start, end, count``, as `hapsight.report.charts.histogram` gives it; at least one of them.
    medians
        Place and colour of each vertical mark.
    axis
        Title of the x axis.
    unit
        What is counted, such as ``"genes"``.
    zero
        Mark 0 on the x axis, and so keep it in view.
    alt_text
        The picture in words, for a reader who does not see it.
    """
    layers: list[Any] = []
    if bars is not None:
        layers.append(_bars(bars, axis, unit))
    if outline is not None:
        layers.append(_outline(outline, axis, unit))
    layers += [_medians(medians), *([zero_rule("x")] if zero else [])]
    return finish(alt.layer(*layers), 260, alt_text)


def cloud(
    points: pl.DataFrame,
    *,
    x: str,
    y: str,
    tooltip: Sequence[str],
    cross: bool = False,
    alt_text: str,
) -> dict[str, Any]:
    """Scatter of points; filled where `strong` is true.

    Parameters
    ----------
    points
        ``x, y`` (numbers), ``strong`` (bool) and the columns of `tooltip` (text, ready to print).
    x, y
        Titles of the axes.
    cross
        Mark both zeros and use one domain for both axes (two correlations).
    """
    across, up = _axes(points, x, y, cross)
    chart = (
        alt.Chart(inline(points))
        .mark_point(size=34, stroke=MODEL_COLOUR, strokeWidth=1.2, opacity=0.85)
        .encode(
            x=across,
            y=up,
            fill=alt.FillValue(
                **alt.condition("datum.strong", alt.value(MODEL_COLOUR), alt.value("transparent"))
            ),
            tooltip=[alt.Tooltip(f"{name}:N", title=name) for name in tooltip],
        )
    )
    layers = [zero_rule("x"), zero_rule("y"), chart] if cross else [chart]
    return finish(alt.layer(*layers), 440, alt_text)


def density(
    points: pl.DataFrame, *, x: str, y: str, unit: str, cross: bool = False, alt_text: str
) -> dict[str, Any]:
    """Heat map of a crowd of points: the darker a cell, the more points (log scale).

    Parameters
    ----------
    points
        ``x, y``; what is drawn are the cells of `hapsight.report.charts.grid`.
    unit
        What is counted, such as ``"genes"``.
    """
    across, up = _axes(points, x, y, cross)
    cells = grid(points.get_column("x").to_numpy(), points.get_column("y").to_numpy())
    chart = (
        alt.Chart(inline(cells))
        .mark_rect(color=MODEL_COLOUR)
        .encode(
            x=across,
            x2=alt.X2("x_end:Q"),
            y=up,
            y2=alt.Y2("y_end:Q"),
            opacity=alt.Opacity(
                "count:Q",
                title=unit,
                scale=alt.Scale(type="log", range=[0.2, 1]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[alt.Tooltip("count:Q", title=unit)],
        )
    )
    layers = [chart, zero_rule("x"), zero_rule("y")] if cross else [chart]
    return finish(alt.layer(*layers), 440, alt_text)


def inline(frame: pl.DataFrame) -> alt.InlineData:
    """The rows of a frame inside the specification."""
    return alt.InlineData(values=frame.to_dicts())


def _bars(bins: pl.DataFrame, axis: str, unit: str) -> Any:
    return (
        alt.Chart(inline(bins.filter(pl.col("count") > 0)))
        .mark_bar(color=MODEL_COLOUR, opacity=0.75)
        .encode(
            x=alt.X("start:Q", bin="binned", title=axis, scale=alt.Scale(zero=False)),
            x2=alt.X2("end:Q"),
            y=alt.Y("count:Q", title=unit, axis=_whole_numbers()),
            tooltip=[
                alt.Tooltip("start:Q", title="from"),
                alt.Tooltip("end:Q", title="to"),
                alt.Tooltip("count:Q", title=unit),
            ],
        )
    )


def _outline(bins: pl.DataFrame, axis: str, unit: str) -> Any:
    filled = bins.with_row_index().filter(pl.col("count") > 0).get_column("index")
    first, last = max(int(filled[0]) - 1, 0), int(filled[-1])
    shown = bins.slice(first, last - first + 1)
    closing = pl.DataFrame({"start": shown["end"].tail(1), "count": [0]})
    steps = pl.concat([shown.select("start", "count"), closing])
    return (
        alt.Chart(inline(steps))
        .mark_line(color=BASELINE_COLOUR, interpolate="step-after", strokeWidth=2.5)
        .encode(x=alt.X("start:Q", title=axis), y=alt.Y("count:Q", title=unit, axis=_whole_numbers()))
    )


def _whole_numbers() -> alt.Axis:
    """Ticks of counts: no more of them than the largest count."""
    return alt.Axis(tickCount=alt.ExprRef("max(1, min(ceil(height / 50), domain('y')[1]))"), format=",d")


def _medians(medians: Sequence[tuple[float, str]]) -> Any:
    """Dashed rules with their values written above the plot, apart from each other."""
    layers: list[Any] = []
    for rank, (place, colour) in enumerate(sorted(medians)):
        base = alt.Chart(
            alt.InlineData(values=[{"place": place, "text": f"median {place:.3f}".replace("-", "−")}])
        )
        left = len(medians) > 1 and rank == 0
        layers.append(
            base.mark_rule(color=colour, strokeDash=[6, 4], strokeWidth=2).encode(x=alt.X("place:Q"))
        )
        layers.append(
            base.mark_text(
                color=TEXT_COLOUR,
                align="right" if left else "left",
                fontSize=12,
                dx=-4 if left else 4,
                fontWeight=600,
            ).encode(x=alt.X("place:Q"), y=at_height(-11), text=alt.Text("text:N"))
        )
    return alt.layer(*layers)


def at_height(pixels: float) -> Any:
    """So many pixels below the upper edge of a plot, whatever its y axis."""
    return alt.YValue(pixels)  # type: ignore[no-untyped-call]


def zero_rule(channel: str) -> Any:
    """A thin line at 0 of the axis ``"x"`` or ``"y"``."""
    rule = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color=TEXT_COLOUR, opacity=0.55)
    return rule.encode(x=alt.X("zero:Q")) if channel == "x" else rule.encode(y=alt.Y("zero:Q"))


def _axes(points: pl.DataFrame, x: str, y: str, cross: bool) -> tuple[Any, Any]:
    """Make the x and the y axis of a scatter; see `cloud`."""
    if cross:
        both = pl.concat([points.get_column("x"), points.get_column("y")]).to_numpy()
        low, high = min(float(both.min()), 0.0), max(float(both.max()), 0.0)
        scale = alt.Scale(domain=[math.floor(low * 10) / 10, math.ceil(high * 10) / 10], nice=False)
        return alt.X("x:Q", title=x, scale=scale), alt.Y("y:Q", title=y, scale=scale)
    return (
        alt.X("x:Q", **_scale(points.get_column("x"), x)),
        alt.Y("y:Q", **_scale(points.get_column("y"), y)),
    )


def _scale(values: pl.Series, title: str) -> dict[str, Any]:
    """Choose title, scale and ticks of an axis: linear, or logarithmic where values are much skewed."""
    floor = log_floor(values.to_numpy())
    if floor is None:
        return {"title": title, "scale": alt.Scale(zero=False)}
    return {
        "title": f"{title} (log scale, linear near 0)",
        "scale": alt.Scale(type="symlog", constant=floor),
        "axis": alt.Axis(values=_decades(floor, float(values.to_numpy().max())), format=",~r"),
    }


def _decades(low: float, high: float) -> list[float]:
    """List 0 and the round numbers 1, 3, 10, 30, ... (any power of ten) in ``(low, high]``."""
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    rounds = [float(f"{lead}e{power}") for power in powers for lead in (1, 3)]
    return [0.0, *(value for value in rounds if low < value <= high)]


def _ticks(side: str, apart: int) -> alt.ExprRef:
    """About one tick every `apart` pixels, so that narrow pictures have few."""
    return alt.ExprRef(f"max(3, ceil({side} / {apart}))")


def finish(chart: Any, height: int, alt_text: str) -> dict[str, Any]:
    """Fit the page's width, take its text colour, and say in words what is seen."""
    styled = chart.properties(
        width="container", height=height, background="transparent", description=alt_text, config=_looks()
    )
    spec: dict[str, Any] = styled.to_dict(validate=schemapi.DEBUG_MODE)
    spec.pop("$schema", None)
    return spec


@contextmanager
def unchecked() -> Iterator[None]:
    """Draw without comparing each part with Vega-Lite's schema, which takes as long as the drawing.

    Tests draw every picture with it.
    """
    with schemapi.debug_mode(False):
        yield


def _looks() -> alt.Config:
    """Looks of axes, legends and numbers, all at once: each `configure_axis` would copy the whole chart."""
    return alt.Config(
        numberFormat=",~r",
        axis=alt.AxisConfig(
            labelColor=TEXT_COLOUR,
            titleColor=TEXT_COLOUR,
            domainColor=TEXT_COLOUR,
            tickColor=TEXT_COLOUR,
            gridColor=TEXT_COLOUR,
            gridOpacity=0.12,
            labelFontSize=12,
            titleFontSize=13,
            titleFontWeight="normal",
            titlePadding=8,
            labelOverlap="parity",
            labelSeparation=8,
        ),
        axisX=alt.AxisConfig(tickCount=_ticks("width", 80)),
        axisY=alt.AxisConfig(tickCount=_ticks("height", 50)),
        legend=alt.LegendConfig(labelColor=TEXT_COLOUR, titleColor=TEXT_COLOUR),
        view=alt.ViewConfig(stroke=None),
    )
