"""The pictures of a gene page: from a `ModelView` to specifications, and what is said beside them.

Sequence logos as inline SVG: letters are paths, so they are sharp at any size and in print.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from markupsafe import Markup, escape

from hapsight.report import gene_charts, words
from hapsight.report.figure import in_words
from hapsight.report.gene_view import GenePage, Logo, ModelView
from hapsight.stats.correlation import is_constant
from hapsight.stats.summary import SIGNIFICANT

__all__ = [
    "Picture",
    "at",
    "genotype_key",
    "genotype_words",
    "logo_pair",
    "logo_pictures",
    "logo_svg",
    "motif_words",
    "outcome",
    "people_pictures",
    "story",
    "trend",
    "variant_name",
    "variant_pictures",
]

_CLEAR: Final = 0.05
"""p above which an eQTL's slope has no sign worth telling."""

_NO_DRIVER: Final = {
    "no_variants": "No variant lies in the window of {model}, so it predicts the same for everybody.",
    "constant_prediction": "{model} predicts the same for everybody: it says nothing about who has more.",
    "no_effect": "To {model}, the variants of this gene’s window do nothing that differs between people.",
    "not_additive": "What variants do to {model} one by one does not add up to its prediction, so no single "
    "variant explains it.",
    "withheld": "The variant that {model} makes most of is carried, or lacked, by fewer than five people, "
    "and is not shown.",
    "ok": "No single variant carries the prediction of {model}: none passes the criteria for a driver.",
}


def variant_name(variant: dict[str, Any]) -> str:
    """Its identifier, or place and alleles where it has none."""
    name = variant["variant_id"]
    if name and name != ".":
        return str(name)
    return f"{variant['contig']}:{variant['position'] + 1:,} {variant['ref']}>{variant['alt']}"


def at(distance: int | None) -> str:
    """Where a variant lies.

    Examples
    --------
    >>> at(-87), at(12_340), at(0)
    ('87 bp upstream of the TSS', '12.3 kb downstream of the TSS', 'at the TSS')
    """
    if distance is None:
        return "strand not known"
    if distance == 0:
        return "at the TSS"
    size = f"{abs(distance)} bp" if abs(distance) < 1000 else f"{abs(distance) / 1000:.1f} kb"
    return f"{size} {'upstream' if distance < 0 else 'downstream'} of the TSS"


def story(view: ModelView) -> str:
    """The page in a few sentences, made from its numbers."""
    return " ".join(part for part in (_driver(view), _motif(view), outcome(view), *_doubts(view)) if part)


def outcome(view: ModelView) -> str:
    """R with interval and n, and whether the sign is right."""
    result = view.result
    r, low, high = result["pearson_r"], result["ci_low"], result["ci_high"]
    if r is None:
        return f"There is no R: {words.status(result['status'])} (n {words.count(result['n'])})."
    numbers = (
        f"R {words.decimal(r)} [{words.decimal(low)}, {words.decimal(high)}], n {words.count(result['n'])}"
    )
    if low is None or low <= 0 <= high:
        return f"Whether the sign is right cannot be told: {numbers}."
    q = result["qval"]
    chance = (
        ""
        if q is None or q < SIGNIFICANT
        else f" This report’s test does not tell it from chance (q {words.p_value(q)})."
    )
    return f"Over people the prediction goes the {'right' if r > 0 else 'wrong'} way: {numbers}.{chance}"


def _driver(view: ModelView) -> str:
    variant = view.variant
    if variant is None or not view.has_driver:
        status = view.driver_status
        text = _NO_DRIVER.get(status, _NO_DRIVER["ok"]).format(model=view.model)
        if variant is None:
            return text
        return f"{text} Shown is {_named(variant)}, which contributes most."
    effect = "raise" if variant["effect"] > 0 else "lower"
    return (
        f"{view.model} says that more ALT alleles of {_named(variant)} {effect} expression; "
        f"{_measured(view, variant)}."
    )


def _named(variant: dict[str, Any]) -> str:
    return f"{variant_name(variant)} ({at(variant['tss_distance'])})"


