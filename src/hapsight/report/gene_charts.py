"""Vega-Lite specifications of a gene page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import altair as alt
import polars as pl

from hapsight.report.charts import MODEL_COLOUR, TEXT_COLOUR, finish, inline, zero_rule

__all__ = ["GENOTYPE_COLOURS", "box", "effects", "groups", "means", "people", "slopes"]

GENOTYPE_COLOURS: Final = ("#7d8fa3", "#b87900", "#c2185b")
"""Of 0, 1 and 2 ALT alleles."""

_SHAPES: Final = ("circle", "square", "triangle-up")
_LD_COLOURS: Final = ("#8fb4d9", "#e69f00", "#b3123f")
"""From r² 0 to 1."""
_BEYOND: Final = "#8a8a8a"
_AXIS_WIDTH: Final = 58
"""Of both panels of variants, so that their x axes are one."""
_X: Final = "distance to the TSS, bp, in the direction of transcription"
_SLOPE_TITLE: Final = ("eQTL slope of ALT", "(expression per allele)")
_TOOLTIP: Final = ("variant", "distance", "effect", "spread", "slope", "P", "r2", "AF")


def people(
    points: pl.DataFrame, line: pl.DataFrame, genotypes: Sequence[str], *, y: str, alt_text: str
) -> dict[str, Any]:
    """Observed against predicted, a point a person.

    Parameters
    ----------
    points
        ``predicted, observed, alleles``, the last one of `genotypes`, in words.
    line
        ``predicted, observed`` of the two ends of the least-squares line; empty where there is none.
    """
    chart = (
        alt.Chart(inline(points))
        .mark_point(size=36, filled=True, opacity=0.75)
        .encode(
            x=alt.X("predicted:Q", title="predicted", scale=alt.Scale(zero=False)),
            y=alt.Y("observed:Q", title=y, scale=alt.Scale(zero=False)),
            color=_genotype(genotypes),
            shape=alt.Shape("alleles:N", legend=None, scale=_by_genotype(genotypes, _SHAPES)),
        )
    )
    return finish(alt.layer(chart, *_trend(line)), 300, alt_text)


def groups(points: pl.DataFrame, line: pl.DataFrame, *, y: str, alt_text: str) -> dict[str, Any]:
    """Groups of people, a point a group.

    Parameters
    ----------
    points
        ``predicted, value, low, high, n``.
    line
        As in `people`.
    """
    across = alt.X("predicted:Q", title="predicted", scale=alt.Scale(zero=False))
    return finish(alt.layer(*_means(points, across, y, MODEL_COLOUR), *_trend(line)), 300, alt_text)


def means(points: pl.DataFrame, column: str, genotypes: Sequence[str], *, alt_text: str) -> dict[str, Any]:
    """Mean and spread by genotype.

    Parameters
    ----------
    points
        ``alleles`` (of `genotypes`, in words), ``value, low, high, n``.
    column
        Title of the y axis.
    """
    across = alt.X("alleles:N", title=None, sort=list(genotypes), axis=alt.Axis(labelAngle=0))
    return finish(alt.layer(*_means(points, across, column, _genotype(genotypes))), 300, alt_text)


def _means(points: pl.DataFrame, across: Any, y: str, colour: Any) -> list[Any]:
    """A point for each mean, with a line from low to high."""
    rows = alt.Chart(inline(points))
    shown = colour if not isinstance(colour, str) else alt.ColorValue(colour)
    first = alt.Tooltip("alleles:N") if "alleles" in points.columns else alt.Tooltip("predicted:Q")
    spread = [
        alt.Tooltip(f"{name}:Q", title=f"mean {sign} SD") for name, sign in (("low", "−"), ("high", "+"))
    ]
    tooltip = [first, alt.Tooltip("value:Q", title="mean"), *spread, alt.Tooltip("n:Q", title="people")]
    lines = rows.mark_rule(opacity=0.7, strokeWidth=1.6).encode(
        x=across, y=alt.Y("low:Q", title=y, scale=alt.Scale(zero=False)), y2=alt.Y2("high:Q"), color=shown
    )
    dots = rows.mark_circle(size=80, opacity=1).encode(
        x=across, y=alt.Y("value:Q"), color=shown, tooltip=tooltip
    )
    return [lines, dots]


def _trend(line: pl.DataFrame) -> list[Any]:
    """The least-squares line, where there is one."""
    if line.is_empty():
        return []
    chart = alt.Chart(inline(line)).mark_line(color=TEXT_COLOUR, strokeWidth=1.6, strokeDash=[6, 4])
    return [chart.encode(x=alt.X("predicted:Q"), y=alt.Y("observed:Q"))]


def box(points: pl.DataFrame, column: str, genotypes: Sequence[str], *, alt_text: str) -> dict[str, Any]:
    """Boxes of one column of `points` (as in `people`) by genotype."""
    chart = (
        alt.Chart(inline(points.select(column, "alleles")))
        .mark_boxplot(
            size=26, extent=1.5, outliers={"size": 12, "filled": True}, median={"color": TEXT_COLOUR}
        )
        .encode(
            x=alt.X("alleles:N", title=None, sort=list(genotypes), axis=alt.Axis(labelAngle=0)),
            y=alt.Y(f"{column}:Q", title=column, scale=alt.Scale(zero=False)),
            color=_genotype(genotypes),
        )
    )
    return finish(alt.layer(chart), 300, alt_text)


def effects(
    variants: pl.DataFrame, domain: tuple[int, int], *, units: str, alone: bool, alt_text: str
) -> dict[str, Any]:
    """ISM effect of each variant of the window by place, with its spread over backgrounds.

    Parameters
    ----------
    variants
        ``x, y, low, high, r2, marked`` and the columns of the tooltip, which are text.
    domain
        Ends of the x axis.
    units
        Of the effects.
    alone
        Whether no picture of the slopes, with the same x axis, is below.
    """
    legend = alt.Legend(
        orient="top", title="r² to the marked variant", gradientLength=140, titleOrient="left", titleLimit=220
    )
    layers = [
        zero_rule("y"),
        _tss(),
        *_dots(variants, domain, ("ISM effect of ALT", f"({units})"), legend, alone),
        *_name(variants, domain),
    ]
    return finish(alt.layer(*layers), 180, alt_text)


def slopes(
    variants: pl.DataFrame,
    beyond: pl.DataFrame,
    domain: tuple[int, int],
    edges: Sequence[int],
    *,
    alt_text: str,
) -> dict[str, Any]:
    """EQTL slope of each variant by place, with its interval; those `beyond` the model's window are grey.

    Parameters
    ----------
    variants, beyond
        As in `effects`.
    edges
        Ends of the model's window.
    """
    rules = (
        alt.Chart(alt.InlineData(values=[{"edge": edge} for edge in edges]))
        .mark_rule(color=TEXT_COLOUR, strokeDash=[3, 3], opacity=0.6)
        .encode(x=alt.X("edge:Q", scale=_place(domain)))
    )
    layers = [zero_rule("y"), _tss(), rules]
    if len(beyond):
        layers += _grey(beyond, domain)
    if len(variants):
        layers += _dots(variants, domain, _SLOPE_TITLE, None, True)
    return finish(alt.layer(*layers), 210, alt_text)


def _dots(
    variants: pl.DataFrame, domain: tuple[int, int], title: Sequence[str], legend: Any, titled: bool
) -> list[Any]:
    """Intervals, dots coloured by r², and the marked variant as a diamond on top."""
    x, y = _axes(domain, title, titled)
    colour = alt.ColorValue(
        **alt.condition(
            "isValid(datum.r2_value)",
            alt.Color(
                "r2_value:Q",
                scale=alt.Scale(domain=[0, 0.5, 1], range=list(_LD_COLOURS), interpolate="rgb"),
                legend=legend,
            ),
            alt.value(_BEYOND),
        )
    )
    tooltip = [alt.Tooltip(f"{name}:N") for name in _TOOLTIP]
    plain, marked = (
        alt.Chart(inline(variants.filter(pl.col("marked") == is_marked))) for is_marked in (False, True)
    )
    return [
        _intervals(variants, x, title),
        plain.mark_circle(size=60, opacity=1, stroke=TEXT_COLOUR, strokeWidth=0.8).encode(
            x=x, y=y, color=colour, tooltip=tooltip
        ),
        marked.mark_point(
            shape="diamond", size=230, filled=True, opacity=1, stroke=TEXT_COLOUR, strokeWidth=1.5
        ).encode(x=x, y=y, color=colour, tooltip=tooltip),
    ]


def _name(variants: pl.DataFrame, domain: tuple[int, int]) -> list[Any]:
    """The marked variant's name, on the side of it that has more room."""
    marked = variants.filter("marked")
    if marked.is_empty():
        return []
    left = marked["x"][0] < sum(domain) / 2
    text = alt.Chart(inline(marked)).mark_text(
        align="left" if left else "right",
        dx=13 if left else -13,
        fontWeight=600,
        color=TEXT_COLOUR,
        limit=180,
    )
    return [text.encode(x=alt.X("x:Q", scale=_place(domain)), y=alt.Y("y:Q"), text=alt.Text("variant:N"))]


