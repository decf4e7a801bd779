"""A gene page as it may be published: what of its variants, groups of people and numbers is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import polars as pl

from hapsight.explain_tables import PAGE_VARIANTS, VIEW_VARIANTS, WITHHELD
from hapsight.report.disclosure import FEWEST, Disclosure, hanging, nearest_five, rounded, step
from hapsight.report.gene_view import GenePage, ModelView, TopEqtl
from hapsight.tables import PER_GENE

__all__ = ["HIDDEN", "disclosed"]

HIDDEN: Final = "withheld"
"""`driver_status` where the variant that a page would mark is carried, or lacked, by too few."""

_NO_LOGO: Final = "The marked variant is not shown, and so are the bases around it."


def disclosed(page: GenePage) -> tuple[GenePage, pl.DataFrame]:
    """A page as it may be published, and what was withheld of it.

    Returns
    -------
    The page, and columns `hapsight.explain_tables.WITHHELD`.
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
