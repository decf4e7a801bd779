"""The pictures of a gene page: from a `ModelView` to specifications, and what is said below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from markupsafe import Markup

from hapsight.evaluate.correlation import is_constant
from hapsight.report import gene_charts, words
from hapsight.report.figure import in_words
from hapsight.report.gene_view import GenePage, Logo, ModelView
from hapsight.report.gene_words import at, outcome, variant_name
from hapsight.report.logo import logo_pair

__all__ = [
    "Picture",
    "genotype_key",
    "genotype_words",
    "logo_pictures",
    "people_pictures",
    "trend",
    "variant_pictures",
]

_Z: Final = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart and what is said below it."""

    title: str
    spec: dict[str, Any]
    caption: str


def genotype_key(view: ModelView) -> list[tuple[str, str]]:
    """Words and colour of each genotype that somebody has."""
    return list(zip(genotype_words(view), gene_charts.GENOTYPE_COLOURS, strict=False))


def people_pictures(page: GenePage, view: ModelView) -> list[Picture]:
    """Observed against predicted, and both by genotype of the marked variant."""
    genotypes = genotype_words(view)
    points = view.people.with_columns(
        alleles=pl.col("genotype").fill_null(0).map_elements(genotypes.__getitem__, return_dtype=pl.String)
    )
    observed = view.observed
    scatter = gene_charts.people(
        points.sort("alleles", "predicted"),
        trend(view.people, view.people["predicted"].to_list()),
        genotypes,
        y="observed",
        alt_text=f"Observed against predicted expression of {page.name}, a point a person. {outcome(view)}",
    )
    pictures = [Picture("Observed v predicted", scatter, f"{outcome(view)} Observed: {observed}.")]
    if view.variant is None:
        return pictures
    name = variant_name(view.variant)
    for column in ("observed", "predicted"):
        spec = gene_charts.box(
            points,
            column,
            genotypes,
            alt_text=f"{column.capitalize()} by genotype of {name}. {_means(points, column)}",
        )
        pictures.append(Picture(f"{column.capitalize()} by genotype", spec, _means(points, column)))
    return pictures


def variant_pictures(view: ModelView) -> list[Picture]:
    """Effects above and eQTL slopes below, on one x axis; none where no variant has a place."""
    drawn = _drawn(view)
    inside, beyond = drawn.filter("in_window"), drawn.filter(~pl.col("in_window"))
    scored = inside.filter(pl.col("effect_value").is_not_null())
    if scored.is_empty():
        return []
    above = scored.with_columns(
        y="effect_value",
        low=pl.col("effect_value") - pl.col("effect_sd"),
        high=pl.col("effect_value") + pl.col("effect_sd"),
    )
    said = f"ISM effect of {words.plural(len(scored), 'variant')} by distance to the TSS."
    tested, others = _with_intervals(inside), _with_intervals(beyond)
    alone = tested.is_empty() and others.is_empty()
    spec = gene_charts.effects(_shown(above), view.shown, units=view.units, alone=alone, alt_text=said)
    pictures = [Picture("What the model says", spec, f"{said} {_backgrounds(view)}")]
    if alone:
        return pictures
    said = _slope_caption(view, len(tested), len(others))
    spec = gene_charts.slopes(_shown(tested), _shown(others), view.shown, view.window, alt_text=said)
    return [*pictures, Picture("What people show", spec, said)]


def logo_pictures(view: ModelView) -> list[Markup]:
    """REF above ALT; empty where there is no attribution."""
    variant = view.variant
    if view.logos is None or variant is None:
        return []
    titles = [
        _allele_title(kind, variant[kind.lower()], logo)
        for kind, logo in zip(("REF", "ALT"), view.logos, strict=True)
    ]
    return list(logo_pair(*view.logos, (titles[0], titles[1])))


def genotype_words(view: ModelView) -> list[str]:
    """The genotypes 0, 1 and 2 in words."""
    variant = view.variant
    if variant is None:
        return ["everybody"]
    ref, alt = _short(variant["ref"]), _short(variant["alt"])
    return [f"{ref}/{ref}", f"{ref}/{alt}", f"{alt}/{alt}"]