def _measured(view: ModelView, variant: dict[str, Any]) -> str:
    """What people who carry a variant do."""
    slope, p = variant["slope"], variant["pval_nominal"]
    if slope is None:
        return "its eQTL was not tested" if view.eqtl_mapped else "no eQTLs were mapped to compare with"
    numbers = f"(eQTL slope {words.decimal(slope)}, p {words.p_value(p)})"
    if p > _CLEAR:
        return f"people with them express neither clearly more nor less {numbers}"
    verb = "do express" if (slope > 0) == (variant["effect"] > 0) else "express"
    return f"people with them {verb} {'more' if slope > 0 else 'less'} {numbers}"


def _motif(view: ModelView) -> str:
    motif = view.motif
    if motif is None or not view.has_driver:
        return ""
    verb = {"gain": "makes", "loss": "breaks", "change": "changes"}.get(motif.kind)
    return f"ALT {verb} a {motif.name} site." if verb else "ALT makes or breaks no known motif."


def motif_words(view: ModelView) -> str:
    """The motif with its scores, or why there is none."""
    motif = view.motif
    if motif is None:
        return (
            "Motifs of this variant were not looked for: `hapsight drivers` does it, and needs the packages "
            "of `pip install 'hapsight[motifs]'`."
        )
    if motif.kind == "none":
        return "No JASPAR motif is made, broken or changed by this variant."
    verb = {"gain": "Made", "loss": "Broken", "change": "Changed"}[motif.kind]
    ref, alt = words.decimal(motif.ref_score, 1), words.decimal(motif.alt_score, 1)
    return (
        f"{verb}: JASPAR motif {motif.name} ({motif.matrix_id}), score {ref} bits with REF, {alt} with ALT. "
        "Hundreds of motifs are looked for, so one is found by chance often."
    )


def _doubts(view: ModelView) -> Iterator[str]:
    """What a reader should know before believing it."""
    variant, top = view.variant, view.top_eqtl
    if variant is None:
        return
    if top is not None:
        yield _beside_top(view, variant, top.variant)
    opposite = variant["effect_sd"] is not None and variant["effect_sd"] >= abs(variant["effect"]) / 2
    if opposite:
        yield "Its effect depends on what else a haplotype carries."


def _beside_top(view: ModelView, variant: dict[str, Any], top: dict[str, Any]) -> str:
    same = all(top[name] == variant[name] for name in ("position", "ref", "alt"))
    if same:
        return "It is the gene’s strongest eQTL."
    beyond = "" if top["in_window"] else ", beyond what the model reads"
    r2 = "r² to it not known" if top["r2"] is None else f"r² {words.decimal(top['r2'], 2)} to it"
    numbers = f"slope {words.decimal(top['slope'])}, p {words.p_value(top['pval_nominal'])}; {r2}"
    place = f"{at(top['tss_distance'])}{beyond}"
    return f"The gene’s strongest eQTL is another variant, {variant_name(top)} ({place}; {numbers})."


_GLYPHS: Final = {
    "A": "M0 100 38 0H62L100 100H78L71 79H29L22 100ZM35 61H65L50 18Z",
    "C": "M97 33C91 12 74 0 52 0 21 0 0 20 0 50S21 100 52 100C75 100 92 87 97 65L76 61C73 75 65 82 52 82 "
    "34 82 22 70 22 50S34 18 52 18C65 18 73 25 76 38Z",
    "G": "M96 30C90 11 74 0 53 0 21 0 0 20 0 50S21 100 53 100C72 100 88 94 98 86V46H54V63H77V76C71 80 63 82 "
    "54 82 34 82 22 70 22 50S34 18 53 18C65 18 73 24 76 35Z",
    "T": "M0 0H100V18H61V100H39V18H0Z",
}
"""Letters in a box of 100 x 100, y downwards."""

_COLOURS: Final = {"A": "#109648", "C": "#255c99", "G": "#b87900", "T": "#d62839"}

_STEP: Final = 20.0
_LEFT: Final = 62.0
_TOP: Final = 26.0
_HEIGHT: Final = 110.0
_BOTTOM: Final = 24.0


