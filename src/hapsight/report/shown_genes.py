"""Tables as they are published: numbers over genes are made anew over those whose R is shown, then rounded.

A number over all genes, less what is shown of the others, tells of the genes whose R is withheld
(`hapsight.report.disclosure.hanging`): their signs, from a share. So no published number counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from hapsight.explain.driver_summary import driver_summary
from hapsight.explain.reliability_quality import judged_genes
from hapsight.explain.tables import DRIVERS, RELIABILITY
from hapsight.report.disclosure import Disclosure
from hapsight.report.run_folder import RunFolder, read_table
from hapsight.seeds import stream
from hapsight.stats.agreement import r_beside_r
from hapsight.stats.direction_factors import direction_tables
from hapsight.stats.nulls import TESTS
from hapsight.stats.protocols import protocol_named
from hapsight.stats.summary import r_over_genes, summarise_gene_rows
from hapsight.tables import DIRECTION_GENES

__all__ = ["MADE_ANEW", "published"]

Row = dict[str, Any]

_LABELS: Final = ("model", "read_out", "protocol")
_OF_R: Final = ("across_people_", "share_negative", "significant")
"""What the quantities of ``evaluation/summary`` begin with that are numbers over R."""
_SEED: Final = 16
"""Of the bootstrap over genes that a verdict is made of again."""


def published(run: RunFolder, name: str, table: pl.DataFrame) -> pl.DataFrame:
    """A table as the report may show it; as it is where single people are asked for.

    Parameters
    ----------
    name
        Of the table, as in `hapsight.report.disclosure_rules.KINDS`.
    table
        Of a name in `MADE_ANEW`: the run's own table, of which one is made a run.
    """
    rule = run.disclosure
    if rule is None:
        return table
    if name not in MADE_ANEW:
        return rule.table(name, table)
    if name not in run.made:
        plain = rule.few.is_empty() or table.is_empty()
        run.made[name] = rule.table(name, table if plain else MADE_ANEW[name](run, rule, table))
    return run.made[name]


def _summary(run: RunFolder, rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``evaluation/summary``: quantities across people are of the genes whose R is shown."""
    assert run.unrounded is not None
    every = run.unrounded

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        genes = _of(every, own.row(0, named=True))
        held_out = "significant.folds" in own["quantity"]
        leading = protocol_named(own["protocol"][0]).test_of(held_out)
        shown, status = rule.without_hanging(genes), genes["status"].to_list()
        found = summarise_gene_rows(shown, status, TESTS, leading)
        made = {quantity.quantity: asdict(quantity) for quantity in found}
        nothing = dict.fromkeys(("value", "n", "ci_low", "ci_high"))
        for row in own.iter_rows(named=True):
            of_r = row["quantity"].startswith(_OF_R)
            yield row | made.get(row["quantity"], nothing if of_r else {})

    return _anew(rule, table, rows)


def _baselines(run: RunFolder, rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``evaluation/baselines``; means over folds, and differences, stay as they are over all genes.

    The rule rounds them more coarsely where an R of the arm, or of the one it is held against, is withheld.
    """
    counted = run.counted

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        numbers = r_over_genes(_of(counted, own.row(0, named=True)))
        yield from (row | numbers for row in own.iter_rows(named=True))

    return _anew(rule, table, rows)


def _agreement(run: RunFolder, _rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``evaluation/agreement``: pairs of arms, of which one or both have an R that is withheld."""
    counted = run.counted
    genes, none = counted.partition_by("model", "read_out", as_dict=True), counted.clear()
    rows = [
        row
        | r_beside_r(
            genes.get((row["model"], row["read_out"]), none),
            genes.get((row["other_model"], row["other_read_out"]), none),
        )
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=table.schema)


def _beside_eqtls(run: RunFolder, rule: Disclosure, name: str) -> pl.DataFrame:
    """``evaluation/direction``, ``direction_strata`` or ``direction_factors``: made together, once."""
    if name not in run.beside_eqtls:
        genes = read_table(run.folder / "evaluation/direction_genes.parquet", DIRECTION_GENES)
        run.beside_eqtls.update(direction_tables(rule.without_hanging(genes)))
    return run.beside_eqtls[name]


def _drivers(run: RunFolder, rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``explain/driver_summary``."""
    genes = read_table(run.folder / "explain/drivers.parquet", DRIVERS)

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        labels = own.select(_LABELS).row(0, named=True)
        shown = rule.without_hanging(_of(genes, labels))
        for form in own["form"].unique(maintain_order=True):
            part = shown.filter(pl.col("form") == form)
            yield from (labels | {"form": form} | row for row in driver_summary(part))

    return _anew(rule, table, rows)


def _reliability(run: RunFolder, rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``explain/reliability_summary``, from the rows of ``explain/reliability``."""
    genes = read_table(run.folder / "explain/reliability.parquet", RELIABILITY)

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        for row in own.iter_rows(named=True):
            mine = rule.without_hanging(_of(genes, row))
            rng = stream(_SEED, "verdicts of shown genes")
            yield dict.fromkeys(row) | {k: row[k] for k in _LABELS} | judged_genes(mine, row["genes"], rng)

    return _anew(rule, table, rows)


MADE_ANEW: Final[Mapping[str, Callable[[RunFolder, Disclosure, pl.DataFrame], pl.DataFrame]]] = {
    "summary": _summary,
    "baselines": _baselines,
    "between_models": _agreement,
    "direction": lambda run, rule, _: _beside_eqtls(run, rule, "direction"),
    "direction_strata": lambda run, rule, _: _beside_eqtls(run, rule, "direction_strata"),
    "direction_factors": lambda run, rule, _: _beside_eqtls(run, rule, "direction_factors"),
    "driver_summary": _drivers,
    "reliability_summary": _reliability,
}
"""Published tables with numbers over R of several genes -> how they are made over the genes shown."""


def _anew(
    rule: Disclosure, table: pl.DataFrame, rows: Callable[[pl.DataFrame], Iterator[Row]]
) -> pl.DataFrame:
    """The table, in which arms with an R that is withheld have the given rows instead of their own."""
    few = set(rule.few.select("model", "read_out").iter_rows())
    parts = [
        pl.DataFrame(list(rows(own)), schema=table.schema) if pair in few else own
        for pair, own in table.group_by("model", "read_out", maintain_order=True)
    ]
    return pl.concat(parts)


def _of(table: pl.DataFrame, labels: Mapping[str, Any]) -> pl.DataFrame:
    return table.filter(pl.col("model") == labels["model"], pl.col("read_out") == labels["read_out"])
