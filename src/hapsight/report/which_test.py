"""The significant genes of each arm under every test, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from hapsight.evaluate.nulls import TESTS
from hapsight.evaluate.protocols import Protocol, protocol_named
from hapsight.report import words
from hapsight.report.run_folder import Arm, RunFolder

__all__ = ["Judgement", "judgements"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one test says of one arm, in words.

    Attributes
    ----------
    leads
        Whether this is the test of the run's protocol, whose numbers stand in the rest of the report.
    interval
        95 % Wilson interval of `share`.
    """

    test: str
    leads: bool
    significant: str
    negative: str
    share: str
    interval: str


def judgements(run: RunFolder) -> tuple[tuple[Arm, tuple[Judgement, ...]], ...]:
    """Each arm with its tests, the one that leads first; an arm without tested genes is left out."""
    protocol = protocol_named(run.record.get("protocol"))
    found = ((arm, _quantities(run, arm)) for arm in run.arms)
    judged = ((arm, _rows(numbers, protocol)) for arm, numbers in found)
    return tuple((arm, rows) for arm, rows in judged if rows)


_Numbers = dict[str, tuple[float | None, int | None, float | None, float | None]]


def _quantities(run: RunFolder, arm: Arm) -> _Numbers:
    rows = arm.of(run.summary).select("quantity", "value", "n", "ci_low", "ci_high")
    return {quantity: (value, n, low, high) for quantity, value, n, low, high in rows.iter_rows()}


def _rows(numbers: _Numbers, protocol: Protocol) -> tuple[Judgement, ...]:
    leading = protocol.test_of("significant.folds" in numbers)
    made = [test for test in TESTS if f"significant.{test}" in numbers]
    return tuple(
        _row(numbers, test, test == leading) for test in sorted(made, key=lambda test: test != leading)
    )


def _row(numbers: _Numbers, test: str, leads: bool) -> Judgement:
    nothing = (None, None, None, None)
    significant, n, _, _ = numbers.get(f"significant.{test}", nothing)
    negative, _, _, _ = numbers.get(f"significant_negative.{test}", nothing)
    share, _, low, high = numbers.get(f"significant_negative_share.{test}", nothing)
    return Judgement(
        test=TESTS[test],
        leads=leads,
        significant=f"{words.count(significant)} of {words.count(n)}",
        negative=words.count(negative),
        share=words.percent(share),
        interval=words.ABSENT if low is None else f"{words.percent(low)} to {words.percent(high)}",
    )
