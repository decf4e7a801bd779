"""Parquet files: written whole, and read where a damaged one would end the process in polars' code."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Final

import polars as pl

from hapsight.disk import write_atomically
from hapsight.errors import InputError

__all__ = ["BAD_PARQUET", "as_parquet", "require_readable", "write_table"]

BAD_PARQUET: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What polars raises at a damaged Parquet file; a panic of its compiled code is no `Exception`."""

_READ: Final = "import sys, polars; polars.read_parquet(sys.argv[1])"


def require_readable(path: Path, what: str) -> None:
    """Let another process read a user's Parquet file first, since a damaged one may end the process.

    Raises
    ------
    InputError
        That process did not come through.
    """
    command = [sys.executable, "-c", _READ, str(path)]
    tried = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if tried.returncode:
        said = [line for line in tried.stderr.splitlines() if line.strip() and not line.startswith(" ")]
        panicked = next((line for line in said if "alloc" in line or "panicked" in line), None)
        raise InputError(
            f"The {what} file is no Parquet that can be read.",
            where=path,
            got=panicked or (said[-1] if said else f"its reader ended with {tried.returncode}"),
            fix="write the file again",
        )


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a Parquet table atomically."""
    write_atomically(path, as_parquet(table))


def as_parquet(table: pl.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()
