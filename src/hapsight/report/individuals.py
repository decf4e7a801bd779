"""What a report holds of single people: nothing, unless it is asked for."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from hapsight.report.run_folder import RunFolder

__all__ = ["MARK", "asked_for", "pages_with_individuals", "without_individuals"]

MARK: Final = '<meta name="hapsight-individuals" content="yes">'
"""In the head of a gene page that shows single people."""

_HEAD: Final = 4096
_NOT_NAMED: Final = "not named; `--include-individuals` names them"
_NAMING_CHECKS: Final = frozenset({"people", "people match"})
"""Checks whose details are names of people."""


def asked_for(run: RunFolder) -> bool:
    """Whether the run's own configuration wants single people in its report; False where it cannot tell."""
    try:
        section = tomllib.loads(run.config or "").get("report", {})
    except tomllib.TOMLDecodeError:
        return False
    return isinstance(section, dict) and section.get("include_individuals") is True


def without_individuals(run: RunFolder) -> RunFolder:
    """The run without names of people: in what was left out, in the checks, and in each person's numbers.

    A person's correlation over genes stays, without the name and in no order that tells it.
    """
    is_sample = pl.col("kind") == "sample"
    nobody = pl.lit([_NOT_NAMED], dtype=pl.List(pl.String))
    person = run.per_person.with_columns(sample_id=pl.lit(None, pl.String))
    return replace(
        run,
        dropped=run.dropped.with_columns(names=pl.when(is_sample).then(nobody).otherwise("names")),
        checks=None if run.checks is None else [_without_names(check) for check in run.checks],
        per_person=person.sort("model", "read_out", "spearman_r", "pearson_r"),
    )


def _without_names(check: dict[str, Any]) -> dict[str, Any]:
    if check.get("name") not in _NAMING_CHECKS or not check.get("details"):
        return check
    return {**check, "details": [f"people are {_NOT_NAMED}"]}


def pages_with_individuals(folder: Path) -> int:
    """How many gene pages of a run folder show single people."""
    pages = (folder / "report" / "genes").glob("*.html")
    return sum(_shows_people(page) for page in pages)


def _shows_people(page: Path) -> bool:
    with page.open("rb") as file:
        return MARK.encode() in file.read(_HEAD)
