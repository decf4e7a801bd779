"""Picture: the distribution of per-gene R across people, model and baseline on the same bins."""

from __future__ import annotations

import numpy as np
import polars as pl

from hapsight.report import charts, words
from hapsight.report.binning import CORRELATION_EDGES, histogram
from hapsight.report.figure import Figure, Panel, Values, colour, gene_label, median, nothing, numbers
from hapsight.report.run_folder import Arm, RunFolder

__all__ = ["across_people"]

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
        panels=tuple(_panel(run, arm) for arm in arms) or (nothing("No gene was evaluated in this run."),),
        numbers=numbers(bins, {"start": pl.Float64, "end": pl.Float64, "count": pl.Int64}),
        key=frozenset({"model"} if run.models else ()) | frozenset({"baseline"} if run.baseline else ()),
    )


def _panel(run: RunFolder, arm: Arm) -> Panel:
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
