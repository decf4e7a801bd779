"""The sample sheet: who the people are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from hapsight.cohort.ploidy import Sex, parse_sexes
from hapsight.cohort.tables import read_table, require_unique
from hapsight.errors import InputError

__all__ = ["SampleSheet", "read_sample_sheet"]


@dataclass(frozen=True)
class SampleSheet:
    """People with population and sex, as the sheet words them; ``None`` where it says nothing."""

    samples: tuple[str, ...]
    population: tuple[str | None, ...]
    sex: tuple[str | None, ...]
    path: Path | None = field(default=None, compare=False)

    def population_of(self) -> dict[str, str | None]:
        """Population of each person."""
        return dict(zip(self.samples, self.population, strict=True))

    def sexes(self) -> dict[str, Sex]:
        """Sex of each person of whom it is known.

        Raises
        ------
        InputError
            A word is none that the field uses for a sex.
        """
        return parse_sexes(zip(self.samples, self.sex, strict=True), self.path)


def read_sample_sheet(path: Path | str) -> SampleSheet:
    """Read a table with a column ``sample_id`` and perhaps ``population`` and ``sex``; others are ignored.

    Raises
    ------
    InputError
        No column ``sample_id``, an empty one, or a person twice.
    """
    path = Path(path)
    table = read_table(path, "sample sheet")
    if "sample_id" not in table.columns:
        raise InputError(
            "The sample sheet has no column sample_id.", where=path, got=", ".join(table.columns[:8])
        )
    samples = _column(table, "sample_id")
    if None in samples:
        raise InputError("A sample_id is empty.", where=f"{path}, row {samples.index(None) + 2}")
    names = tuple(name for name in samples if name is not None)
    require_unique(names, "sample_id", path)
    return SampleSheet(names, _column(table, "population"), _column(table, "sex"), path)


def _column(table: pl.DataFrame, name: str) -> tuple[str | None, ...]:
    if name not in table.columns:
        return (None,) * len(table)
    values = (None if value is None else str(value).strip() for value in table[name])
    return tuple(value or None for value in values)
