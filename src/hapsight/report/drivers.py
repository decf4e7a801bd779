"""Words and tables of the section "Why is the sign wrong?": drivers, their support, and reliability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from hapsight.explain_tables import DRIVER_SUMMARY, DRIVERS, RELIABILITY, RELIABILITY_SUMMARY
from hapsight.report import shown_genes, words
from hapsight.report.run_folder import Arm, RunFolder, read_table

__all__ = [
    "FORMS",
    "HOW_TO_READ",
    "DriverRow",
    "StratumRow",
    "driver_rows",
    "driver_summary_table",
    "driver_table",
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
    return run.published("drivers", read_table(run.folder / "explain/drivers.parquet", DRIVERS))


def driver_summary_table(run: RunFolder) -> pl.DataFrame:
    """``explain/driver_summary.parquet``; empty where the run has none."""
    table = read_table(run.folder / "explain/driver_summary.parquet", DRIVER_SUMMARY)
    return run.published("driver_summary", shown_genes.drivers(run, table))


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
        "that of the same priors dealt anew among these drivers in "
        f"{share('sign_by_prior_shuffled')} (of 95 % of all deals). Of all {words.count(drivers)}: "
        f"{share('supported_cohort')} by the model, {share('sign_by_either')} by the prior where there is "
        f"one and else the model, and {share('sign_by_either_shuffled')} with the priors dealt anew."
    )


def reliability_sentences(run: RunFolder) -> list[tuple[Arm, tuple[str, ...]]]:
    """What each arm's probabilities of a right sign are worth, a sentence per choice of genes."""
    table = read_table(run.folder / "explain/reliability_summary.parquet", RELIABILITY_SUMMARY)
    genes = read_table(run.folder / "explain/reliability.parquet", RELIABILITY)
    table = shown_genes.reliability(run, table, genes)
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
