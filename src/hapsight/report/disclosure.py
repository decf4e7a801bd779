"""What a report may say of people: every published table passes here (docs/disclosure.md).

A number over n people is rounded to a step of at least `FEWEST` people's share of it, so that one person
moves it by a fifth of a step or so. Rows of variants that fewer than `FEWEST` people carry, or lack, are
withheld, and so are a correlation that rests on fewer than `FEWEST` people and a column that has no rule.

A gene page as it may be published: what of its variants, groups of people and numbers is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from hapsight.explain.tables import PAGE_VARIANTS, VIEW_VARIANTS, WITHHELD
from hapsight.report.disclosure_rules import (
    DIGITS,
    FEWEST,
    KINDS,
    OF_A_CORRELATION,
    OF_A_VARIANT,
    RULES,
    enough_carriers,
    nearest_five,
    over_genes,
    rounded,
    step,
)
from hapsight.report.gene_view import GenePage, ModelView, TopEqtl
from hapsight.tables import PER_GENE

__all__ = ["HIDDEN", "Disclosure", "disclosed", "hanging"]

_OVER: Final = "mean over "
"""Kind of a mean over genes, before the name of the column that counts them."""
_OVER_ALL: Final = "mean over all of "
"""The same, where genes whose R is withheld are among them."""
_UNLESS_WITHHELD: Final = "unless withheld"
"""Kind of a number over all genes of an arm that is not made anew: none where an R of the arm is withheld."""
_ARM: Final = ("gene_id", "model", "read_out")
_HANGS: Final = f"R rests on fewer than {FEWEST} people"
_UNCOUNTED: Final = "the run does not say on how many people R rests: evaluate it again"
_OF_WITHHELD: Final = "R over genes, of which one or more are withheld"
_RARE: Final = f"fewer than {FEWEST} people carry the variant, or lack it"


def hanging(per_gene: pl.DataFrame) -> pl.DataFrame:
    """The R's that fewer than `FEWEST` people make, or nobody knows how many (`counted` is false).

    Parameters
    ----------
    per_gene
        Columns `hapsight.tables.PER_GENE`.

    Returns
    -------
    Columns ``gene_id, model, read_out, counted``.
    """
    few = pl.col("effective_people").fill_null(0) < FEWEST
    hidden = per_gene.filter(pl.col("pearson_r").is_not_null() & few)
    return hidden.select(*_ARM, counted=pl.col("effective_people").is_not_null())


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The rule, for one cohort.

    Attributes
    ----------
    people
        Of the cohort; where a table has a column ``n`` of people, that is taken.
    spread
        ``gene_id, sd_expression``: standard deviation of each gene's expression over people.
    few
        Genes and arms whose correlation is withheld (`hanging`); means over genes of these arms are coarser.
    withheld
        What was not shown so far: (table, reason) -> rows.
    """

    people: int
    spread: pl.DataFrame
    few: pl.DataFrame = field(default_factory=lambda: hanging(pl.DataFrame(schema=PER_GENE)))
    withheld: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def coarse(self) -> float:
        """Step of a correlation over the whole cohort."""
        return float(pl.select(step(pl.lit(float(self.people)))).item())

    def correlation(self, value: float, genes: int = 1) -> float:
        """A correlation over all people as it may be published, or a mean of so many genes' correlations."""
        by = max(self.coarse / max(genes, 1), 10.0**-DIGITS)
        return float(pl.select(rounded(pl.lit(value), pl.lit(by))).item())

    def table(self, name: str, table: pl.DataFrame) -> pl.DataFrame:
        """A table as it may be published; publishing it twice changes nothing.

        Parameters
        ----------
        name
            Of the table, as in `hapsight.report.disclosure_rules.KINDS`.
        """
        kinds = KINDS[name]
        whole = self._with_people(table, "n" in kinds and kinds["n"] == "people")
        whole = self._without_rare(name, whole, kinds)
        whole = self._without_few(name, whole)
        made = [
            self._column(name, column, kinds.get(column, "withheld"), whole).alias(column)
            for column in table.columns
            if not column.startswith("_")
        ]
        return whole.select(made)

    def without_hanging(self, table: pl.DataFrame) -> pl.DataFrame:
        """Rows of a table of genes whose correlation is shown."""
        return table.join(self.few, on=_ARM, how="anti", maintain_order="left")

    def note(self, table: str, rows: int, reason: str) -> None:
        """Count rows that are withheld."""
        if rows:
            self.withheld[table, reason] = rows

    def report(self) -> pl.DataFrame:
        """What was withheld so far: ``table, rows, reason``."""
        rows = [(table, rows, reason) for (table, reason), rows in self.withheld.items()]
        schema = {"table": pl.String, "rows": pl.Int64, "reason": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _with_people(self, table: pl.DataFrame, own: bool) -> pl.DataFrame:
        """With ``_n`` (people), ``_carriers`` and ``_sd`` beside the columns."""
        n = pl.col("n").cast(pl.Float64) if own else pl.lit(float(self.people))
        table = table.with_columns(_n=n, _coarse=self._is_coarse(table.columns))
        table = table.with_columns(_carriers=_carriers(table.columns))
        if "gene_id" in table.columns:
            sd = self.spread.rename({"sd_expression": "_sd"})
            return table.join(sd, on="gene_id", how="left", maintain_order="left")
        return table.with_columns(_sd=pl.lit(self.spread["sd_expression"].median(), pl.Float64))

    def _is_coarse(self, columns: list[str]) -> pl.Expr:
        """Whether an R of the row's arm is withheld, or of the arm that it is held against."""
        arm = ["model", "read_out"]
        if not set(arm) <= set(columns):
            return pl.lit(not self.few.is_empty())
        coarse = pl.struct(arm).is_in(self.few.select(key=pl.struct(arm))["key"].implode())
        if "against" in columns:
            coarse |= pl.col("against").is_in(self.few["model"].implode()).fill_null(False)
        return coarse

    def shows(self, carriers: pl.Expr) -> pl.Expr:
        """Whether a variant may be shown: enough people carry its rarer allele, and enough do not."""
        return carriers.is_between(FEWEST, self.people - FEWEST)

    def variants(self, table: pl.DataFrame, marked: int | None) -> pl.DataFrame:
        """Rows of a gene page's variants that may be shown, as they may be shown.

        Parameters
        ----------
        table
            Columns `hapsight.explain.tables.VIEW_VARIANTS` and ``gene_id``.
        marked
            People who carry the rarer allele of the variant that ``r2`` is to.
        """
        shown = self.shows(pl.col("carriers"))
        self.note("gene page", table.height - int(table.select(shown.sum()).item()), _RARE)
        fewest = pl.min_horizontal("carriers", pl.lit(marked or 0))
        return self.table("gene page", table.filter(shown).with_columns(_fewest=fewest))

    def _without_rare(self, name: str, table: pl.DataFrame, kinds: Mapping[str, str]) -> pl.DataFrame:
        """Columns of a variant are null where too few carry it; the row of its gene stays."""
        if "maf" not in kinds or "maf" not in table.columns:
            return table
        rare = ~enough_carriers(pl.col("maf"), pl.col("_n"))
        self.note(name, int(table.select(rare.sum()).item() or 0), _RARE)
        own = [column for column in table.columns if column in OF_A_VARIANT]
        return table.with_columns(pl.when(~rare).then(column).alias(column) for column in own)

    def _without_few(self, name: str, table: pl.DataFrame) -> pl.DataFrame:
        """What tells how a prediction goes with expression is null where few people make it."""
        if not {*_ARM, "pearson_r"} <= set(table.columns):
            return table
        for reason, arms in (
            (_HANGS, self.few.filter("counted")),
            (_UNCOUNTED, self.few.filter(~pl.col("counted"))),
        ):
            self.note(name, int(table.select(_with_r_of(arms).sum()).item()), reason)
        few = _with_r_of(self.few)
        own = [column for column in table.columns if column in OF_A_CORRELATION]
        hidden = [pl.when(~few).then(column).alias(column) for column in own]
        if name == "genes":
            hidden.append(pl.when(few).then(pl.lit("few_people")).otherwise("status").alias("status"))
        return table.with_columns(hidden)

    def _column(self, name: str, column: str, kind: str, table: pl.DataFrame) -> pl.Expr:
        if kind == "unseen":
            return pl.lit(None, table.schema[column])
        if kind == "withheld":
            known = table[column].count()
            self.note(name, known, f"column {column}: in the run's own tables only")
            return pl.lit(None, table.schema[column])
        if kind == _UNLESS_WITHHELD:
            self.note(name, int(table.select("_coarse").sum().item()), _OF_WITHHELD)
            return pl.when(~pl.col("_coarse")).then(pl.col(column).round(DIGITS))
        if kind.startswith(_OVER_ALL):
            return over_genes(column, pl.col(kind.removeprefix(_OVER_ALL)), withheld=True)
        if kind.startswith(_OVER):
            return over_genes(column, pl.col(kind.removeprefix(_OVER)))
        return RULES[kind](column)


def _with_r_of(arms: pl.DataFrame) -> pl.Expr:
    """Whether a row has R, and is of one of these genes and arms."""
    key = arms.select(key=pl.struct(_ARM))["key"].implode()
    return pl.struct(_ARM).is_in(key) & pl.col("pearson_r").is_not_null()


def _carriers(columns: list[str]) -> pl.Expr:
    """People who carry the rarer allele of a row: counted, or, from its share, about so many."""
    if "carriers" in columns:
        return pl.col("carriers").cast(pl.Float64)
    if "maf" not in columns:
        return pl.lit(None, pl.Float64)
    return pl.min_horizontal(2 * pl.col("_n") * pl.min_horizontal("maf", 1 - pl.col("maf")), "_n")


HIDDEN: Final = "withheld"
"""`driver_status` where the variant that a page would mark is carried, or lacked, by too few."""

_NO_LOGO: Final = "The marked variant is not shown, and so are the bases around it."


def disclosed(page: GenePage) -> tuple[GenePage, pl.DataFrame]:
    """A page as it may be published, and what was withheld of it.

    Returns
    -------
    The page, and columns `hapsight.explain.tables.WITHHELD`.
    """
    views, withheld = [], [pl.DataFrame(schema=WITHHELD)]
    for view in page.views:
        rule = _rule(page, view)
        views.append(_view(page.gene_id, view, rule))
        labels = {"gene_id": page.gene_id, "model": view.model, "read_out": view.read_out}
        rows = rule.report().with_columns(pl.lit(value).alias(name) for name, value in labels.items())
        withheld.append(rows.select(list(WITHHELD)))
    return replace(page, views=tuple(views)), pl.concat(withheld)


def _rule(page: GenePage, view: ModelView) -> Disclosure:
    sd = view.people["observed"].std(ddof=0)
    schema = {"gene_id": pl.String, "sd_expression": pl.Float64}
    spread = pl.DataFrame([(page.gene_id, sd)], schema=schema, orient="row")
    return Disclosure(len(view.people), spread, hanging(_result(view)))


def _result(view: ModelView) -> pl.DataFrame:
    return pl.DataFrame([view.result], schema=PER_GENE)


def _view(gene_id: str, view: ModelView, rule: Disclosure) -> ModelView:
    carriers = None if view.variant is None else view.variant["carriers"]
    hidden = carriers is not None and not pl.select(rule.shows(pl.lit(carriers))).item()
    r2_to = None if hidden else carriers
    own = view.variants.with_columns(gene_id=pl.lit(gene_id), place=pl.int_range(pl.len()))
    shown = rule.variants(own.drop("place"), r2_to)
    places = own.filter(rule.shows(pl.col("carriers")))["place"]
    marked = None if hidden or view.marked is None else places.index_of(view.marked)
    result = rule.table("genes", _result(view)).row(0, named=True)
    changes: dict[str, Any] = {
        "variants": shown.select(list(VIEW_VARIANTS)),
        "marked": marked,
        "af_step": rule.coarse,
        "result": result,
        "additivity": _share(view.additivity, len(view.people)),
        "top_eqtl": _top(gene_id, view.top_eqtl, rule, r2_to),
        "withheld": view.withheld or shown.height < own.height,
    }
    if hidden:
        people = view.people.with_columns(genotype=pl.lit(None, pl.Int64))
        changes |= {"people": people, "driver_status": HIDDEN, "motif": None}
        changes |= {"logos": None, "logo_note": _NO_LOGO}
    return replace(view, **changes)


def _share(value: float | None, n: int) -> float | None:
    found: float | None = pl.select(rounded(pl.lit(value, pl.Float64), step(pl.lit(float(n))))).item()
    return found


def _top(gene_id: str, top: TopEqtl | None, rule: Disclosure, marked: int | None) -> TopEqtl | None:
    """The strongest eQTL, where enough people carry and lack it."""
    if top is None:
        return None
    row = dict.fromkeys(PAGE_VARIANTS) | {k: v for k, v in top.variant.items() if k in VIEW_VARIANTS}
    table = pl.DataFrame([row], schema=VIEW_VARIANTS).with_columns(gene_id=pl.lit(gene_id))
    shown = replace(rule, withheld={}).variants(table, marked)
    if shown.is_empty():
        rule.note("strongest eQTL", 1, f"fewer than {FEWEST} people carry it, or lack it")
        return None
    found = shown.row(0, named=True)
    tested = pl.select(nearest_five(pl.lit(top.tested))).item()
    return TopEqtl({name: found.get(name, value) for name, value in top.variant.items()}, tested)
