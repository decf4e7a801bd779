"""The four cells of training on people: as numbers, and as a table ready to print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from hapsight.evaluate.heritability import mean_ceiling
from hapsight.report import words
from hapsight.report.run_folder import read_table
from hapsight.tables import HERITABILITY
from hapsight.train_tables import ARM, CELLS, TRAIN_PER_GENE, TRAIN_RUNS, TRAIN_SUMMARY

__all__ = [
    "CEILING",
    "LINEAR",
    "ArmRow",
    "CellWords",
    "arm_rows",
    "ceilings",
    "four_cells",
    "split_sentences",
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
        In the order of `hapsight.train_tables.CELLS`.
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
    limits = tuple(_limit(ceiling.get(cell)) for cell in CELLS)
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
        _interval(row["ci_low"], row["ci_high"], words.decimal),
        f"{words.count(row['genes_ok'])} of {words.plural(row['genes'], 'gene')}",
        f"{words.decimal(row['mean_r_all'])} over all" if row["genes_ok"] < row["genes"] else "",
        words.percent(row["wrong"]),
        _interval(row["wrong_low"], row["wrong_high"], words.percent),
        f"of {count} a seed" if several else f"of {count}",
    )


def _limit(found: tuple[float, int] | None) -> CellWords:
    if found is None:
        return CellWords()
    return CellWords(words.decimal(found[0]), genes=words.plural(found[1], "gene"))


def _interval(low: float | None, high: float | None, say: Any) -> str:
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
