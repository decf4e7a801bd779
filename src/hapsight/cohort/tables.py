"""Text tables as the field writes them: plain or gzipped, tab- or comma-separated, with one header line."""

from __future__ import annotations

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.wholeness import is_bgzip, is_gzip, require_end, require_file
from hapsight.errors import InputError

__all__ = ["numbers", "read_lines", "read_table", "require_unique"]


def read_lines(path: Path, what: str) -> Iterator[str]:
    """Lines of a text file without their ends; a gzipped file that is cut off is an error."""
    require_file(path, what)
    compressed = is_gzip(path)
    if compressed and is_bgzip(path):
        require_end(path)
    try:
        with gzip.open(path, "rt") if compressed else open(path) as file:
            for line in file:
                yield line.rstrip("\r\n")
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"The {what} file is damaged or no text.", where=path, got=error) from error


def read_table(path: Path, what: str) -> pl.DataFrame:
    """A table whose every cell is text, null where empty; comma-separated where the name says ``.csv``.

    Raises
    ------
    InputError
        The file is missing, cut off, empty, ragged, or names a column twice.
    """
    if path.suffix == ".parquet":
        require_file(path, what)
        try:
            return pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(
                f"The {what} file is no Parquet that can be read.", where=path, got=error
            ) from error
    lines = [line for line in read_lines(path, what) if line and not line.startswith("##")]
    if len(lines) < 2:
        raise InputError(f"The {what} file has no rows.", where=path, expected="a header line and rows")
    separator = "," if ".csv" in path.suffixes else "\t"
    _require_even(path, lines, separator)
    header = lines[0].split(separator)
    require_unique(header, "column", path)
    text = "\n".join(lines).encode()
    table = pl.read_csv(io.BytesIO(text), separator=separator, infer_schema=False, quote_char='"')
    return table.rename(lambda name: name.strip())


def _require_even(path: Path, lines: Sequence[str], separator: str) -> None:
    wanted = lines[0].count(separator)
    for number, line in enumerate(lines, start=1):
        if line.count(separator) != wanted and '"' not in line:
            raise InputError(
                "A row is longer or shorter than the header.",
                where=f"{path}, row {number} ({line.split(separator)[0]})",
                expected=f"{wanted + 1} fields, separated by {'a comma' if separator == ',' else 'a tab'}",
                got=f"{line.count(separator) + 1} fields",
            )


def require_unique(names: Iterable[str], what: str, where: object) -> None:
    """Refuse a name that comes twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"A {what} is there twice.",
            where=where,
            got=", ".join(twice[:5]),
            fix=f"keep one row for each {what}",
        )


def numbers(table: pl.DataFrame, rows: Sequence[str], where: object) -> NDArray[np.float64]:
    """All cells (R, C) as float64; the row's name and the column of one that is no finite number are told.

    Raises
    ------
    InputError
        A cell is empty, not numeric, NaN or infinite.
    """
    cast = table.select(pl.all().cast(pl.Float64, strict=False))
    values = np.array(cast.to_numpy(), dtype=np.float64, order="C")
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            "A value is not a finite number.",
            where=f"{where}, row {rows[row]}, column {table.columns[column]}",
            expected="a number",
            got=f"{table[row, column]!r}; {bad.sum():,} such of {bad.size:,} values",
            fix="give every value a number, or leave the row or the column out",
        )
    return values
