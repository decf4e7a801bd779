"""Picture: within each person, the correlation over genes.

Picture: the reference prediction of each gene against its mean expression.

Picture: the distribution of per-gene R across people, model and baseline on the same bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from hapsight.report import charts, words
from hapsight.report.charts import CORRELATION_EDGES, histogram, round_edges
from hapsight.report.disclosure import FEWEST
from hapsight.report.figure import (
    MOST_POINTS,
    Figure,
    Panel,
    Values,
    colour,
    gene_label,
    in_words,
    median,
    nothing,
    numbers,
    scatter,
    summary_value,
)
from hapsight.report.run_folder import Arm, RunFolder
from hapsight.report.shown_genes import published

__all__ = ["across_genes", "across_people", "within_person"]

_GENE_COLUMNS = {
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
        panels=tuple(_genes_panel(run, arm, points, crowded) for arm, points in clouds) or (nothing(reason),),
        numbers=numbers(clouds, _GENE_COLUMNS),
    )


def _points(run: RunFolder, arm: Arm) -> pl.DataFrame:
    table = arm.of(run.across_genes).drop_nulls(["predicted_reference", "mean_expression"])
    return table.select("gene_id", gene_label(), "predicted_reference", "mean_expression")


def _genes_panel(run: RunFolder, arm: Arm, points: pl.DataFrame, crowded: bool) -> Panel:
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


_NAMED_IN_CAPTION = 12


def across_people(run: RunFolder) -> Figure:
    """One panel a model, each with the baseline's outline; the baseline alone where no model ran."""
    arms = run.models or run.arms[:1]
    bins = [(arm, histogram(_tested(run, arm), CORRELATION_EDGES)) for arm in run.arms]
    return Figure(
        name="across_people",
        title="Does it know who expresses a gene more?",
        how_to_read=(
            "For each gene, R is Pearson's correlation of predicted with measured expression over people. "
            "A bar counts the genes whose R falls into that interval: 0.05 wide, the same for all.",
            "A model that knows nothing of direction is centred on 0, half of its genes on either side. "
            "Mass right of the zero line is knowledge. Genes far to the left are those in which the model "
            "responds to the variants, but in the wrong direction.",
        ),
        panels=tuple(_people_panel(run, arm) for arm in arms)
        or (nothing("No gene was evaluated in this run."),),
        numbers=numbers(bins, {"start": pl.Float64, "end": pl.Float64, "count": pl.Int64}),
        key=frozenset({"model"} if run.models else ()) | frozenset({"baseline"} if run.baseline else ()),
    )


def _people_panel(run: RunFolder, arm: Arm) -> Panel:
    arms = [arm] if arm.is_baseline or run.baseline is None else [arm, run.baseline]
    left_out = [entry for each in arms for entry in _not_tested(run, each)]
    missing = tuple(_missing_sentence(title, names) for title, names in left_out)
    long = tuple((title, names) for title, names in left_out if len(names) > _NAMED_IN_CAPTION)
    drawn = [(each, values) for each in arms if len(values := _tested(run, each))]
    if not drawn:
        return Panel(arm.label, None, ("No gene has a correlation across people.", *missing), long)
    sentences = tuple(_sentence(run, each, values) for each, values in drawn)
    bins = {each.is_baseline: histogram(values, CORRELATION_EDGES) for each, values in drawn}
    spec = charts.distribution(
        bins.get(False),
        bins.get(True),
        [(_median(run, values), colour(each)) for each, values in drawn],
        axis="R across people, per gene",
        unit="genes",
        zero=True,
        alt_text=f"Histogram of per-gene correlation across people. {' '.join(sentences)}",
    )
    return Panel(arm.label, spec, (*sentences, *missing), long)


def _median(run: RunFolder, values: Values) -> float:
    """Of an odd number of genes it is the R of one, and so has no more digits than that may have."""
    value = median(values)
    return value if run.disclosure is None else run.disclosure.correlation(value)


def _sentence(run: RunFolder, arm: Arm, values: Values) -> str:
    return (
        f"{arm.label}: {words.plural(len(values), 'gene')}, median R {words.decimal(_median(run, values))}, "
        f"{words.percent(float(np.mean(values < 0)))} below 0."
    )


def _missing_sentence(title: str, names: tuple[str, ...]) -> str:
    return (
        f"Not in the picture, {title} ({words.count(len(names))}): {words.listed(names, _NAMED_IN_CAPTION)}."
    )


def _tested(run: RunFolder, arm: Arm) -> Values:
    return arm.of(run.counted).get_column("pearson_r").drop_nulls().to_numpy()


def _not_tested(run: RunFolder, arm: Arm) -> list[tuple[str, tuple[str, ...]]]:
    """Genes without R, by reason: ``"<model>: <reason>"`` and their names."""
    table = arm.of(run.per_gene).filter(pl.col("pearson_r").is_null())
    groups = table.group_by("status", maintain_order=True).agg(gene_label()).sort("status")
    return [(f"{arm.label}: {_reason(status)}", tuple(genes)) for status, genes in groups.iter_rows()]


def _reason(status: str | None) -> str:
    return "no correlation given" if status in (None, "ok") else words.status(status)


_PERSON_COLUMNS = {"sample_id": pl.String, "n": pl.Int64, "pearson_r": pl.Float64, "spearman_r": pl.Float64}
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
        panels=tuple(_person_panel(run, arm, own) for arm, own in bars) or (nothing(reason),),
        numbers=numbers(bars, _BARS)
        if run.disclosure
        else numbers([(arm, arm.of(run.per_person)) for arm in run.models], _PERSON_COLUMNS),
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
    return published(run, "within_person", _merged(bins))


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


def _person_panel(run: RunFolder, arm: Arm, bars: pl.DataFrame) -> Panel:
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
