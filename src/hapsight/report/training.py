"""Picture: mean R in the four cells of training on people, arm beside arm.

The four cells of training on people: as numbers, and as a table ready to print.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import altair as alt
import polars as pl

from hapsight.report import words
from hapsight.report.charts import BASELINE_COLOUR, MODEL_COLOUR, TEXT_COLOUR, finish, zero_rule
from hapsight.report.figure import Figure, Panel
from hapsight.report.published import published
from hapsight.report.run_folder import RunFolder, read_table
from hapsight.stats.heritability import mean_ceiling
from hapsight.tables import HERITABILITY
from hapsight.train.tables import ARM, CELLS, TRAIN_PER_GENE, TRAIN_RUNS, TRAIN_SUMMARY

__all__ = [
    "CEILING",
    "HOW_TO_READ",
    "LINEAR",
    "ArmRow",
    "CellWords",
    "arm_rows",
    "ceilings",
    "four_cells",
    "split_sentences",
    "training_figure",
]

LINEAR: Final = "linear"
"""`mode` of a linear baseline."""

CEILING: Final = "ceiling (root of h²)"

_OF_ARM: Final = [name for name in ARM if name != "seed"]
_PRIORS: Final = {
    "sign_shuffled": "shuffled sign",
    "activity_shuffled": "shuffled activity",
}
"""`prior` in words, where these are others."""
_NOT_PREDICTED: Final = CELLS[0]
"""The cell whose people and genes were both learnt from: its R is a fit, which may exceed the ceiling."""


@dataclass(frozen=True, slots=True)
class CellWords:
    """An arm in a cell, in words.

    Attributes
    ----------
    r, wrong
        Mean R, and the share of wrong signs.
    r_interval, wrong_interval
        Their 95 % intervals; empty where there is none.
    genes, significant
        What they are of.
    r_all
        Mean R of all genes; empty where all have a number.
    """

    r: str = words.ABSENT
    r_interval: str = ""
    genes: str = ""
    r_all: str = ""
    wrong: str = words.ABSENT
    wrong_interval: str = ""
    significant: str = ""


@dataclass(frozen=True, slots=True)
class ArmRow:
    """An arm in the four cells, in words; the last row may be the ceiling.

    Attributes
    ----------
    kind
        ``"trained"``, ``"untouched"``, ``"linear"`` or ``"ceiling"``.
    cells
        In the order of `hapsight.train.tables.CELLS`.
    """

    label: str
    kind: str
    model: str
    people: str
    seeds: str
    cells: tuple[CellWords, ...]


def four_cells(run: Path, name: str = "grid") -> pl.DataFrame:
    """Read one row per arm and cell; none where the run has no such tables.

    Parameters
    ----------
    run
        The run's folder.
    name
        ``"grid"`` or ``"personal"``: the command whose tables are read.

    Returns
    -------
    ``label``, ``kind``, the arm's columns without its seed, ``seeds`` (0: nothing is drawn), ``cell``,
    ``genes``, ``genes_ok``, mean R of the latter (``mean_r, ci_low, ci_high``), mean R of all, those without
    a number as 0 (``mean_r_all``), ``significant`` (over several seeds, their mean), ``wrong`` (share of
    these with R < 0) with its interval, ``wrong_genes``, the genes it is of, and ``constant_seeds``, of which
    no gene has a number: their R count as 0 beside other seeds'.
    """
    table = read_table(run / f"train/{name}_summary.parquet", TRAIN_SUMMARY)
    seeds = pl.col("seed").drop_nulls().n_unique().over(_OF_ARM).cast(pl.Int64).alias("seeds")
    configured = pl.col("place").min().over(_OF_ARM)
    table = table.with_row_index("place").with_columns(seeds, configured)
    whole = table.filter(pl.col("seed").is_null() | (pl.col("seeds") == 1)).sort("place", maintain_order=True)
    found = whole.group_by(*_OF_ARM, "seeds", "cell", maintain_order=True).agg(
        genes=_of("genes_ok", "n"),
        genes_ok=_of("across_people_pearson_mean", "n"),
        mean_r=_of("across_people_pearson_mean", "value"),
        mean_r_all=_of("across_people_pearson_mean", "value")
        * _of("across_people_pearson_mean", "n")
        / _of("genes_ok", "n"),
        ci_low=_of("across_people_pearson_mean", "ci_low"),
        ci_high=_of("across_people_pearson_mean", "ci_high"),
        significant=_of("significant", "value"),
        wrong=_of("significant_negative_share", "value"),
        wrong_low=_of("significant_negative_share", "ci_low"),
        wrong_high=_of("significant_negative_share", "ci_high"),
        wrong_genes=_of("significant_negative_share", "n"),
        constant_seeds=_of("constant_seeds", "value").fill_null(0).cast(pl.Int64),
    )
    return found.select(_label(found), _kind(), pl.all())


def ceilings(run: Path, name: str = "grid") -> dict[str, tuple[float, int]]:
    """Cell -> mean root of its genes' cis-heritability, and of how many; without what was not estimated.

    The cell of seen genes and seen people has none: there R is a fit, and may exceed it.
    """
    genes = read_table(run / f"train/{name}_per_gene.parquet", TRAIN_PER_GENE)
    known = read_table(run / "eqtl/heritability.parquet", HERITABILITY).drop_nulls("h2")
    found = dict[str, tuple[float, int]]()
    for cell in CELLS:
        here = genes.filter(pl.col("cell") == cell)["gene_id"].unique().to_list()
        mean = mean_ceiling(known.filter(pl.col("phenotype_id").is_in(here))["h2"].to_numpy())
        if mean.value is not None and cell != _NOT_PREDICTED:
            found[cell] = (mean.value, mean.n)
    return found


def arm_rows(cells: pl.DataFrame, ceiling: dict[str, tuple[float, int]]) -> tuple[ArmRow, ...]:
    """Put `four_cells` and `ceilings` in words, in the order in which the arms are configured."""
    arms = cells.partition_by(_OF_ARM, maintain_order=True)
    rows = tuple(_row(arm.rows(named=True)) for arm in arms)
    if not rows or not ceiling:
        return rows
    limits = tuple(_limit_in_words(ceiling.get(cell)) for cell in CELLS)
    return *rows, ArmRow(CEILING, "ceiling", "", words.ABSENT, words.ABSENT, limits)


def split_sentences(run: Path, name: str = "grid") -> tuple[str, ...]:
    """Who and what was learnt from, stopped by and judged on; one sentence a split."""
    runs = read_table(run / f"train/{name}_runs.parquet", TRAIN_RUNS)
    sides = ("people", "valid_people", "test_people", "seen_genes", "unseen_genes", "guard_genes")
    return tuple(_split(row) for row in runs.select(sides).unique(maintain_order=True).iter_rows(named=True))


def _of(quantity: str, column: str) -> pl.Expr:
    return pl.col(column).filter(pl.col("quantity") == quantity).first()


def _kind() -> pl.Expr:
    known = pl.col("mode").is_in([LINEAR, "untouched"])
    return pl.when(known).then("mode").otherwise(pl.lit("trained")).alias("kind")


def _label(cells: pl.DataFrame) -> pl.Expr:
    """What was done, with the number of people and the frequency floor where these were varied."""
    linear = pl.col("mode") == LINEAR
    done = pl.when(linear).then("model").otherwise("mode")
    loss = pl.when(pl.col("loss") == "").then(pl.lit("")).otherwise(", " + pl.col("loss"))
    start = pl.when(pl.col("init") == "random").then(pl.lit(", random init")).otherwise(pl.lit(""))
    words_of_prior = pl.format(", {} prior", pl.col("prior").replace(_PRIORS))
    prior = pl.when(pl.col("prior") == "").then(pl.lit("")).otherwise(words_of_prior)
    parts = [done, loss, start, prior]
    if cells["people"].n_unique() > 1:
        parts.append(pl.format(", {} people", "people"))
    if cells.filter(~linear)["min_maf"].n_unique() > 1:
        floor = pl.format(", MAF ≥ {}", "min_maf")
        parts.append(pl.when(linear).then(pl.lit("")).otherwise(floor))
    return pl.concat_str(parts).alias("label")


def _row(arm: list[dict[str, Any]]) -> ArmRow:
    first, by_cell = arm[0], {row["cell"]: row for row in arm}
    return ArmRow(
        first["label"],
        first["kind"],
        first["read_out"] if first["kind"] == LINEAR else first["model"],
        words.count(first["people"]) if first["kind"] != "untouched" else words.ABSENT,
        _seeds(arm),
        tuple(_words(by_cell.get(cell)) for cell in CELLS),
    )


def _seeds(arm: list[dict[str, Any]]) -> str:
    """How many; and of how many of these everybody has one prediction."""
    constant = max(row["constant_seeds"] for row in arm)
    if not arm[0]["seeds"]:
        return words.ABSENT
    return words.count(arm[0]["seeds"]) + (f", {words.count(constant)} constant" if constant else "")


def _words(row: dict[str, Any] | None) -> CellWords:
    if row is None:
        return CellWords(genes="no genes")
    if row["mean_r"] is None:
        return CellWords(genes="no model" if row["kind"] == LINEAR else "constant predictions")
    several = row["seeds"] > 1
    count = words.decimal(row["significant"], 1) if several else words.count(row["significant"])
    return CellWords(
        words.decimal(row["mean_r"]),
        _interval_in_words(row["ci_low"], row["ci_high"], words.decimal),
        f"{words.count(row['genes_ok'])} of {words.plural(row['genes'], 'gene')}",
        f"{words.decimal(row['mean_r_all'])} over all" if row["genes_ok"] < row["genes"] else "",
        words.percent(row["wrong"]),
        _interval_in_words(row["wrong_low"], row["wrong_high"], words.percent),
        f"of {count} a seed" if several else f"of {count}",
    )


def _limit_in_words(found: tuple[float, int] | None) -> CellWords:
    if found is None:
        return CellWords()
    return CellWords(words.decimal(found[0]), genes=words.plural(found[1], "gene"))


def _interval_in_words(low: float | None, high: float | None, say: Any) -> str:
    return "" if low is None else f"[{say(low)}, {say(high)}]"


def _split(row: dict[str, Any]) -> str:
    guard = len(row["guard_genes"] or [])
    near = f", and {words.plural(guard, 'gene')} too near to an unseen one" if guard else ""
    seen, valid, test = (
        words.plural(row[side], "people") for side in ("people", "valid_people", "test_people")
    )
    return (
        f"Seen: {seen} and {words.plural(row['seen_genes'], 'gene')}, to which weights are fitted. Unseen: "
        f"{test} and {words.plural(row['unseen_genes'], 'gene')}. In no cell: {valid} by whom it is decided "
        f"when to stop{near}."
    )


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
    table = published(run, "training", four_cells(run.folder))
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
    line = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=_X, scale=scale), x2=alt.X2("high:Q"))
    absent = (
        alt.Chart(alt.InlineData(values=[row for row in rows if row["r"] is None]))
        .mark_text(color=TEXT_COLOUR, opacity=0.7, align="left", dx=5, fontSize=12)
        .encode(y=y, x=alt.XDatum(0.0, type="quantitative"), text=alt.Text("mean R:N"))
    )
    limit = [_limit(ceiling[0])] if ceiling else []
    return finish(alt.layer(zero_rule("x"), *limit, line, dot, absent), 24 * len(labels) + 20, alt_text)


def _limit(place: float) -> Any:
    rule = alt.Chart(alt.InlineData(values=[{"ceiling": place}]))
    return rule.mark_rule(color=TEXT_COLOUR, strokeDash=[5, 4], opacity=0.7).encode(x=alt.X("ceiling:Q"))
