"""Picture: mean R in the four cells of training on people, arm beside arm."""

from __future__ import annotations

from typing import Any, Final

import altair as alt
import polars as pl

from hapsight.report import words
from hapsight.report.charts import BASELINE_COLOUR, MODEL_COLOUR, TEXT_COLOUR, finish, zero_rule
from hapsight.report.figure import Figure, Panel
from hapsight.report.run_folder import RunFolder
from hapsight.report.training_table import ceilings, four_cells
from hapsight.train_tables import CELLS

__all__ = ["HOW_TO_READ", "training_figure"]

_COLOURS: Final = {"trained": MODEL_COLOUR, "untouched": "#7a7a7a", "linear": BASELINE_COLOUR}
_KINDS: Final = {
    "trained": "trained on people",
    "untouched": "the model as it was",
    "linear": "linear baseline",
}
_X: Final = "mean R (95 % interval)"
_NONE: Final = "no number"

HOW_TO_READ: Final = (
    "Modes: untouched, the model as it was; full, all parameters are trained; frozen, only those behind "
    "the local layers; lora, low-rank additions. With random init training begins without what the model "
    "had learnt from the reference. A number of people is that of the training.",
    "The interval of mean R is for other genes and, where there are several seeds, for other seeds: it "
    "widens by how much a training differs from the next. With one seed it says nothing of that. All arms "
    "are judged on the same genes and people, so intervals may overlap where one arm is better in almost "
    "every gene. A training that ended with one prediction for everybody is called constant, and its R "
    "count as 0 beside those of other seeds. A gene in which an arm predicts the same for everybody, such as "
    "one in which elastic net finds nothing, is left out of the mean, which flatters that arm; “over all” "
    "counts its R as 0.",
    "Wrong sign: of the genes with q < 0.05 (plain p of R, Benjamini-Hochberg within the arm, seed and "
    "cell), those with R < 0. A coin would give 50 %. With several seeds it is of all their significant "
    "genes; seeds that agree on a gene count as one in the interval.",
    "Linear baselines learn from the same training people, one gene at a time: they have nothing to say of "
    "unseen genes. The ceiling is the mean root of the genes’ cis-heritability (REML in all people, which "
    "cannot go below 0 and so is high where there is little); no linear prediction of new people can have "
    "a higher R.",
)
"""Of the table."""


def training_figure(run: RunFolder) -> Figure | None:
    """One panel a cell, all arms in it; None where the run has no grid."""
    table = run.published("training", four_cells(run.folder))
    if table.is_empty():
        return None
    ceiling = ceilings(run.folder)
    ends = [0.0, *(r for r, _ in ceiling.values())]
    ends += [r for name in ("mean_r", "ci_low", "ci_high") for r in table[name].drop_nulls()]
    scale = alt.Scale(domain=[min(ends), max(ends)])
    kinds = table["kind"].unique().to_list()
    return Figure(
        name="training",
        title="What training on people gives, and to whom",
        how_to_read=(
            "A dot is the mean over genes of R across people, the line its 95 % interval, the dashed line "
            "the ceiling that heritability sets. All four pictures have the same scale.",
            "Seen genes, seen people: what was learnt from. R is a fit there, and says only that something "
            "could be learnt. Seen genes, unseen people: the test of what was learnt of these genes’ "
            "variants; elastic net has the same task. Unseen genes, seen people: other genes of people "
            "whose other genes were learnt from. Unseen genes, unseen people: whether the model has learnt "
            "how sequence acts, which holds in any gene; only this is what a sequence model is for.",
            "Unseen genes near 0 are what published trainings found, and are no fault of the run: with "
            "Enformer on Geuvadis, mean R on unseen people was .28 in seen genes, as elastic net has it, "
            "and .05 to .06 in unseen ones, where the untouched model has .056.",
        ),
        panels=tuple(_panel(cell, table, ceiling.get(cell), scale) for cell in CELLS),
        numbers=_numbers(table, ceiling),
        colours=tuple((_KINDS[kind], colour) for kind, colour in _COLOURS.items() if kind in kinds),
    )


