"""Words and tables of the section "Why is the sign wrong?": drivers, their support, and reliability.

Picture: what is gained where a model is believed only in the genes in which it is surest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import altair as alt
import numpy as np
import polars as pl

from hapsight.explain.reliability_quality import abstention
from hapsight.explain.tables import DRIVER_SUMMARY, DRIVERS, RELIABILITY, RELIABILITY_SUMMARY
from hapsight.report import words
from hapsight.report.charts import BASELINE_COLOUR, MODEL_COLOUR, TEXT_COLOUR, finish, inline
from hapsight.report.disclosure_rules import FEWEST
from hapsight.report.figure import Figure, Panel, numbers
from hapsight.report.published import published
from hapsight.report.run_folder import Arm, RunFolder, read_table
from hapsight.stats.direction import share_true

__all__ = [
    "FORMS",
    "HOW_TO_READ",
    "DriverRow",
    "StratumRow",
    "abstention_figure",
    "driver_rows",
    "driver_summary_table",
    "driver_table",
    "kept_figure",
    "neighbourhood_sentences",
    "prior_sentences",
    "reliability_sentences",
    "stratum_rows",
]

FORMS: Final = MappingProxyType(
    {"sasse2023": "as in Sasse 2023", "rastogi": "as in Rastogi, only drivers in the sum"}
)
"""Published form -> its words."""

HOW_TO_READ: Final = (
    "A driver is one of the few variants whose predicted effects, times the alleles that people carry, make "
    "up the gene’s prediction over people; the main driver adds most. Additivity is the correlation of the "
    "sum of all variants’ effects with the full prediction: where it is low, effects depend on one another, "
    "and drivers say little.",
    "Supported: the model’s effect has the sign of a measured effect of the same variant. In the same people "
    "this is nearly circular: the driver carries the prediction, so its slope on expression has almost by "
    "construction the sign of R. It shows which way a gene goes, not why. In the column of two halves, genes "
    "are chosen and sorted by R in half 1, and slopes estimated in half 2: the noise of expression no longer "
    "favours agreement, but variants that travel with the driver can still make its slope. Only a "
    "measurement of the variant itself, such as an MPRA, is free of that.",
    "A motif is made or broken by chance often, since hundreds are looked for: compare drivers with the "
    "controls, one other variant of the same genes each, taken at random.",
)
"""Paragraphs for who sees these tables for the first time."""

_GROUPS: Final = MappingProxyType(
    {
        "all": "all genes",
        "strong": "|R| > 0.2",
        "strong_right": "R > 0.2",
        "strong_wrong": "R < −0.2",
    }
)
_HALVES: Final = MappingProxyType(
    {"strong": "half1_strong", "strong_right": "half1_right", "strong_wrong": "half1_wrong"}
)
_FACTORS: Final = MappingProxyType(
    {
        "distance": "distance of the main driver to the TSS",
        "maf": "frequency of its rarer allele",
        "n_drivers": "number of drivers",
        "spread": "spread of its effect over backgrounds, relative to its size",
        "additivity": "additivity",
        "motif": "motif at the main driver",
    }
)
_SHARES: Final = frozenset(
    {"with_driver", "supported_cohort", "supported_half2", "supported_given", "driver_motif", "control_motif"}
)


@dataclass(frozen=True, slots=True)
class DriverRow:
    """One choice of genes of one arm and form, in words.

    Attributes
    ----------
    cells
        Number and what it is based on: genes, additivity, with a driver, drivers a gene, distance, supported
        in the same people, across halves, by given effects, motif at drivers, motif at controls.
    """

    form: str
    genes: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class StratumRow:
    """How often the sign is right where one property of the main driver lies within bounds."""

    factor: str
    level: str
    share: str
    basis: str


def driver_table(run: RunFolder) -> pl.DataFrame:
    """``explain/drivers.parquet``; empty where the run has none."""
    return published(run, "drivers", read_table(run.folder / "explain/drivers.parquet", DRIVERS))


def driver_summary_table(run: RunFolder) -> pl.DataFrame:
    """``explain/driver_summary.parquet``; empty where the run has none."""
    table = read_table(run.folder / "explain/driver_summary.parquet", DRIVER_SUMMARY)
    return published(run, "driver_summary", table)


def driver_rows(run: RunFolder) -> list[tuple[Arm, list[DriverRow]]]:
    """Each arm that has drivers, with a row per form and choice of genes."""
    table = driver_summary_table(run).filter(pl.col("factor").is_null())
    found = []
    for arm in run.arms:
        own = {(r["form"], r["genes"], r["quantity"]): r for r in arm.of(table).iter_rows(named=True)}
        if own:
            found.append((arm, [_driver_row(form, group, own) for form in FORMS for group in _GROUPS]))
    return found


def stratum_rows(run: RunFolder, form: str = "sasse2023") -> list[tuple[Arm, list[StratumRow]]]:
    """Each arm with the strata of all genes by property of the main driver."""
    table = driver_summary_table(run).filter(
        pl.col("factor").is_not_null() & (pl.col("form") == form) & (pl.col("genes") == "all")
    )
    found = []
    for arm in run.arms:
        rows = [
            StratumRow(title, row["level"], *_cell(row, words.percent))
            for factor, title in _FACTORS.items()
            for row in arm.of(table).filter(pl.col("factor") == factor).sort("rank").iter_rows(named=True)
        ]
        if rows:
            found.append((arm, rows))
    return found


def neighbourhood_sentences(run: RunFolder, form: str = "sasse2023") -> list[tuple[Arm, str]]:
    """Of each arm with saturation around drivers: how much the bases there matter beside those at the TSS."""
    table = driver_summary_table(run).filter((pl.col("form") == form) & (pl.col("genes") == "all"))
    found = []
    for arm in run.arms:
        own = {row["quantity"]: row for row in arm.of(table).iter_rows(named=True)}
        share, run_10 = own.get("share_of_tss_max"), own.get("run_10")
        if share and run_10 and share["n"]:
            found.append((arm, _neighbourhood(own["with_saturation"]["n"], share, run_10["value"])))
    return found


def _neighbourhood(n_drivers: int, share: Mapping[str, Any], run_10: float) -> str:
    known, drivers = words.count(share["n"]), words.plural(n_drivers, "main driver")
    return (
        f"Saturation mutagenesis covers {known} of {drivers}. Within 20 bases of these, the most important "
        f"base has a median of {words.percent(share['value'])} of the importance of the most important one "
        "within 1 kb of the TSS; the run of bases with the driver that have its sign and at least 10 % of "
        f"that importance has a median length of {words.decimal(run_10, 0)}."
    )


def prior_sentences(run: RunFolder, form: str = "sasse2023") -> list[tuple[Arm, str]]:
    """Of each arm whose drivers have sign priors: how often the sign is right with and without them."""
    table = driver_summary_table(run).filter((pl.col("form") == form) & (pl.col("genes") == "all"))
    found = []
    for arm in run.arms:
        own = {row["quantity"]: row for row in arm.of(table).iter_rows(named=True)}
        if "prior_known" in own and own["sign_by_prior"]["n"]:
            found.append((arm, _priors(own)))
    return found


def _priors(own: Mapping[str, Mapping[str, Any]]) -> str:
    def share(quantity: str) -> str:
        value, low, high = (words.percent(own[quantity][name]) for name in ("value", "ci_low", "ci_high"))
        return f"{value} [{low}, {high}]"

    known, drivers = own["sign_by_prior"]["n"], own["prior_known"]["n"]
    return (
        f"{words.count(known)} of {words.plural(drivers, 'main driver')} with an eQTL slope have a sign "
        f"prior; the model’s sign agrees with it in {share('prior_agrees')}. Of these, the slope has the "
        f"sign of the model in {share('sign_by_model')}, that of the prior in {share('sign_by_prior')}, and "
        "that of the same priors, shuffled among these drivers, in "
        f"{share('sign_by_prior_shuffled')} (95 % of all shuffles). Of all {words.count(drivers)}: "
        f"{share('supported_cohort')} by the model, {share('sign_by_either')} by the prior where there is "
        f"one and else the model, and {share('sign_by_either_shuffled')} with the priors shuffled."
    )


def reliability_sentences(run: RunFolder) -> list[tuple[Arm, tuple[str, ...]]]:
    """What each arm's probabilities of a right sign are worth, a sentence per choice of genes."""
    table = read_table(run.folder / "explain/reliability_summary.parquet", RELIABILITY_SUMMARY)
    table = published(run, "reliability_summary", table)
    said = [
        (arm, tuple(f"{row['genes'].capitalize()} genes: {row['verdict']}" for row in rows))
        for arm in run.arms
        if (rows := arm.of(table).rows(named=True))
    ]
    return said


