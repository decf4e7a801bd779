"""Read the published tables of both studies, and compute their numbers anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.tables import require_unique
from hapsight.errors import InputError
from hapsight.evaluate.published import (
    HUANG2023,
    SASSE2023,
    Huang2023,
    Reproduced,
    Sasse2023,
    compare,
    huang2023_numbers,
    sasse2023_numbers,
)

__all__ = ["reproduce_huang2023", "reproduce_sasse2023"]

_TRACK: Final = "CAGE,adult,brain"
_SASSE_COLUMNS: Final = {
    "r": f"PearsonR{_TRACK}",
    "null_mean": "RmeanRandom",
    "null_sd": "Rstdrandom",
    "observed_mean": "MeanObs",
    "predicted_mean": f"Mean{_TRACK}",
    "predixcan_r": "PrediXcanR",
}
_HUANG_MODELS: Final = ("Xpresso", "Enformer", "Basenji2", "ExPecto")
_HUANG_COLUMNS: Final = {"r": "rvalue", "distance": "distance", "maf": "minor_allele_freq"}
_ABSENT: Final = ("", "NA", "NaN", "nan")


def reproduce_sasse2023(table: Path) -> list[Reproduced]:
    """Compute the numbers of Sasse 2023 from its supplementary table 1 (tab-separated).

    Raises
    ------
    InputError
        The file is missing, lacks a column, or has something else than numbers there.
    """
    read = _read(table, "\t", ("gene_name", *_SASSE_COLUMNS.values()))
    numbers = {name: _numbers(read, column, table) for name, column in _SASSE_COLUMNS.items()}
    found = Sasse2023(gene_name=tuple(read["gene_name"].to_list()), **numbers)
    return _compared(table, lambda: compare(SASSE2023, sasse2023_numbers(found)))


def reproduce_huang2023(predictions: Path, eqtls: Path) -> list[Reproduced]:
    """Compute the numbers of Huang 2023 from its reference predictions and top eQTLs (comma-separated).

    Raises
    ------
    InputError
        A file is missing, lacks a column, or has something else than numbers there.
    """
    read = _read(predictions, ",", _HUANG_MODELS)
    reference = {model: _numbers(read, model, predictions) for model in _HUANG_MODELS}
    top = _read(eqtls, ",", tuple(_HUANG_COLUMNS.values()))
    numbers = {name: _numbers(top, column, eqtls) for name, column in _HUANG_COLUMNS.items()}
    return _compared(eqtls, lambda: compare(HUANG2023, huang2023_numbers(Huang2023(reference, **numbers))))


def _compared(path: Path, numbers: Callable[[], list[Reproduced]]) -> list[Reproduced]:
    """The numbers, or an error where a table is too short or too odd to have them."""
    try:
        with np.errstate(all="ignore"):
            return numbers()
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError) as error:
        raise InputError(
            "A published table does not have the numbers of the study.",
            where=path,
            expected="its genes with their correlations, and what goes with these",
            got=f"{type(error).__name__}: {error}",
            fix="give the table as the study published it",
        ) from error


def _read(path: Path, separator: str, columns: Sequence[str]) -> pl.DataFrame:
    """Read the wanted columns as text; a comment sign before the first column's name is not part of it."""
    try:
        table = pl.read_csv(path, separator=separator, infer_schema=False, null_values=list(_ABSENT))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError("A published table cannot be read.", where=path, got=error) from None
    plain = [name.lstrip("# ") for name in table.columns]
    require_unique(plain, "column", path)
    table.columns = plain
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        raise InputError(
            f"A published table lacks columns: {', '.join(lacking)}.",
            where=path,
            expected=", ".join(columns),
            got=", ".join(table.columns),
            fix="give the table as the study published it",
        )
    if table.is_empty():
        raise InputError("A published table has no rows.", where=path)
    return table.select(columns)


def _numbers(table: pl.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    """A column as float64, NaN where there is no number."""
    text = table[column]
    values = text.cast(pl.Float64, strict=False)
    wrong = text.filter(text.is_not_null() & values.is_null())
    if len(wrong):
        raise InputError(
            f"The column {column} of a published table must hold numbers.",
            where=path,
            got=f"{wrong[0]!r}, in {len(wrong)} of {len(text)} rows",
        )
    return values.fill_null(np.nan).to_numpy()
