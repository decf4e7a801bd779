"""Pictures of R: across genes, across people, within a person; of models beside a baseline and each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.report import charts, direction_charts, words
from hapsight.report.charts import CORRELATION_EDGES, histogram, round_edges
from hapsight.report.disclosure_rules import FEWEST
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
from hapsight.report.published import published
from hapsight.report.run_folder import Arm, RunFolder, read_table
from hapsight.stats.summary import SIGNIFICANT
from hapsight.tables import AGREEMENT

__all__ = [
    "across_genes",
    "across_people",
    "between_models",
    "model_v_baseline",
    "pair_rows",
    "within_person",
]

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
        _printable_pair(points),
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


def _printable_pair(points: pl.DataFrame) -> pl.DataFrame:
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


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two models in words; each cell is a number and what it is based on."""

    first: str
    second: str
    replicates: bool
    cells: tuple[tuple[str, str], ...]


def between_models(run: RunFolder) -> Figure | None:
    """The matrix of R of all pairs; None where there are no two models."""
    table = _pairs(run)
    if table.is_empty():
        return None
    order = [arm.label for arm in run.arms if arm.label in {*table["first"], *table["second"]}]
    drawn = table.drop_nulls("pearson_r").select(
        row="second",
        column="first",
        r="pearson_r",
        text=pl.col("pearson_r").map_elements(lambda r: words.decimal(r, 2), return_dtype=pl.String),
        genes=pl.col("n").map_elements(words.count, return_dtype=pl.String),
        R=pl.col("pearson_r").map_elements(words.decimal, return_dtype=pl.String),
        rank=pl.col("spearman_r").map_elements(words.decimal, return_dtype=pl.String),
    )
    said = "; ".join(f"{row['column']} and {row['row']}: {row['R']}" for row in drawn.iter_rows(named=True))
    lacking = table.height - drawn.height
    caption = (
        (f"{words.plural(lacking, 'pair')} without a number: too few genes in common.",) if lacking else ()
    )
    spec = None if drawn.is_empty() else direction_charts.matrix(drawn, order, alt_text=f"Matrix. {said}.")
    people = "Pearson’s correlation of per-gene R, over the genes that have R in both."
    return Figure(
        name="between_models",
        title="Do the models agree with one another?",
        how_to_read=(
            "A cell compares two models: over genes, does R of the one go with R of the other? Near 1: they "
            "know and fail at the same genes. Models that see the same variants of a gene, and are compared "
            "with the same measurements, agree to some degree even if neither knows anything.",
            "The table asks whether the genes with R < 0 in both are more than two independent lists of that "
            "length would share: the odds ratio is 1 by chance (Fisher’s exact test). Replicates: one model "
            "with other weights: where their predictions for the same people go apart, the direction comes "
            "from how the model was trained.",
        ),
        panels=(Panel("", spec, (people, *caption)),),
        numbers=table.drop("first", "second"),
    )


def pair_rows(run: RunFolder) -> list[PairRow]:
    """Pairs in the order of the run's models."""
    return [_row(row) for row in _pairs(run).iter_rows(named=True)]


def _pairs(run: RunFolder) -> pl.DataFrame:
    """``evaluation/agreement.parquet`` with the labels of both; empty where the run has none."""
    table = read_table(run.folder / "evaluation/agreement.parquet", AGREEMENT)
    table = published(run, "between_models", table)
    label = {(arm.model, arm.read_out): arm.label for arm in run.arms}
    first, second = (
        pl.Series(name, [label.get(key, key[0]) for key in table.select(columns).iter_rows()], pl.String)
        for name, columns in (("first", ("model", "read_out")), ("second", ("other_model", "other_read_out")))
    )
    return table.with_columns(first, second)


def _row(row: dict[str, Any]) -> PairRow:
    return PairRow(
        row["first"],
        row["second"],
        bool(row["replicates"]),
        (
            _with_interval(row, "pearson_r", "ci", words.decimal, words.plural(row["n"], "gene")),
            _with_interval(row, "same_sign", "same_sign_ci", words.percent, ""),
            _failures(row, "failing"),
            _failures(row, "significant_failing"),
            (
                words.decimal(row["prediction_r_median"]),
                f"quartiles {words.decimal(row['prediction_r_lower'])}, "
                f"{words.decimal(row['prediction_r_upper'])}; {words.plural(row['prediction_genes'], 'gene')}"
                if row["prediction_genes"]
                else "no gene",
            ),
        ),
    )


def _with_interval(row: dict[str, Any], name: str, bounds: str, say: Any, basis: str) -> tuple[str, str]:
    low, high = row[f"{bounds}_low"], row[f"{bounds}_high"]
    interval = f"[{say(low)}, {say(high)}]" if low is not None else ""
    return say(row[name]), " ".join(part for part in (interval, basis) if part)


def _failures(row: dict[str, Any], kind: str) -> tuple[str, str]:
    """Both fail, of each one's failures, beside chance."""
    one, other, both = (words.count(row[f"{kind}_{name}"]) for name in ("first", "second", "both"))
    low, high = row[f"{kind}_ci_low"], row[f"{kind}_ci_high"]
    if not row[f"{kind}_first"] or not row[f"{kind}_second"]:
        return f"{both} of {one} and {other}", "nothing to share"
    if row[f"{kind}_odds_ratio"] is None:
        odds = "no finite odds ratio"
    else:
        upper = "∞" if high is None else words.decimal(high, 1)
        ratio = words.decimal(row[f"{kind}_odds_ratio"], 1)
        odds = (
            f"odds ratio {ratio} [{words.decimal(low, 1)}, {upper}], p {words.p_value(row[f'{kind}_pval'])}"
        )
    return f"{both} of {one} and {other}", f"{words.decimal(row[f'{kind}_expected'], 1)} by chance; {odds}"