def _driver_row(form: str, group: str, own: Mapping[tuple[str, str, str], dict[str, Any]]) -> DriverRow:
    def cell(quantity: str, digits: int = 3) -> tuple[str, str]:
        genes = _HALVES.get(group, "") if quantity == "supported_half2" else group
        row = own.get((form, genes, quantity))
        if row is None:
            return words.ABSENT, ""
        if quantity in _SHARES:
            return _cell(row, words.percent)
        return _cell(row, lambda value: words.decimal(value, digits))

    count = own[form, group, "genes"]["value"]
    return DriverRow(
        FORMS[form],
        _GROUPS[group],
        (
            (words.count(count), ""),
            cell("additivity"),
            cell("with_driver"),
            cell("n_drivers", 0),
            _kb(own.get((form, group, "distance"))),
            *(cell(q) for q in ("supported_cohort", "supported_half2", "supported_given")),
            *(cell(q) for q in ("driver_motif", "control_motif")),
        ),
    )


def _kb(row: dict[str, Any] | None) -> tuple[str, str]:
    """A distance in kb."""
    if row is None or row["value"] is None:
        return words.ABSENT, ""
    return _cell(row, lambda value: f"{words.decimal(None if value is None else value / 1000, 1)} kb")


def _cell(row: dict[str, Any], say: Any) -> tuple[str, str]:
    """A number, and its interval, p, n and the published one where there are such."""
    if row["value"] is None:
        return words.ABSENT, f"n {words.count(row['n'])}"
    basis = f"n {words.count(row['n'])}"
    if row["ci_low"] is not None:
        basis = f"[{say(row['ci_low'])}, {say(row['ci_high'])}] {basis}"
    if row["quantity"] == "driver_motif" and row["pval"] is not None:
        basis = f"{basis}, p against controls {words.p_value(row['pval'])}"
    if row["published"] is not None:
        basis = f"{basis}; published {say(row['published'])}"
    return say(row["value"]), basis


