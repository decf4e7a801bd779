"""A page per gene: why the model's sign is right or wrong there, on one self-contained HTML page.

People of a gene page in groups: means over people, never one person.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import polars as pl
from markupsafe import Markup

from hapsight.cohort.tables import csv_text
from hapsight.explain.tables import PAGE_VARIANTS, WITHHELD
from hapsight.files import file_name, write_atomically
from hapsight.report import gene_charts, words
from hapsight.report.charts import unchecked
from hapsight.report.disclosure import disclosed
from hapsight.report.disclosure_rules import FEWEST, nearest_five, rounded, step
from hapsight.report.gene_pictures import (
    Picture,
    genotype_key,
    genotype_words,
    logo_pictures,
    motif_words,
    outcome,
    people_pictures,
    story,
    trend,
    variant_name,
    variant_pictures,
)
from hapsight.report.gene_view import GenePage, ModelView
from hapsight.report.published import MARK, RULED

__all__ = ["by_genotype", "by_prediction", "gene_page_html", "group_pictures", "write_gene_page"]

_MOST_GROUPS: Final = 10


def by_prediction(people: pl.DataFrame) -> pl.DataFrame:
    """People in up to ten groups of about equal size by their prediction: each group's means.

    People of one prediction are in one group.

    Parameters
    ----------
    people
        Columns `hapsight.report.gene_view.PEOPLE`.

    Returns
    -------
    ``predicted, observed`` (means), ``low, high`` (mean observed less and plus its standard deviation) and
    ``n``, rounded by the people of each group; no row where there are fewer than `FEWEST` people.
    """
    groups = min(_MOST_GROUPS, len(people) // (2 * FEWEST))
    ahead = pl.col("predicted").rank("min") - 1
    place = (ahead * max(groups, 1) // max(len(people), 1)).cast(pl.Int64)
    table = _merged(people.with_columns(group=place), "group")
    means = _means(people, table, ["predicted", "observed"], "observed")
    return means.sort("group").drop("group")


def by_genotype(people: pl.DataFrame, column: str) -> pl.DataFrame:
    """Mean and spread of a column by genotype; genotypes of few people are one group with their neighbour.

    The groups hold everybody, so no group follows from the rest.

    Returns
    -------
    ``genotypes`` (first and last of the group), the column, ``low, high`` (mean less and plus the standard
    deviation), ``n``, rounded by the people of each group; no row where all would be one group.
    """
    table = _merged(people.drop_nulls("genotype").with_columns(group="genotype"), "group")
    if table["group"].n_unique() < 2:
        table = table.clear()
    ends = pl.concat_list(pl.col("genotype").min(), pl.col("genotype").max())
    genotypes = table.group_by("group").agg(genotypes=ends.first())
    means = _means(people, table, [column], column)
    return means.join(genotypes, on="group", how="left").sort("group").drop("group")


def _merged(people: pl.DataFrame, group: str) -> pl.DataFrame:
    """Neighbouring groups in one until each has `FEWEST` people; nobody where there are fewer in all."""
    sizes = people.group_by(group).agg(n=pl.len()).sort(group).rows()
    kept: list[tuple[list[int], int]] = []
    for name, n in sizes:
        if kept and kept[-1][1] < FEWEST:
            kept[-1] = (kept[-1][0] + [name], kept[-1][1] + n)
        else:
            kept.append(([name], n))
    if len(kept) > 1 and kept[-1][1] < FEWEST:
        names, n = kept.pop()
        kept[-1] = (kept[-1][0] + names, kept[-1][1] + n)
    kept = [(names, n) for names, n in kept if n >= FEWEST]
    first = {name: names[0] for names, _ in kept for name in names}
    return people.filter(pl.col(group).is_in(list(first))).with_columns(pl.col(group).replace(first))


def _means(people: pl.DataFrame, table: pl.DataFrame, columns: list[str], spread: str) -> pl.DataFrame:
    """Means of each group, rounded by its people and the spread among everybody."""
    n = pl.len().cast(pl.Float64)
    sd = {name: people[name].std(ddof=0) or 0.0 for name in columns}
    steps = {name: step(n, pl.lit(sd[name], pl.Float64)) for name in columns}
    means = table.group_by("group").agg(
        *(rounded(pl.col(name).mean(), steps[name]).alias(name) for name in columns),
        own=rounded(pl.col(spread).std(ddof=0), steps[spread]),
        n=nearest_five(pl.len()),
    )
    ends = {"low": pl.col(spread) - pl.col("own"), "high": pl.col(spread) + pl.col("own")}
    return means.with_columns(**{name: end.round_sig_figs(12) for name, end in ends.items()}).drop("own")


def group_pictures(page: GenePage, view: ModelView) -> list[Picture]:
    """Observed against predicted, and both by genotype of the marked variant, in groups of people."""
    groups = by_prediction(view.people)
    said = f"{outcome(view)} Observed: {view.observed}."
    line = view.people if view.result["pearson_r"] is not None else view.people.clear()
    how = f"A point is the mean of {_sizes(groups)}, its line the standard deviation of the observed."
    if groups.is_empty():
        how = f"There are fewer than {FEWEST} people, so none are shown."
    chart = gene_charts.groups(
        groups.with_columns(value="observed"),
        _trend(line, groups["predicted"].to_list()),
        y="observed",
        alt_text=f"Mean observed against mean predicted expression of {page.name}. {outcome(view)}",
    )
    pictures = [Picture("Observed v predicted", chart, f"{said} {how}")]
    if view.variant is not None:
        pictures += [_by_genotype(view, column) for column in ("observed", "predicted")]
    return pictures


def _by_genotype(view: ModelView, column: str) -> Picture:
    genotypes = genotype_words(view)
    means = by_genotype(view.people, column)
    named = [
        genotypes[first] if first == last else f"{genotypes[first]} or {genotypes[last]}"
        for first, last in means["genotypes"].to_list()
    ]
    means = means.with_columns(alleles=pl.Series(named, dtype=pl.String), value=column)
    parts = [
        f"{row['alleles']} {words.decimal(row[column])} (about {words.count(row['n'])} people)"
        for row in means.iter_rows(named=True)
    ]
    said = f"Mean: {'; '.join(parts) or 'not shown'}. Lines: standard deviation."
    if len(named) < view.people["genotype"].n_unique():
        said += f" A genotype of fewer than {FEWEST} people is one group with its neighbour."
    title = f"{column.capitalize()} by genotype"
    alt_text = f"{title} of {variant_name(view.variant or {})}. {said}"
    points = means.select("alleles", "value", "low", "high", "n")
    return Picture(title, gene_charts.means(points, column, named or genotypes, alt_text=alt_text), said)


def _trend(people: pl.DataFrame, places: list[float]) -> pl.DataFrame:
    """The line of `trend`, its ends rounded as a mean over everybody is."""
    by = step(pl.lit(float(max(len(people), 1))), pl.lit(people["observed"].std(ddof=0), pl.Float64))
    return trend(people, places).with_columns(rounded(pl.col("observed"), by))


def _sizes(groups: pl.DataFrame) -> str:
    """``about 35 to 40 people``."""
    sizes = groups["n"].unique().sort().to_list() or [0]
    return f"about {sizes[0]}{f' to {sizes[-1]}' if len(sizes) > 1 else ''} people of similar prediction"


_ROWS_SHOWN: Final = 20
"""Variants of the table that are seen without opening it."""


def write_gene_page(page: GenePage, folder: Path) -> tuple[Path, pl.DataFrame]:
    """Write ``<gene_id>.html``, which works offline, and the variants' numbers in ``<gene_id>.csv``.

    Returns
    -------
    The path of the page, and what was withheld: columns `hapsight.explain.tables.WITHHELD`.
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

    with unchecked():
        views = [_view(page, view) for view in page.views]
    context = {
        "page": page,
        "peaks": page.peaks,
        "views": views,
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
    result, strand = view.result, (page.strand or "?").replace("-", "−")
    coarse = "" if page.individuals else ", rounded"
    return [
        ("Model", f"{view.model} ({view.read_out})"),
        ("Protocol", view.protocol),
        ("People", words.count(result["n"])),
        (f"R, 95 % interval{coarse}", _r(result)),
        (f"q{coarse}", words.p_value(result["qval"])),
        ("Additivity, r", words.decimal(view.additivity)),
        ("Variants in the window", words.count(len(view.variants.filter("in_window")))),
        ("Drivers", words.count(view.n_drivers)),
        ("Compared with", view.observed),
        ("TSS", f"{page.contig}:{page.tss + 1:,}" + ("" if page.peaks else f" ({strand})")),
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
