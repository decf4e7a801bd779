"""Picture and table: R of every model beside R of every other, and the genes that both fail.

Picture: per-gene R of the model against per-gene R of the baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.report import direction_charts, words
from hapsight.report.figure import MOST_POINTS, Figure, Panel, gene_label, in_words, nothing, numbers, scatter
from hapsight.report.run_folder import Arm, RunFolder, read_table
from hapsight.report.shown_genes import published
from hapsight.stats.summary import SIGNIFICANT
from hapsight.tables import AGREEMENT

__all__ = ["PairRow", "between_models", "model_v_baseline", "pair_rows"]

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
    named = [
        [label.get((row[0], row[1]), row[0]) for row in table.select(*columns).iter_rows()]
        for columns in (("model", "read_out"), ("other_model", "other_read_out"))
    ]
    first, second = (
        pl.Series(name, values, dtype=pl.String)
        for name, values in zip(("first", "second"), named, strict=True)
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