def logo_pair(ref: Logo, alt: Logo, alleles: tuple[str, str]) -> tuple[Markup, Markup]:
    """Both alleles on one scale, one to be put above the other.

    Parameters
    ----------
    alleles
        What to write over each, such as ``"REF: C"``.
    """
    values = [0.0, *ref.worth.tolist(), *alt.worth.tolist()]
    limits = min(values), max(values)
    columns = max(len(ref.letters), len(alt.letters))
    return logo_svg(ref, alleles[0], limits, columns), logo_svg(alt, alleles[1], limits, columns)


def logo_svg(logo: Logo, title: str, limits: tuple[float, float], columns: int) -> Markup:
    """One logo; letters of a negative worth hang below the line.

    Parameters
    ----------
    limits
        Lowest and highest worth of the scale; 0 lies within.
    columns
        Letters that the picture has room for.
    """
    width, height = _LEFT + _STEP * columns + 4, _TOP + _HEIGHT + _BOTTOM
    scale = _HEIGHT / ((limits[1] - limits[0]) or 1.0)
    zero = _TOP + limits[1] * scale
    parts = [
        f'<svg class="logo" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}: {escape(logo.letters)}">',
        *_allele(logo, title),
        *_axis(limits, scale, zero, width),
        *_letters(logo, scale, zero),
        *_places(logo),
        "</svg>",
    ]
    return Markup("".join(parts))


def _allele(logo: Logo, title: str) -> Iterator[str]:
    """The stretch that is the allele, shaded, and its name over it."""
    x, wide = _LEFT + _STEP * logo.first, _STEP * (logo.last - logo.first)
    middle, y = x + wide / 2, _TOP - 9
    yield f'<rect class="allele" x="{x:.1f}" y="{_TOP:.0f}" width="{wide:.1f}" height="{_HEIGHT:.0f}"/>'
    yield f'<text class="name" x="{middle:.1f}" y="{y:.0f}" text-anchor="middle">{escape(title)}</text>'


def _letters(logo: Logo, scale: float, zero: float) -> Iterator[str]:
    for place, (letter, worth) in enumerate(zip(logo.letters, logo.worth.tolist(), strict=True)):
        tall = abs(worth) * scale
        if letter not in _GLYPHS or tall < 0.05:
            continue
        x, y = _LEFT + _STEP * place + 1, zero - tall if worth > 0 else zero
        yield (
            f'<path d="{_GLYPHS[letter]}" fill="{_COLOURS[letter]}" fill-rule="evenodd" '
            f'transform="translate({x:.1f} {y:.2f}) scale({(_STEP - 2) / 100:.2f} {tall / 100:.5f})"/>'
        )


def _axis(limits: tuple[float, float], scale: float, zero: float, width: float) -> Iterator[str]:
    """The line at 0 and some values on the left."""
    yield f'<path class="line" d="M{_LEFT} {zero:.1f}H{width - 4:.1f}M{_LEFT} {_TOP}V{_TOP + _HEIGHT}"/>'
    for value in _ticks(*limits):
        text = f"{value:.3g}".replace("-", "−")
        yield f'<text x="{_LEFT - 6:.0f}" y="{zero - value * scale + 4:.1f}" text-anchor="end">{text}</text>'


def _places(logo: Logo) -> Iterator[str]:
    """Bases to the left and to the right of the allele, every tenth."""
    y = _TOP + _HEIGHT + 16
    for place in range(len(logo.letters)):
        if logo.first <= place < logo.last:
            continue
        off = place - logo.first if place < logo.first else place - logo.last + 1
        if off % 10 == 0:
            x = _LEFT + _STEP * (place + 0.5)
            text = f"−{-off}" if off < 0 else f"+{off}"
            yield f'<text x="{x:.1f}" y="{y:.0f}" text-anchor="middle">{text}</text>'


def _ticks(low: float, high: float) -> Sequence[float]:
    """0 and round values on either side."""
    span = high - low
    if span <= 0:
        return [0.0]
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(lead * power for lead in (1, 2, 5, 10) if lead * power >= rough)
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


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
