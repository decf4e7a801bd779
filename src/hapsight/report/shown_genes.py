"""Numbers over genes, made anew over the genes whose R is shown.

A number over all genes, less what is shown of the others, tells of the genes whose R is withheld
(`hapsight.report.disclosure.hanging`): their signs, from a share. So no published number counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from hapsight.explain.driver_summary import driver_summary
from hapsight.explain.reliability_quality import TOO_FEW, judge
from hapsight.explain.tables import DRIVER_SUMMARY, DRIVERS
from hapsight.report.disclosure import Disclosure
from hapsight.report.run_folder import RunFolder, read_table
from hapsight.seeds import stream
from hapsight.stats.agreement import direction_tables, r_beside_r
from hapsight.stats.nulls import TESTS
from hapsight.stats.protocols import protocol_named
from hapsight.stats.summary import mean_interval, summarise_across_people
from hapsight.tables import AGREEMENT, BASELINES, DIRECTION_GENES, SUMMARY

__all__ = ["agreement", "baselines", "beside_eqtls", "drivers", "reliability", "summary"]

Row = dict[str, Any]

_LABELS: Final = ("model", "read_out", "protocol")
_SEED: Final = 16
"""Of the bootstrap over genes that a verdict is made of again."""


def summary(run: RunFolder, rule: Disclosure) -> pl.DataFrame:
    """``evaluation/summary``, where `run` is not yet without what is withheld."""
    return _anew(rule, run.summary, SUMMARY, lambda own: _summary_rows(own, _rows_of(run, own), rule))


def _summary_rows(own: pl.DataFrame, genes: pl.DataFrame, rule: Disclosure) -> Iterator[Row]:
    """An arm's quantities in their order; those across people are of the genes whose R is shown."""
    tests = [test for test in TESTS if f"significant.{test}" in own["quantity"]]
    ok = rule.without_hanging(genes.filter(pl.col("status") == "ok"))
    pearson, spearman = (ok[name].to_numpy() for name in ("pearson_r", "spearman_r"))
    qval = {test: ok[f"qval_{test}"].to_numpy() for test in tests}
    leading = protocol_named(own["protocol"][0]).test_of("folds" in tests)
    made: Mapping[str, Row] = {}
    if leading in qval:
        found = summarise_across_people(genes["status"].to_list(), pearson, spearman, qval, leading)
        made = {quantity.quantity: asdict(quantity) for quantity in found}
    for row in own.iter_rows(named=True):
        yield row | made.get(row["quantity"], {})


def baselines(run: RunFolder, table: pl.DataFrame) -> pl.DataFrame:
    """``evaluation/baselines``; means over folds, and differences, stay as they are over all genes.

    The rule rounds them more coarsely where an R of the arm, or of the one it is held against, is withheld.
    """

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        r = _rows_of(run, own, "counted").filter(pl.col("status") == "ok")["pearson_r"].to_numpy()
        mean = mean_interval(r)
        numbers = {"mean_r": mean.value, "ci_low": mean.ci_low, "ci_high": mean.ci_high, "genes_ok": len(r)}
        share = {"share_negative": float((r < 0).mean()) if len(r) else None}
        yield from (row | numbers | share for row in own.iter_rows(named=True))

    return _anew(run.disclosure, table, BASELINES, rows)


def agreement(run: RunFolder, table: pl.DataFrame) -> pl.DataFrame:
    """``evaluation/agreement``: pairs of arms, of which one or both have an R that is withheld."""
    if run.disclosure is None or run.disclosure.few.is_empty():
        return table
    genes = run.counted.partition_by("model", "read_out", as_dict=True)
    none = run.counted.clear()
    rows = [
        row
        | r_beside_r(
            genes.get((row["model"], row["read_out"]), none),
            genes.get((row["other_model"], row["other_read_out"]), none),
        )
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=AGREEMENT)


def beside_eqtls(run: RunFolder, name: str, table: pl.DataFrame) -> pl.DataFrame:
    """``evaluation/direction``, ``direction_strata`` or ``direction_factors``, by its `name`."""
    if run.disclosure is None or run.disclosure.few.is_empty():
        return table
    genes = read_table(run.folder / "evaluation/direction_genes.parquet", DIRECTION_GENES)
    return direction_tables(run.disclosure.without_hanging(genes))[name]


def drivers(run: RunFolder, table: pl.DataFrame) -> pl.DataFrame:
    """``explain/driver_summary``."""
    genes = read_table(run.folder / "explain/drivers.parquet", DRIVERS)

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        assert run.disclosure is not None
        labels = own.select(_LABELS).row(0, named=True)
        shown = run.disclosure.without_hanging(_of(genes, labels))
        for form in own["form"].unique(maintain_order=True):
            part = shown.filter(pl.col("form") == form)
            yield from (labels | {"form": form} | row for row in driver_summary(part))

    return _anew(run.disclosure, table, DRIVER_SUMMARY, rows)


def reliability(run: RunFolder, table: pl.DataFrame, genes: pl.DataFrame) -> pl.DataFrame:
    """``explain/reliability_summary``: ``n`` and ``verdict``, from the rows of ``explain/reliability``."""

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        assert run.disclosure is not None
        for row in own.iter_rows(named=True):
            mine = run.disclosure.without_hanging(_of(genes, row)).drop_nulls("probability")
            if row["genes"] == "significant":
                mine = mine.filter(pl.col("qval") < 0.05)
            said, base, right = (mine[name].to_numpy() for name in ("probability", "base_rate", "sign_right"))
            rng = stream(_SEED, "verdicts of shown genes")
            quality = judge(said, base, right, rng) if len(mine) else None
            yield row | {"n": len(mine), "verdict": TOO_FEW if quality is None else quality.verdict}

    return _anew(run.disclosure, table, dict(table.schema), rows)


def _anew(
    rule: Disclosure | None,
    table: pl.DataFrame,
    schema: Mapping[str, Any],
    rows: Callable[[pl.DataFrame], Iterator[Row]],
) -> pl.DataFrame:
    """The table, in which arms with an R that is withheld have the given rows instead of their own."""
    if rule is None or rule.few.is_empty() or table.is_empty():
        return table
    few = set(rule.few.select("model", "read_out").iter_rows())
    parts = [
        pl.DataFrame(list(rows(own)), schema=dict(schema)) if pair in few else own.select(list(schema))
        for pair, own in table.group_by("model", "read_out", maintain_order=True)
    ]
    return pl.concat(parts)


def _of(table: pl.DataFrame, labels: Mapping[str, Any]) -> pl.DataFrame:
    return table.filter(pl.col("model") == labels["model"], pl.col("read_out") == labels["read_out"])


def _rows_of(run: RunFolder, own: pl.DataFrame, name: str = "per_gene") -> pl.DataFrame:
    return _of(getattr(run, name), own.select(_LABELS).row(0, named=True))
