"""Picture: per-gene R of the model against per-gene R of the baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.summary import SIGNIFICANT
from hapsight.report import words
from hapsight.report.figure import MOST_POINTS, Figure, Panel, gene_label, in_words, nothing, numbers, scatter
from hapsight.report.run_folder import Arm, RunFolder

__all__ = ["model_v_baseline"]

_COLUMNS = {
    "gene_id": pl.String,
    "gene": pl.String,
    "baseline_r": pl.Float64,
    "model_r": pl.Float64,
    "qval": pl.Float64,
}


def model_v_baseline(run: RunFolder) -> Figure:
    """One panel a model; points are the genes that have R in both."""
    baseline = run.baseline
    arms = () if baseline is None else run.models
    pairs = [(arm, _paired(run.per_gene, arm, baseline)) for arm in arms if baseline]
    crowded = sum(points.height for _, points in pairs) > MOST_POINTS
    if baseline is None:
        panels: tuple[Panel, ...] = (nothing("No baseline ran, so there is nothing to compare with."),)
    else:
        panels = tuple(
            _panel(run, arm, baseline, points, _paired(run.counted, arm, baseline), crowded)
            for arm, points in pairs
        )
    return Figure(
        name="model_v_baseline",
        title="Where the DNA is informative, does the model agree?",
        how_to_read=(
            "One point is one gene. To the right: the baseline, trained on other people of this cohort, "
            "predicts it, so the variants do carry information. Up: the sequence model predicts it.",
            "Genes at the lower right can be predicted from DNA, but the model has their sign wrong. "
            "Hold the pointer over a point for its name. With many genes the picture is a heat map: "
            "the darker a cell, the more genes.",
        ),
        panels=panels or (nothing("No sequence model ran, so there is nothing to compare."),),
        numbers=numbers(pairs, _COLUMNS),
        key=frozenset() if crowded or not pairs else frozenset({"strong"}),
    )


def _paired(per_gene: pl.DataFrame, arm: Arm, baseline: Arm) -> pl.DataFrame:
    other = baseline.of(per_gene).select("gene_id", baseline_r="pearson_r")
    mine = arm.of(per_gene).select("gene_id", gene_label(), "n", "qval", model_r="pearson_r")
    return mine.join(other, on="gene_id", how="inner", maintain_order="left").drop_nulls(
        ["baseline_r", "model_r"]
    )


def _panel(
    run: RunFolder, arm: Arm, baseline: Arm, points: pl.DataFrame, counted: pl.DataFrame, crowded: bool
) -> Panel:
    """`points` are drawn; `counted`, the same in full digits, is counted only."""
    if points.is_empty():
        return Panel(arm.label, None, (f"No gene has R in both {arm.label} and {baseline.label}.",))
    x, y = counted.get_column("baseline_r").to_numpy(), counted.get_column("model_r").to_numpy()
    mean_x, mean_y = (words.decimal(_mean(run, values)) for values in (x, y))
    means = (
        f"{words.plural(len(x), 'gene')} with R in both. On these, mean R is "
        f"{mean_x} for {baseline.label} and {mean_y} for {arm.label}."
    )
    spec = scatter(
        _printable(points),
        crowded=crowded,
        x=f"R of {baseline.label}",
        y=f"R of {arm.label}",
        tooltip=("gene", "R of baseline", "R of model", "people", "q"),
        cross=True,
        alt_text=f"Scatter of per-gene R of {arm.label} against {baseline.label}. {means} {_quadrants(x, y)}",
    )
    return Panel(arm.label, spec, (means, _quadrants(x, y)))


def _mean(run: RunFolder, values: NDArray[np.float64]) -> float:
    value = float(values.mean())
    return value if run.disclosure is None else run.disclosure.correlation(value, len(values))


def _quadrants(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Genes by the signs of the baseline's R (`x`) and the model's (`y`), in words."""
    counted = {
        "both right (R > 0)": (x > 0) & (y > 0),
        "only the baseline right": (x > 0) & (y < 0),
        "only the model right": (x < 0) & (y > 0),
        "both wrong": (x < 0) & (y < 0),
    }
    parts = [f"{title}: {words.count(int(mask.sum()))}" for title, mask in counted.items()]
    zero = int(((x == 0) | (y == 0)).sum())
    return f"Genes by sign: {'; '.join(parts)}{f'; one R exactly 0: {words.count(zero)}' if zero else ''}."


def _printable(points: pl.DataFrame) -> pl.DataFrame:
    """Prepare the points for a chart: positions, whether filled, and tooltips in words."""
    text: dict[str, tuple[str, Callable[[Any], str]]] = {
        "R of baseline": ("baseline_r", words.decimal),
        "R of model": ("model_r", words.decimal),
    }
    text |= {"people": ("n", words.count), "q": ("qval", words.p_value)}
    return points.select(
        "gene",
        x="baseline_r",
        y="model_r",
        strong=(pl.col("qval") < SIGNIFICANT).fill_null(False),
        **{name: in_words(column, say) for name, (column, say) in text.items()},
    )
