"""Vega-Lite specifications of the seed figure, of shares in strata, and of a matrix of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import polars as pl

from hapsight.report.charts import MODEL_COLOUR, TEXT_COLOUR, at_height, finish, grid, inline, zero_rule

__all__ = ["RIGHT_COLOUR", "WRONG_COLOUR", "coloured", "fitted", "matrix", "shares"]

RIGHT_COLOUR: Final = MODEL_COLOUR
WRONG_COLOUR: Final = "#b5508f"

_HEIGHT: Final = 360
_X: Final = "−log₁₀ P of the gene’s top eQTL"
_Y: Final = "R across people"
_WRONG_SHAPE: Final = "triangle-down"


def coloured(
    points: pl.DataFrame, *, colour: str, mark: float, tooltip: Sequence[str], alt_text: str
) -> dict[str, Any]:
    """Scatter with a colour scale and a vertical line.

    Parameters
    ----------
    points
        ``x, y, colour`` (numbers; a point without colour is hollow) and the columns of `tooltip`.
    colour
        What the colour is.
    mark
        Place of the vertical line, ``P = 0.05``.
    """
    drawn = (
        alt.Chart(inline(points))
        .mark_point(filled=True, size=44, opacity=0.9, stroke=TEXT_COLOUR, strokeWidth=0.8)
        .encode(
            x=alt.X("x:Q", title=_X, scale=alt.Scale(zero=True)),
            y=alt.Y("y:Q", title=_Y),
            color=alt.Color(
                "colour:Q",
                title=colour,
                scale=alt.Scale(scheme="viridis"),
                legend=alt.Legend(orient="top", gradientLength=180, titleLimit=300),
            ),
            tooltip=_tooltips(tooltip),
        )
    )
    line = _mark(mark)
    return finish(alt.layer(zero_rule("y"), *line, drawn), _HEIGHT, alt_text)


def fitted(
    points: pl.DataFrame,
    lines: pl.DataFrame,
    *,
    mark: float,
    crowded: bool,
    tooltip: Sequence[str],
    alt_text: str,
) -> dict[str, Any]:
    """Scatter, genes with R > 0 and with R < 0 apart, each with its line; cells where `crowded`.

    Parameters
    ----------
    points
        ``x, y`` and the columns of `tooltip`.
    lines
        ``x, x_end, y, y_end, right``: the ends of each line, and whether it is that of R > 0.
    """
    drawn = _cells(points) if crowded else _signed(points, tooltip)
    segments = [
        alt.Chart(inline(lines.filter(pl.col("right") == right)))
        .mark_rule(color=RIGHT_COLOUR if right else WRONG_COLOUR, strokeWidth=3)
        .encode(x=alt.X("x:Q"), x2=alt.X2("x_end:Q"), y=alt.Y("y:Q"), y2=alt.Y2("y_end:Q"))
        for right in (True, False)
    ]
    return finish(alt.layer(zero_rule("y"), *_mark(mark), drawn, *segments), _HEIGHT, alt_text)


def _tooltips(names: Sequence[str]) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:N", title=name) for name in names]


def _mark(place: float) -> list[Any]:
    base = alt.Chart(alt.InlineData(values=[{"place": place, "text": "P = 0.05"}]))
    return [
        base.mark_rule(color=TEXT_COLOUR, strokeDash=[5, 4], opacity=0.7).encode(x=alt.X("place:Q")),
        base.mark_text(color=TEXT_COLOUR, align="left", dx=4, fontSize=12).encode(
            x=alt.X("place:Q"), y=at_height(8), text=alt.Text("text:N")
        ),
    ]


_SIGNS: Final = (("R > 0", RIGHT_COLOUR, "circle"), ("R < 0", WRONG_COLOUR, _WRONG_SHAPE))
_NO_SIGN: Final = ("R is shown as 0", TEXT_COLOUR, "diamond")


def _signed(points: pl.DataFrame, tooltip: Sequence[str]) -> Any:
    names, colours, shapes = (list(part) for part in zip(*_SIGNS, _NO_SIGN, strict=True))
    y = pl.col("y")
    sign = (
        pl.when(y > 0).then(pl.lit(names[0])).when(y < 0).then(pl.lit(names[1])).otherwise(pl.lit(names[2]))
    )
    return (
        alt.Chart(inline(points.with_columns(sign=sign)))
        .mark_point(filled=True, size=60, opacity=0.75)
        .encode(
            x=alt.X("x:Q", title=_X, scale=alt.Scale(zero=True)),
            y=alt.Y("y:Q", title=_Y),
            color=alt.Color("sign:N", scale=alt.Scale(domain=names, range=colours), legend=None),
            shape=alt.Shape("sign:N", scale=alt.Scale(domain=names, range=shapes), legend=None),
            tooltip=_tooltips(tooltip),
        )
    )


def _cells(points: pl.DataFrame) -> Any:
    cells = grid(points["x"].to_numpy(), points["y"].to_numpy())
    return (
        alt.Chart(inline(cells))
        .mark_rect(color=TEXT_COLOUR)
        .encode(
            x=alt.X("x:Q", title=_X),
            x2=alt.X2("x_end:Q"),
            y=alt.Y("y:Q", title=_Y),
            y2=alt.Y2("y_end:Q"),
            opacity=alt.Opacity("count:Q", scale=alt.Scale(type="log", range=[0.12, 0.7]), legend=None),
            tooltip=[alt.Tooltip("count:Q", title="genes")],
        )
    )


def shares(
    rows: pl.DataFrame, strata: Sequence[str], colours: Mapping[str, str], *, alt_text: str
) -> dict[str, Any]:
    """Shares with intervals, one line per stratum and model, beside the line of a coin.

    Parameters
    ----------
    rows
        ``stratum, arm`` (text), ``share, low, high`` (0 to 1) and the tooltips ``genes, right, mean R``.
    strata
        From top to bottom.
    colours
        Arm -> colour, in the order in which they are drawn.
    """
    arms = list(colours)
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y("stratum:N", sort=list(strata), title=None, axis=alt.Axis(labelLimit=150)),
        yOffset=alt.YOffset("arm:N", sort=arms),
        color=alt.Color("arm:N", scale=alt.Scale(domain=arms, range=list(colours.values())), legend=None),
        tooltip=_tooltips(("arm", "stratum", "genes", "right", "mean R")),
    )
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1])
    interval = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="genes with R > 0 (95 % interval)", scale=scale, axis=axis),
        x2=alt.X2("high:Q"),
    )
    dot = base.mark_point(filled=True, size=50, opacity=1).encode(x=alt.X("share:Q", scale=scale))
    coin = (
        alt.Chart(alt.InlineData(values=[{"coin": 0.5}]))
        .mark_rule(color=TEXT_COLOUR, strokeDash=[5, 4], opacity=0.7)
        .encode(x=alt.X("coin:Q"))
    )
    height = len(strata) * max(26, 15 * len(arms)) + 10
    return finish(alt.layer(coin, interval, dot), height, alt_text)


def matrix(cells: pl.DataFrame, order: Sequence[str], *, alt_text: str) -> dict[str, Any]:
    """A square of correlations, each written into its cell.

    Parameters
    ----------
    cells
        ``row, column`` (text), ``r`` (-1 to 1), ``text`` and the tooltips ``genes, R, rank``.
    order
        Names of rows, and columns, from the upper left.
    """
    axis = alt.Axis(labelLimit=130, labelAngle=-35, labelOverlap=False, orient="bottom")
    base = alt.Chart(inline(cells)).encode(
        x=alt.X("column:N", sort=list(order[:-1]), title=None, axis=axis),
        y=alt.Y("row:N", sort=list(order[1:]), title=None, axis=alt.Axis(labelLimit=130)),
        tooltip=_tooltips(("row", "column", "genes", "R", "rank")),
    )
    tile = base.mark_rect().encode(
        color=alt.Color(
            "r:Q", scale=alt.Scale(scheme="blueorange", domain=[-1, 1], reverse=True), legend=None
        )
    )
    strong = "abs(datum.r) > 0.75"
    number = base.mark_text(fontSize=13).encode(
        text=alt.Text("text:N"),
        color=alt.ColorValue(**alt.condition(strong, alt.value("#ffffff"), alt.value("#1b1f24"))),
    )
    return finish(alt.layer(tile, number), 44 * (len(order) - 1) + 10, alt_text)