def _allele_title(kind: str, allele: str, logo: Logo) -> str:
    drawn = logo.letters[logo.first : logo.last]
    return f"{kind} {_short(allele)}" + ("" if drawn == allele else f", read as {_short(drawn)}")


def _short(allele: str) -> str:
    return allele if len(allele) <= 6 else f"{allele[:3]}…{len(allele)} bp"


def trend(people: pl.DataFrame, places: Sequence[float]) -> pl.DataFrame:
    """Ends of the least-squares line of observed on predicted, at the first and the last of `places`."""
    x, y = people["predicted"].to_numpy(), people["observed"].to_numpy()
    if len(people) < 3 or is_constant(x) or len(places) < 2:
        return pl.DataFrame(schema={"predicted": pl.Float64, "observed": pl.Float64})
    centre = x.mean()
    slope = float((x - centre) @ (y - y.mean()) / ((x - centre) @ (x - centre)))
    ends = np.array([min(places), max(places)])
    return pl.DataFrame({"predicted": ends, "observed": y.mean() + slope * (ends - centre)})


def _means(points: pl.DataFrame, column: str) -> str:
    """Mean and number of people by genotype."""
    found = points.group_by("genotype", "alleles").agg(pl.col(column).mean(), n=pl.len()).sort("genotype")
    parts = [
        f"{row['alleles']} {words.decimal(row[column])} (n {words.count(row['n'])})"
        for row in found.iter_rows(named=True)
    ]
    return f"Mean: {'; '.join(parts)}."


def _drawn(view: ModelView) -> pl.DataFrame:
    """Rows of the stretch that is shown, with a tooltip in words."""
    marked = pl.int_range(pl.len()) == (-1 if view.marked is None else view.marked)
    name = pl.struct(pl.all()).map_elements(variant_name, return_dtype=pl.String)
    table = view.variants.with_columns(variant=name, marked=marked)
    return table.filter(pl.col("tss_distance").is_between(*view.shown)).select(
        "in_window",
        "marked",
        "slope_se",
        "effect_sd",
        "variant",
        x=pl.col("tss_distance"),
        r2_value=pl.col("r2"),
        effect_value=pl.col("effect"),
        slope_value=pl.col("slope"),
        distance=in_words("tss_distance", at),
        effect=in_words("effect", lambda value: words.decimal(value, 4)),
        spread=in_words("effect_sd", lambda value: words.decimal(value, 4)),
        slope=in_words("slope", words.decimal),
        P=in_words("pval_nominal", words.p_value),
        r2=in_words("r2", lambda value: words.decimal(value, 2)),
        AF=in_words("af", lambda value: words.frequency(value, view.af_step)),
    )


def _with_intervals(drawn: pl.DataFrame) -> pl.DataFrame:
    half = _Z * pl.col("slope_se")
    tested = drawn.filter(pl.col("slope_value").is_not_null())
    return tested.with_columns(
        y="slope_value", low=pl.col("slope_value") - half, high=pl.col("slope_value") + half
    )


def _shown(table: pl.DataFrame) -> pl.DataFrame:
    return table.drop("in_window", "slope_se", "effect_sd", "effect_value", "slope_value")


def _backgrounds(view: ModelView) -> str:
    n = view.variants["n_backgrounds"].drop_nulls()
    most = int(n.max()) if len(n) else 0  # type: ignore[arg-type]
    if not most:
        return "Points: on the reference."
    return (
        "Points: on the reference; lines: plus and minus the standard deviation over "
        f"people’s distinct haplotypes (up to {words.count(most)})."
    )


def _slope_caption(view: ModelView, inside: int, beyond: int) -> str:
    top = view.top_eqtl
    tested = words.count(top.tested if top else inside + beyond)
    text = (
        f"eQTL slope, 95 % interval: {words.plural(inside, 'variant')} that the model reads (n "
        f"{words.count(view.result['n'])} people); in grey {words.count(beyond)} beyond its window (dashed). "
        f"{tested} were tested in all."
    )
    place = None if top is None else top.variant["tss_distance"]
    if top is None or place is None or view.shown[0] <= place <= view.shown[1]:
        return text
    return f"{text} The strongest, {variant_name(top.variant)}, lies outside of the picture, {at(place)}."