def _numbers(table: pl.DataFrame, ceiling: dict[str, tuple[float, int]]) -> pl.DataFrame:
    """The table with ``ceiling`` and ``ceiling_genes`` of its cells."""
    schema = {"cell": pl.String, "ceiling": pl.Float64, "ceiling_genes": pl.Int64}
    limits = pl.DataFrame([(cell, *limit) for cell, limit in ceiling.items()], schema=schema, orient="row")
    return table.join(limits, on="cell", how="left", maintain_order="left")


def _panel(cell: str, table: pl.DataFrame, ceiling: tuple[float, int] | None, scale: alt.Scale) -> Panel:
    labels = table["label"].unique(maintain_order=True).to_list()
    rows = [_drawn(row) for row in table.filter(pl.col("cell") == cell).iter_rows(named=True)]
    genes = max((row["n"] for row in rows), default=0)
    caption = f"{words.plural(genes, 'gene')}."
    if ceiling:
        caption += (
            f" Dashed: the ceiling, {words.decimal(ceiling[0])} over {words.plural(ceiling[1], 'gene')}."
        )
    said = "; ".join(f"{row['label']}: {row['mean R']}" for row in rows)
    spec = _spec(rows, labels, ceiling, scale, f"Mean R, {cell}. {said}. {caption}") if rows else None
    return Panel(cell[0].upper() + cell[1:], spec, (caption,))


def _drawn(row: dict[str, Any]) -> dict[str, Any]:
    interval = "" if row["ci_low"] is None else _interval(row["ci_low"], row["ci_high"])
    return {
        "label": row["label"],
        "kind": row["kind"],
        "r": row["mean_r"],
        "low": row["ci_low"],
        "high": row["ci_high"],
        "n": row["genes"],
        "mean R": _NONE if row["mean_r"] is None else f"{words.decimal(row['mean_r'])}{interval}",
        "genes": f"{words.count(row['genes_ok'])} of {words.count(row['genes'])}",
        "wrong sign": words.percent(row["wrong"]),
        "seeds": words.count(row["seeds"]) if row["seeds"] else words.ABSENT,
    }


def _interval(low: float, high: float) -> str:
    return f" [{words.decimal(low)}, {words.decimal(high)}]"


def _spec(
    rows: list[dict[str, Any]],
    labels: list[str],
    ceiling: tuple[float, int] | None,
    scale: alt.Scale,
    alt_text: str,
) -> dict[str, Any]:
    """Dots with intervals, one line an arm; an arm without a number says so."""
    known = [row for row in rows if row["r"] is not None]
    y = alt.Y(
        "label:N",
        title=None,
        scale=alt.Scale(domain=labels),
        axis=alt.Axis(labelLimit=230, labelOverlap=False),
    )
    kinds = alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))
    shown = ("label", "mean R", "genes", "wrong sign", "seeds")
    base = alt.Chart(alt.InlineData(values=known)).encode(
        y=y,
        color=alt.Color("kind:N", scale=kinds, legend=None),
        tooltip=[alt.Tooltip(f"{name}:N", title=name) for name in shown],
    )
    dot = base.mark_point(filled=True, size=60, opacity=1).encode(x=alt.X("r:Q", title=_X, scale=scale))
    line = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=_X, scale=scale), x2="high:Q")
    absent = (
        alt.Chart(alt.InlineData(values=[row for row in rows if row["r"] is None]))
        .mark_text(color=TEXT_COLOUR, opacity=0.7, align="left", dx=5, fontSize=12)
        .encode(y=y, x=alt.datum(0.0, type="quantitative"), text="mean R:N")
    )
    limit = [_limit(ceiling[0])] if ceiling else []
    return finish(alt.layer(zero_rule("x"), *limit, line, dot, absent), 24 * len(labels) + 20, alt_text)


def _limit(place: float) -> Any:
    rule = alt.Chart(alt.InlineData(values=[{"ceiling": place}]))
    return rule.mark_rule(color=TEXT_COLOUR, strokeDash=[5, 4], opacity=0.7).encode(x="ceiling:Q")