_POINTS: Final = 200
"""Points of a curve at most; its ends are among them."""
_COLUMNS: Final = {
    "kept": pl.Float64,
    "n": pl.Int64,
    "share_right": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "base_rate": pl.Float64,
}
_HEIGHT: Final = 300


def abstention_figure(run: RunFolder) -> Figure | None:
    """One panel an arm; None where no gene has a probability."""
    table = read_table(run.folder / "explain/reliability.parquet", RELIABILITY)
    known = table.filter(pl.col("probability").is_not_null())
    known = known if run.disclosure is None else run.disclosure.without_hanging(known)
    curves = [
        (arm, published(run, "abstention", _curve(own)))
        for arm in run.arms
        if not (own := arm.of(known)).is_empty()
    ]
    if not curves:
        return None
    return Figure(
        name="abstention",
        title="Is it right where it is surest?",
        how_to_read=(
            "Genes are sorted by the estimated probability that the model’s sign is right, which needs no "
            "expression of the gene itself. To the left, only the surest genes get an answer; at the right "
            "end all do. Up: the share of these whose sign is right.",
            "The dashed line is the share right among all genes. A curve that falls to it from the left says "
            "that the probabilities find genes in which the model can be believed; one that stays at the "
            "line, that they do not. The shade is the 95 % Wilson interval of each point by itself: the far "
            "left end is made of few genes, and neighbouring points share most of theirs.",
        ),
        panels=tuple(_panel(arm, curve) for arm, curve in curves),
        numbers=numbers(curves, _COLUMNS),
    )


def _curve(genes: pl.DataFrame) -> pl.DataFrame:
    """Rows of `_COLUMNS` from G genes with a probability, the surest first."""
    ordered = genes.sort("probability", descending=True, maintain_order=True)
    right = ordered["sign_right"].to_numpy()
    kept = abstention(ordered["probability"].to_numpy(), right).kept
    places = np.unique(np.linspace(0, len(kept) - 1, min(_POINTS, len(kept))).round().astype(int))
    rows = []
    for place in places:
        n = round(kept[place] * len(right))
        found = share_true(right[:n])
        rows.append((kept[place], n, found.value, found.ci_low, found.ci_high, float(right.mean())))
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def _panel(arm: Arm, curve: pl.DataFrame) -> Panel:
    every = curve.row(-1, named=True)
    quarter = curve.row(int((curve["kept"] - 0.25).abs().arg_min() or 0), named=True)
    caption = (
        f"{arm.label}: of the {words.plural(quarter['n'], 'surest gene')} "
        f"({words.percent(quarter['kept'])}), {words.percent(quarter['share_right'])} "
        f"[{words.percent(quarter['ci_low'])}, {words.percent(quarter['ci_high'])}] have the right sign; "
        f"of all {words.count(every['n'])}, {words.percent(every['base_rate'])}."
    )
    colour = BASELINE_COLOUR if arm.is_baseline else MODEL_COLOUR
    return Panel(arm.label, _spec(curve, colour, caption), (caption,))


