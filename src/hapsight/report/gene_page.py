"""A page per gene: why the model's sign is right or wrong there, on one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import polars as pl
from markupsafe import Markup

from hapsight.disk import write_atomically
from hapsight.explain_tables import PAGE_VARIANTS, WITHHELD
from hapsight.files import file_name
from hapsight.report import words
from hapsight.report.gene_disclosure import disclosed
from hapsight.report.gene_groups import group_pictures
from hapsight.report.gene_pictures import (
    genotype_key,
    logo_pictures,
    people_pictures,
    variant_pictures,
)
from hapsight.report.gene_view import GenePage, ModelView
from hapsight.report.gene_words import motif_words, story, variant_name
from hapsight.report.individuals import MARK, RULED
from hapsight.spreadsheets import csv_text

__all__ = ["gene_page_html", "write_gene_page"]

_ROWS_SHOWN: Final = 20
"""Variants of the table that are seen without opening it."""


def write_gene_page(page: GenePage, folder: Path) -> tuple[Path, pl.DataFrame]:
    """Write ``<gene_id>.html``, which works offline, and the variants' numbers in ``<gene_id>.csv``.

    Returns
    -------
    The path of the page, and what was withheld: columns `hapsight.explain_tables.WITHHELD`.
    """
    shown, withheld = _shown(page)
    numbers = folder / file_name(page.gene_id, suffix=".csv")
    path = folder / file_name(page.gene_id, suffix=".html")
    write_atomically(numbers, csv_text(_numbers(shown)).encode())
    write_atomically(path, _html(shown).encode())
    return path, withheld


def gene_page_html(page: GenePage) -> str:
    """The page as text."""
    return _html(_shown(page)[0])


def _shown(page: GenePage) -> tuple[GenePage, pl.DataFrame]:
    """What is written of a page, and what is not: all of it where single people are asked for."""
    return (page, pl.DataFrame(schema=WITHHELD)) if page.individuals else disclosed(page)


def _html(page: GenePage) -> str:
    from hapsight.report.page import render

    context = {
        "page": page,
        "views": [_view(page, view) for view in page.views],
        "csv": quote(file_name(page.gene_id, suffix=".csv")),
        "mark": Markup(MARK if page.individuals else RULED),
    }
    return render(context, "gene_template.html")


@dataclass(frozen=True, slots=True)
class _Row:
    """A variant in words; `cells` as the table's headings."""

    name: str
    marked: bool
    cells: tuple[str, ...]


def _view(page: GenePage, view: ModelView) -> dict[str, Any]:
    rows = list(_rows(view))
    return {
        "view": view,
        "story": story(view),
        "facts": _facts(page, view),
        "key": genotype_key(view),
        "people": (people_pictures if page.individuals else group_pictures)(page, view),
        "variants": variant_pictures(view),
        "logos": logo_pictures(view),
        "logo_note": view.logo_note,
        "motif": motif_words(view) if view.marked is not None else "",
        "rows": rows[:_ROWS_SHOWN],
        "more_rows": rows[_ROWS_SHOWN:],
    }


def _facts(page: GenePage, view: ModelView) -> list[tuple[str, str]]:
    result = view.result
    return [
        ("Model", f"{view.model} ({view.read_out})"),
        ("Protocol", view.protocol),
        ("People", words.count(result["n"])),
        ("R, 95 % interval", _r(result)),
        ("q", words.p_value(result["qval"])),
        ("Additivity, r", words.decimal(view.additivity)),
        ("Variants in the window", words.count(len(view.variants.filter("in_window")))),
        ("Drivers", words.count(view.n_drivers)),
        ("Compared with", view.observed),
        ("TSS", f"{page.contig}:{page.tss + 1:,} ({(page.strand or '?').replace('-', '−')})"),
    ]


def _r(result: dict[str, Any]) -> str:
    if result["pearson_r"] is None:
        return words.status(result["status"])
    low, high = words.decimal(result["ci_low"]), words.decimal(result["ci_high"])
    return f"{words.decimal(result['pearson_r'])} [{low}, {high}]"


def _rows(view: ModelView) -> Iterator[_Row]:
    """The window's variants, the marked one first, then from the largest effect down."""
    marked = pl.int_range(pl.len()) == (-1 if view.marked is None else view.marked)
    table = view.variants.with_columns(marked=marked).filter("in_window")
    order = table.sort("marked", pl.col("effect").abs(), descending=True, nulls_last=True)
    for row in order.iter_rows(named=True):
        yield _Row(
            variant_name(row),
            row["marked"],
            (
                f"{row['contig']}:{row['position'] + 1:,}",
                words.count(row["tss_distance"]).replace("-", "−"),
                f"{row['ref']} > {row['alt']}",
                words.frequency(row["af"], view.af_step),
                words.decimal(row["effect"], 4),
                words.decimal(row["effect_sd"], 4),
                words.decimal(row["slope"]),
                words.p_value(row["pval_nominal"]),
                words.decimal(row["r2"], 2),
                "driver" if row["driver"] else "–",
                {True: "yes", False: "no", None: words.ABSENT}[row["supported"]],
            ),
        )


def _numbers(page: GenePage) -> pl.DataFrame:
    labels = {"gene_id": pl.String, "model": pl.String, "read_out": pl.String, "protocol": pl.String}
    parts = [
        view.variants.select(
            pl.lit(page.gene_id).alias("gene_id"),
            pl.lit(view.model).alias("model"),
            pl.lit(view.read_out).alias("read_out"),
            pl.lit(view.protocol).alias("protocol"),
            *PAGE_VARIANTS,
        )
        for view in page.views
    ]
    return pl.concat([pl.DataFrame(schema={**labels, **PAGE_VARIANTS}), *parts])
