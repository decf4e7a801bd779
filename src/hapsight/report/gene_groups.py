"""People of a gene page in groups: means over people, never one person."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from hapsight.report import gene_charts, words
from hapsight.report.gene_pictures import Picture, genotype_words, trend
from hapsight.report.gene_view import GenePage, ModelView
from hapsight.report.gene_words import outcome, variant_name

__all__ = ["FEWEST", "by_genotype", "by_prediction", "group_pictures"]

FEWEST: Final = 5
"""People in the smallest group whose mean is shown."""

_MOST_GROUPS: Final = 10
_DIGITS: Final = 4
"""Significant ones of a mean."""


def by_prediction(people: pl.DataFrame) -> pl.DataFrame:
    """People in up to ten groups of equal size by their prediction: each group's means.

    Parameters
    ----------
    people
        Columns `hapsight.report.gene_view.PEOPLE`.

    Returns
    -------
    ``predicted, observed`` (means), ``low, high`` (mean observed less and plus its standard deviation) and
    ``n``; no row where there are fewer than `FEWEST` people.
    """
    groups = min(_MOST_GROUPS, len(people) // FEWEST)
    place = np.arange(len(people)) * groups // max(len(people), 1)
    ordered = people.sort("predicted", "observed").with_columns(group=pl.Series(place, dtype=pl.Int64))
    table = ordered.group_by("group").agg(
        pl.col("predicted").mean(), *_spread("observed"), n=pl.len().cast(pl.Int64)
    )
    return _rounded(table.filter(pl.col("n") >= FEWEST).sort("group").drop("group"))


def by_genotype(people: pl.DataFrame, column: str) -> pl.DataFrame:
    """Mean and spread of a column by genotype; genotypes of fewer than `FEWEST` people are left out.

    Returns
    -------
    ``genotype``, the column, ``low, high`` (mean less and plus the standard deviation), ``n``.
    """
    table = people.group_by("genotype").agg(*_spread(column), n=pl.len().cast(pl.Int64))
    return _rounded(table.filter(pl.col("n") >= FEWEST).sort("genotype"))


def group_pictures(page: GenePage, view: ModelView) -> list[Picture]:
    """Observed against predicted, and both by genotype of the marked variant, in groups of people."""
    groups = by_prediction(view.people)
    said = f"{outcome(view)} Observed: {view.observed}."
    how = f"A point is the mean of {_sizes(groups)}, its line the standard deviation of the observed."
    if groups.is_empty():
        how = f"There are fewer than {FEWEST} people, so none are shown."
    chart = gene_charts.groups(
        groups.with_columns(value="observed"),
        trend(view.people, groups["predicted"].to_list()),
        y="observed",
        alt_text=f"Mean observed against mean predicted expression of {page.name}. {outcome(view)}",
    )
    pictures = [Picture("Observed v predicted", chart, f"{said} {how}")]
    if view.variant is not None:
        pictures += [_by_genotype(view, column) for column in ("observed", "predicted")]
    return pictures


def _by_genotype(view: ModelView, column: str) -> Picture:
    genotypes = genotype_words(view)
    name = pl.col("genotype").map_elements(genotypes.__getitem__, return_dtype=pl.String)
    means = by_genotype(view.people, column).with_columns(alleles=name, value=column)
    parts = [
        f"{row['alleles']} {words.decimal(row[column])} (n {words.count(row['n'])})"
        for row in means.iter_rows(named=True)
    ]
    there = view.people["genotype"].drop_nulls().unique().sort().to_list()
    few = [genotypes[genotype] for genotype in there if genotype not in means["genotype"].to_list()]
    said = f"Mean: {'; '.join(parts) or 'not shown'}. Lines: standard deviation."
    if few:
        said += f" Fewer than {FEWEST} people, not shown: {', '.join(few)}."
    title = f"{column.capitalize()} by genotype"
    alt_text = f"{title} of {variant_name(view.variant or {})}. {said}"
    points = means.select("alleles", "value", "low", "high", "n")
    return Picture(title, gene_charts.means(points, column, genotypes, alt_text=alt_text), said)


def _spread(column: str) -> list[pl.Expr]:
    mean, sd = pl.col(column).mean(), pl.col(column).std(ddof=0)
    return [mean.alias(column), (mean - sd).alias("low"), (mean + sd).alias("high")]


def _rounded(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col(pl.Float64).round_sig_figs(_DIGITS))


def _sizes(groups: pl.DataFrame) -> str:
    """``5 to 6 people``."""
    sizes = groups["n"].unique().sort().to_list() or [0]
    return f"{sizes[0]}{f' to {sizes[-1]}' if len(sizes) > 1 else ''} people of similar prediction"
