"""Picture: within each person, the correlation over genes."""

from __future__ import annotations

import polars as pl

from hapsight.report import charts, words
from hapsight.report.binning import histogram, round_edges
from hapsight.report.figure import Figure, Panel, colour, median, nothing, numbers
from hapsight.report.run_folder import Arm, RunFolder

__all__ = ["within_person"]

_COLUMNS = {"sample_id": pl.String, "n": pl.Int64, "pearson_r": pl.Float64, "spearman_r": pl.Float64}


def within_person(run: RunFolder) -> Figure:
    """One panel a model."""
    reason = "No sequence model ran, so there is no prediction to rank within a person."
    return Figure(
        name="within_person",
        title="Within one person, are the genes in the right order?",
        how_to_read=(
            "For each person, Spearman's correlation over genes of that person's predictions with that "
            "person's expression. A bar counts people.",
            "People hardly differ in which genes are high, so a narrow hill near the across-gene value is "
            "expected; it is no evidence that the model sees personal variants.",
        ),
        panels=tuple(_panel(run, arm) for arm in run.models) or (nothing(reason),),
        numbers=numbers([(arm, arm.of(run.per_person)) for arm in run.models], _COLUMNS),
    )


def _panel(run: RunFolder, arm: Arm) -> Panel:
    values = arm.of(run.per_person).get_column("spearman_r").drop_nulls().to_numpy()
    if not len(values):
        return Panel(arm.label, None, (f"No person has a correlation over genes for {arm.label}.",))
    caption = (
        f"{arm.label}: {words.plural(len(values), 'people')}, median {words.decimal(median(values))}, "
        f"from {words.decimal(float(values.min()))} to {words.decimal(float(values.max()))}."
    )
    spec = charts.distribution(
        histogram(values, round_edges(values)),
        None,
        [(median(values), colour(arm))],
        axis="Spearman over genes, per person",
        unit="people",
        zero=False,
        alt_text=f"Histogram of the correlation over genes within each person. {caption}",
    )
    return Panel(arm.label, spec, (caption,))
