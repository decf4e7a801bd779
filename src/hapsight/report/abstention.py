"""Picture: what is gained where a model is believed only in the genes in which it is surest."""

from __future__ import annotations

from typing import Any, Final

import altair as alt
import numpy as np
import polars as pl

from hapsight.evaluate.direction import share_true
from hapsight.explain.reliability_quality import abstention
from hapsight.explain_tables import RELIABILITY
from hapsight.report import words
from hapsight.report.charts import BASELINE_COLOUR, MODEL_COLOUR, TEXT_COLOUR, finish, inline
from hapsight.report.figure import Figure, Panel, numbers
from hapsight.report.run_folder import Arm, RunFolder, read_table

__all__ = ["abstention_figure"]

_POINTS: Final = 200
"""Points of a curve at most; its ends are among them."""
_COLUMNS: Final = {
    "kept": pl.Float64,
    "n": pl.Int64,
    "share_right": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "base_rate": pl.Float64,
}
_HEIGHT: Final = 300


def abstention_figure(run: RunFolder) -> Figure | None:
    """One panel an arm; None where no gene has a probability."""
    table = read_table(run.folder / "explain/reliability.parquet", RELIABILITY)
    known = table.filter(pl.col("probability").is_not_null())
    known = known if run.disclosure is None else run.disclosure.without_hanging(known)
    curves = [
        (arm, run.published("abstention", _curve(own)))
        for arm in run.arms
        if not (own := arm.of(known)).is_empty()
    ]
    if not curves:
        return None
    return Figure(
        name="abstention",
        title="Is it right where it is surest?",
        how_to_read=(
            "Genes are sorted by the estimated probability that the model’s sign is right, which needs no "
            "expression of the gene itself. To the left, only the surest genes get an answer; at the right "
            "end all do. Up: the share of these whose sign is right.",
            "The dashed line is the share right among all genes. A curve that falls to it from the left says "
            "that the probabilities find genes in which the model can be believed; one that stays at the "
            "line, that they do not. The shade is the 95 % Wilson interval of each point by itself: the far "
            "left end is made of few genes, and neighbouring points share most of theirs.",
        ),
        panels=tuple(_panel(arm, curve) for arm, curve in curves),
        numbers=numbers(curves, _COLUMNS),
    )


def _curve(genes: pl.DataFrame) -> pl.DataFrame:
    """Rows of `_COLUMNS` from G genes with a probability, the surest first."""
    ordered = genes.sort("probability", descending=True, maintain_order=True)
    right = ordered["sign_right"].to_numpy()
    kept = abstention(ordered["probability"].to_numpy(), right).kept
    places = np.unique(np.linspace(0, len(kept) - 1, min(_POINTS, len(kept))).round().astype(int))
    rows = []
    for place in places:
        n = round(kept[place] * len(right))
        found = share_true(right[:n])
        rows.append((kept[place], n, found.value, found.ci_low, found.ci_high, float(right.mean())))
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def _panel(arm: Arm, curve: pl.DataFrame) -> Panel:
    every = curve.row(-1, named=True)
    quarter = curve.row(int((curve["kept"] - 0.25).abs().arg_min() or 0), named=True)
    caption = (
        f"{arm.label}: of the {words.plural(quarter['n'], 'surest gene')} "
        f"({words.percent(quarter['kept'])}), {words.percent(quarter['share_right'])} "
        f"[{words.percent(quarter['ci_low'])}, {words.percent(quarter['ci_high'])}] have the right sign; "
        f"of all {words.count(every['n'])}, {words.percent(every['base_rate'])}."
    )
    colour = BASELINE_COLOUR if arm.is_baseline else MODEL_COLOUR
    return Panel(arm.label, _spec(curve, colour, caption), (caption,))


def _spec(curve: pl.DataFrame, colour: str, alt_text: str) -> dict[str, Any]:
    """Curve with its interval, beside the line of the base rate; a step is genes of equal probability."""
    shown = curve.with_columns(
        pl.col("share_right").map_elements(words.percent, return_dtype=pl.String).alias("right"),
        pl.col("n").map_elements(words.count, return_dtype=pl.String).alias("genes"),
    )
    share = alt.Scale(domain=[0, 1])
    base = alt.Chart(inline(shown)).encode(
        x=alt.X("kept:Q", title="genes that get an answer", axis=alt.Axis(format=".0%"), scale=share)
    )
    title = "of these, sign right"
    band = base.mark_area(color=colour, opacity=0.2, interpolate="step-before").encode(
        y=alt.Y("ci_low:Q", title=title, axis=alt.Axis(format=".0%"), scale=share), y2="ci_high:Q"
    )
    line = base.mark_line(color=colour, strokeWidth=2, interpolate="step-before").encode(
        y=alt.Y("share_right:Q", title=title)
    )
    points = base.mark_point(color=colour, filled=True, size=40, opacity=0).encode(
        y=alt.Y("share_right:Q", title=title),
        tooltip=[alt.Tooltip(f"{name}:N", title=name) for name in ("genes", "right")],
    )
    rate = (
        alt.Chart(alt.InlineData(values=[{"rate": curve["base_rate"][0]}]))
        .mark_rule(color=TEXT_COLOUR, strokeDash=[5, 4], opacity=0.7)
        .encode(y=alt.Y("rate:Q", title=title))
    )
    return finish(alt.layer(rate, band, line, points), _HEIGHT, alt_text)