def _spec(curve: pl.DataFrame, colour: str, alt_text: str) -> dict[str, Any]:
    """Curve with its interval, beside the line of the base rate; a step is genes of equal probability."""
    shown = curve.with_columns(
        pl.col("share_right").map_elements(words.percent, return_dtype=pl.String).alias("right"),
        pl.col("n").map_elements(words.count, return_dtype=pl.String).alias("genes"),
    )
    share = alt.Scale(domain=[0, 1])
    base = alt.Chart(inline(shown)).encode(
        x=alt.X("kept:Q", title="genes that get an answer", axis=alt.Axis(format=".0%"), scale=share)
    )
    title = "of these, sign right"
    band = base.mark_area(color=colour, opacity=0.2, interpolate="step-before").encode(
        y=alt.Y("ci_low:Q", title=title, axis=alt.Axis(format=".0%"), scale=share), y2=alt.Y2("ci_high:Q")
    )
    line = base.mark_line(color=colour, strokeWidth=2, interpolate="step-before").encode(
        y=alt.Y("share_right:Q", title=title)
    )
    points = base.mark_point(color=colour, filled=True, size=40, opacity=0).encode(
        y=alt.Y("share_right:Q", title=title),
        tooltip=[alt.Tooltip(f"{name}:N", title=name) for name in ("genes", "right")],
    )
    rate = (
        alt.Chart(alt.InlineData(values=[{"rate": curve["base_rate"][0]}]))
        .mark_rule(color=TEXT_COLOUR, strokeDash=[5, 4], opacity=0.7)
        .encode(y=alt.Y("rate:Q", title=title))
    )
    return finish(alt.layer(rate, band, line, points), _HEIGHT, alt_text)


_KEPT: Final = {
    **dict.fromkeys(("model", "read_out", "track", "what", "predictor", "quantity", "stratum"), pl.String),
    "value": pl.Float64,
    "n": pl.Int64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}
_CHOSEN: Final = MappingProxyType(
    {"top": "the strongest variant of each gene", "susie": "the likeliest variant of each gene, by SuSiE"}
)


def kept_figure(run: RunFolder) -> Figure | None:
    """One panel a model and way to choose variants; None where `hapsight validate abstention` was not run."""
    table = read_table(run.folder / "validate/abstention_summary.parquet", _KEPT)
    table = table.filter(pl.col("quantity") == "sign_right", pl.col("n") >= FEWEST)
    if table.is_empty():
        return None
    shown = published(run, "kept_right", table.drop("quantity"))
    keys = ["model", "read_out", "track", "what"]
    return Figure(
        name="kept_right",
        title="Is the sign right where the effect is large?",
        how_to_read=(
            "One variant of each gene, chosen by its association with expression alone, and whether the "
            "model’s effect has the sign of the association. To the left, only the genes with the largest "
            "predicted effects are kept; at the right end all are. A coin gives 50 %, the dashed line.",
            "Bars are 95 % intervals of a bootstrap over stretches of the genome, because neighbouring genes "
            "share variants and haplotypes. The variant of a gene may only travel with the causal one.",
        ),
        panels=tuple(_kept_panel(part) for part in shown.partition_by(keys, maintain_order=True)),
        numbers=shown,
    )


def _kept_panel(part: pl.DataFrame) -> Panel:
    model, read_out, track, what = part.select("model", "read_out", "track", "what").row(0)
    kept = pl.col("stratum").str.strip_prefix("largest ").replace("all", "1").cast(pl.Float64)
    curve = part.filter(pl.col("predictor") == "effect").with_columns(kept=kept)
    said = [
        f"{words.percent(row['value'])} [{words.percent(row['ci_low'])}, {words.percent(row['ci_high'])}] "
        f"of {'all' if row['kept'] == 1 else 'the top'} {words.plural(row['n'], 'gene')}"
        for row in curve.iter_rows(named=True)
    ]
    caption = f"{model}, {_CHOSEN.get(what, what)}: right in {'; '.join(said)}."
    title = f"{model}, {read_out}: {track}, {_CHOSEN.get(what, what)}"
    return Panel(title, _kept_spec(curve, caption), (caption,))


def _kept_spec(curve: pl.DataFrame, alt_text: str) -> dict[str, Any]:
    """Shares and their intervals over the share of genes that is kept."""
    share = alt.Scale(domain=[0, 1])
    base = alt.Chart(inline(curve.select("kept", "value", "ci_low", "ci_high", "n"))).encode(
        x=alt.X("kept:Q", title="genes that are kept", axis=alt.Axis(format=".0%"), scale=share)
    )
    percent = alt.Axis(format=".0%")
    bars = base.mark_rule(color=MODEL_COLOUR, opacity=0.5).encode(
        y=alt.Y("ci_low:Q", title="of these, sign right", axis=percent, scale=share), y2=alt.Y2("ci_high:Q")
    )
    points = base.mark_line(color=MODEL_COLOUR, point={"color": MODEL_COLOUR, "size": 50}).encode(
        y=alt.Y("value:Q", title="of these, sign right"), tooltip=[alt.Tooltip("n:Q", title="genes")]
    )
    coin = (
        alt.Chart(alt.InlineData(values=[{"coin": 0.5}]))
        .mark_rule(color=TEXT_COLOUR, strokeDash=[5, 4], opacity=0.7)
        .encode(y=alt.Y("coin:Q", title="of these, sign right"))
    )
    return finish(alt.layer(coin, bars, points), _HEIGHT, alt_text)
