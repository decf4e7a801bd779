"""Picture: the reference prediction of each gene against its mean expression."""

from __future__ import annotations

import polars as pl

from hapsight.report import words
from hapsight.report.figure import (
    MOST_POINTS,
    Figure,
    Panel,
    gene_label,
    in_words,
    nothing,
    numbers,
    scatter,
    summary_value,
)
from hapsight.report.run_folder import Arm, RunFolder

__all__ = ["across_genes"]

_COLUMNS = {
    "gene_id": pl.String,
    "gene": pl.String,
    "predicted_reference": pl.Float64,
    "mean_expression": pl.Float64,
}


def across_genes(run: RunFolder) -> Figure:
    """One panel a model; the baseline has none, since it is trained gene by gene."""
    clouds = [(arm, _points(run, arm)) for arm in run.models]
    crowded = sum(points.height for _, points in clouds) > MOST_POINTS
    reason = "No sequence model ran, and a baseline trained gene by gene says nothing across genes."
    return Figure(
        name="across_genes",
        title="Does it know which genes are highly expressed?",
        how_to_read=(
            "One point is one gene: its prediction from the reference genome against its mean measured "
            "expression over people. Their units differ, so only their order is compared: Spearman.",
            "This is what such models were trained for. A slope here beside a centred distribution across "
            "people is the known finding: the model reads genes, not the differences between people.",
        ),
        panels=tuple(_panel(run, arm, points, crowded) for arm, points in clouds) or (nothing(reason),),
        numbers=numbers(clouds, _COLUMNS),
    )


def _points(run: RunFolder, arm: Arm) -> pl.DataFrame:
    table = arm.of(run.across_genes).drop_nulls(["predicted_reference", "mean_expression"])
    return table.select("gene_id", gene_label(), "predicted_reference", "mean_expression")


def _panel(run: RunFolder, arm: Arm, points: pl.DataFrame, crowded: bool) -> Panel:
    lacking = arm.of(run.across_genes).height - points.height
    note = (
        (f"Not shown: {words.plural(lacking, 'gene')} without prediction or expression.",) if lacking else ()
    )
    if points.is_empty():
        return Panel(
            arm.label, None, (f"No gene has both a prediction of {arm.label} and expression.", *note)
        )
    rho, n = summary_value(run, arm, "across_genes_spearman")
    caption = f"{arm.label}: Spearman {words.decimal(rho)} over {words.plural(n, 'gene')}."
    spec = scatter(
        _printable(points),
        crowded=crowded,
        x="prediction for the reference sequence",
        y="mean measured expression",
        tooltip=("gene", "prediction", "mean expression"),
        alt_text=f"Scatter of reference prediction against mean expression. {caption}",
    )
    return Panel(arm.label, spec, (caption, *note))


def _printable(points: pl.DataFrame) -> pl.DataFrame:
    return points.select(
        "gene",
        in_words("predicted_reference", words.decimal).alias("prediction"),
        in_words("mean_expression", words.decimal).alias("mean expression"),
        x="predicted_reference",
        y="mean_expression",
        strong=pl.lit(True),
    )