def _intervals(variants: pl.DataFrame, x: Any, title: Sequence[str]) -> Any:
    rules = alt.Chart(inline(variants.drop_nulls(["low", "high"])))
    return rules.mark_rule(color=TEXT_COLOUR, opacity=0.35).encode(
        x=x, y=alt.Y("low:Q", title=list(title)), y2=alt.Y2("high:Q")
    )


def _grey(beyond: pl.DataFrame, domain: tuple[int, int]) -> list[Any]:
    x, y = _axes(domain, _SLOPE_TITLE, True)
    return [
        alt.Chart(inline(beyond.drop_nulls(["low", "high"])))
        .mark_rule(color=_BEYOND, opacity=0.35)
        .encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        alt.Chart(inline(beyond))
        .mark_circle(size=40, color=_BEYOND, opacity=0.9)
        .encode(x=x, y=y, tooltip=[alt.Tooltip(f"{n}:N") for n in ("variant", "distance", "slope", "P")]),
    ]


def _axes(domain: tuple[int, int], title: Sequence[str], titled: bool) -> tuple[Any, Any]:
    axis = alt.Axis(minExtent=_AXIS_WIDTH, maxExtent=_AXIS_WIDTH, tickCount=5)
    return (
        alt.X("x:Q", title=_X if titled else None, scale=_place(domain), axis=alt.Axis(format=",d")),
        alt.Y("y:Q", title=list(title), axis=axis),
    )


def _place(domain: tuple[int, int]) -> alt.Scale:
    return alt.Scale(domain=list(domain), nice=False, zero=False)


def _tss() -> Any:
    rule = alt.Chart(alt.InlineData(values=[{"tss": 0}]))
    return rule.mark_rule(color=TEXT_COLOUR, opacity=0.55).encode(x=alt.X("tss:Q"))


def _genotype(genotypes: Sequence[str]) -> Any:
    return alt.Color("alleles:N", legend=None, scale=_by_genotype(genotypes, GENOTYPE_COLOURS))


def _by_genotype(genotypes: Sequence[str], values: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(genotypes), range=list(values[: len(genotypes)]))
