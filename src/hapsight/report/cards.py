"""The summary: cards for one model, one row per arm for a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from hapsight.evaluate.nulls import TESTS
from hapsight.evaluate.protocols import Protocol, protocol_named
from hapsight.report import words
from hapsight.report.run_folder import Arm, RunFolder

__all__ = ["Card", "SummaryRow", "cards", "summary_rows"]


@dataclass(frozen=True, slots=True)
class Card:
    """One number, what it counts, and one honest sentence.

    Attributes
    ----------
    colour
        ``"model"`` or ``"baseline"``.
    """

    title: str
    number: str
    basis: str
    sentence: str
    colour: str = "model"


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """An arm and its numbers in words, each with its n: the columns of the comparison."""

    label: str
    read_out: str
    is_baseline: bool
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Value:
    value: float | None = None
    n: int | None = None
    unit: str = "genes"
    ci_low: float | None = None
    ci_high: float | None = None

    @property
    def basis(self) -> str:
        """``"n = 480 genes"``, with the interval where there is one."""
        if self.value is None:
            return "not in this run"
        interval = f"95 % CI {words.decimal(self.ci_low)} to {words.decimal(self.ci_high)}; "
        known = self.ci_low is not None and self.ci_high is not None
        noun = "gene" if self.unit == "genes" else self.unit
        return f"{interval if known else ''}n = {words.plural(self.n, noun)}"


def _values(run: RunFolder, arm: Arm) -> dict[str, _Value]:
    rows = arm.of(run.summary).select("quantity", "value", "n", "unit", "ci_low", "ci_high")
    return {row[0]: _Value(row[1], row[2], row[3] or "genes", row[4], row[5]) for row in rows.iter_rows()}


def cards(run: RunFolder, arm: Arm) -> tuple[Card, ...]:
    """Cards of one arm, and of the baseline beside it where `arm` is a model.

    A number that the run does not have is a dash, and the card says so.
    """
    found = _values(run, arm)
    kind = "baseline" if arm.is_baseline else "model"
    protocol = protocol_named(run.record.get("protocol"))
    across = () if arm.is_baseline else (_across_genes(found.get("across_genes_spearman", _Value())),)
    other = None if arm.is_baseline else run.baseline
    beside = () if other is None else (_baseline(run, other, protocol),)
    return (*across, *_across_people(found, kind, protocol), *beside)


def _across_genes(rho: _Value) -> Card:
    return Card(
        "Across genes, Spearman",
        words.decimal(rho.value, 2),
        rho.basis,
        "Reference prediction against mean expression: which genes are high. It says nothing of people.",
    )


def _across_people(found: dict[str, _Value], kind: str, protocol: Protocol) -> tuple[Card, ...]:
    mean = found.get(f"across_people_{protocol.statistic}_mean", _Value())
    middle = found.get(f"across_people_{protocol.statistic}_median", _Value())
    share = found.get(protocol.share_negative, _Value())
    significant = found.get("significant", _Value())
    negative = found.get("significant_negative", _Value())
    test = protocol.test_of("significant.folds" in found)
    return (
        Card(
            f"Across people, mean {protocol.correlation} per gene",
            words.decimal(mean.value),
            f"median {words.decimal(middle.value)}; {mean.basis}",
            "Does it know who expresses a gene more? 0 is no knowledge, 1 is perfect.",
            kind,
        ),
        Card(
            f"Genes with negative {protocol.correlation}",
            words.percent(share.value),
            share.basis,
            "In these, people predicted higher are measured lower. A coin would give 50 %.",
            kind,
        ),
        Card(
            "Significant genes",
            words.count(significant.value),
            f"q < 0.05, {TESTS[test]}; {significant.basis}",
            _of_these(significant, negative, test),
            kind,
        ),
    )


def _of_these(significant: _Value, negative: _Value, test: str) -> str:
    if significant.value == 0 and test == "empirical":
        return "In no gene does the prediction do better than random weights on the same variants."
    if significant.value == 0:
        return "In no gene does the prediction do better than chance under this test."
    if negative.value == 0:
        return "Not one of them is negative: where the variants matter, the direction is right."
    share = None
    if significant.value and negative.value is not None:
        share = negative.value / significant.value
    return (
        f"Negative among them: {words.count(negative.value)} ({words.percent(share)}). There the variants "
        "matter but the direction is wrong; a model that knew direction would have none."
    )


def _baseline(run: RunFolder, arm: Arm, protocol: Protocol) -> Card:
    found = _values(run, arm)
    mean = found.get(f"across_people_{protocol.statistic}_mean", _Value())
    share = found.get(protocol.share_negative, _Value())
    return Card(
        f"Baseline {arm.label}, mean {protocol.correlation}",
        words.decimal(mean.value),
        f"{words.percent(share.value)} negative; {mean.basis}",
        "Trained on this cohort and tested on people held out: what a plain linear model gets from DNA.",
        "baseline",
    )


def summary_rows(run: RunFolder) -> tuple[SummaryRow, ...]:
    """One row per arm; each cell is a number and its basis."""
    protocol = protocol_named(run.record.get("protocol"))
    return tuple(
        SummaryRow(arm.model, arm.read_out, arm.is_baseline, _cells(_values(run, arm), protocol))
        for arm in run.arms
    )


def _cells(found: dict[str, _Value], protocol: Protocol) -> tuple[tuple[str, str], ...]:
    mean, median = (f"across_people_{protocol.statistic}_{kind}" for kind in ("mean", "median"))
    share = protocol.share_negative

    def cell(quantity: str, text: str) -> tuple[str, str]:
        return text, found.get(quantity, _Value()).basis

    def of(quantity: str) -> float | None:
        return found.get(quantity, _Value()).value

    return (
        cell("across_genes_spearman", words.decimal(of("across_genes_spearman"), 2)),
        cell("within_person_spearman_median", words.decimal(of("within_person_spearman_median"), 2)),
        cell(mean, words.decimal(of(mean))),
        cell(median, words.decimal(of(median))),
        cell(share, words.percent(of(share))),
        cell("significant", words.count(of("significant"))),
        cell("significant_negative", words.count(of("significant_negative"))),
        cell("genes_constant", words.count(of("genes_constant"))),
        cell("genes_without_model", words.count(of("genes_without_model"))),
    )
