"""PredictDB: linear weights per gene in an SQLite file, as PrediXcan and MetaXcan read them.

And the covariances of dosages that S-PrediXcan asks for beside it.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from hapsight.errors import InputError
from hapsight.files import temporary_name

__all__ = [
    "COVARIANCES",
    "EXTRA",
    "WEIGHTS",
    "PredictDb",
    "is_sqlite",
    "read_predictdb",
    "write_covariances",
    "write_predictdb",
]

WEIGHTS: Final = {
    "gene": pl.String,
    "rsid": pl.String,
    "varID": pl.String,
    "ref_allele": pl.String,
    "eff_allele": pl.String,
    "weight": pl.Float64,
}
"""Columns of the table ``weights``: one row per gene and variant."""

EXTRA: Final = {
    "gene": pl.String,
    "genename": pl.String,
    "n.snps.in.model": pl.Int64,
    "pred.perf.R2": pl.Float64,
    "pred.perf.pval": pl.Float64,
    "pred.perf.qval": pl.Float64,
}
"""Columns of the table ``extra`` that readers of PredictDB ask for: one row per gene."""

COVARIANCES: Final = {"GENE": pl.String, "RSID1": pl.String, "RSID2": pl.String, "VALUE": pl.Float64}
"""Columns of S-PrediXcan's ``--covariance``: one row per gene and pair of its variants."""

_LOGICAL: Final = (
    "an allele is a number: R takes a column of T for TRUE, which is 1 in SQLite; read the alleles as text "
    "(colClasses = 'character') and write the file again"
)
_SQL: Final = {pl.String: "TEXT", pl.Int64: "INTEGER", pl.Float64: "REAL"}


@dataclass(frozen=True, slots=True, eq=False)
class PredictDb:
    """What was read of a PredictDB file.

    Attributes
    ----------
    weights
        Columns `WEIGHTS`, in the file's order; weights are finite, and no allele or gene is missing.
    genes
        Genes of the table ``extra``, or of ``weights`` where a gene is in one only.
    """

    path: Path
    weights: pl.DataFrame
    genes: tuple[str, ...]


def is_sqlite(path: Path) -> bool:
    """Whether a file begins as an SQLite database."""
    with open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\x00"


def read_predictdb(path: Path | str) -> PredictDb:
    """Read the weights and the genes of a PredictDB file.

    Raises
    ------
    InputError
        There is no such file, it is no SQLite database, lacks a table or a column, or holds a weight that
        is no finite number or has no gene or allele.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("There is no such PredictDB file.", where=path)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            weights = _read(database, path, "weights", tuple(WEIGHTS))
            extra = _read(database, path, "extra", ("gene",))
    except sqlite3.DatabaseError as error:
        raise InputError(
            "The file is not a PredictDB.",
            where=path,
            expected="an SQLite database with the tables weights and extra",
            got=error,
        ) from None
    table = _typed(path, weights)
    genes = dict.fromkeys([*(str(row[0]) for row in extra), *table["gene"].to_list()])
    return PredictDb(path, table, tuple(genes))


def _read(
    database: sqlite3.Connection, path: Path, table: str, columns: Sequence[str]
) -> list[tuple[object, ...]]:
    kinds = database.execute("SELECT type FROM sqlite_master WHERE lower(name) = ?", [table]).fetchall()
    stored = kinds == [("table",)]  # a view could compute anything, without end
    found = [row[1] for row in database.execute(f"PRAGMA table_info({table})")] if stored else []
    if not found:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        raise InputError(
            f"The PredictDB has no table {table}.",
            where=path,
            expected="the tables weights and extra",
            got=", ".join(names) or "no table",
        )
    lacking = [name for name in columns if name not in found]
    if lacking:
        raise InputError(
            f"The table {table} of the PredictDB lacks columns: {', '.join(lacking)}.",
            where=path,
            expected=", ".join(columns),
            got=", ".join(found),
        )
    quoted = ", ".join(f'"{name}"' for name in columns)
    return database.execute(f"SELECT {quoted} FROM {table} ORDER BY rowid").fetchall()


def _typed(path: Path, rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """The weights as a table; ``rsid`` and ``varID`` may be empty, but not both."""
    for number, (gene, rsid, var_id, ref, effect, weight) in enumerate(rows, start=1):
        named = all(text is None or isinstance(text, str) for text in (gene, rsid, var_id, ref, effect))
        whole = named and all((gene, rsid or var_id, ref, effect)) and isinstance(weight, float | int)
        if not whole or abs(weight) == float("inf"):  # type: ignore[arg-type]
            raise InputError(
                "A weight of the PredictDB is not whole.",
                where=f"{path}, row {number} of the table weights",
                expected="a gene, an rsid or varID, both alleles, and a finite weight",
                got=f"{gene}, {rsid}, {var_id}, {ref}, {effect}, {weight}",
                fix=_LOGICAL if isinstance(ref, int) or isinstance(effect, int) else None,
            )
    texts = [(*(str(text or "") for text in row[:5]), float(str(row[5]))) for row in rows]
    table = pl.DataFrame(texts, schema=WEIGHTS, orient="row")
    return table.with_columns(pl.col("ref_allele", "eff_allele").str.to_uppercase())


def write_predictdb(
    path: Path | str, weights: pl.DataFrame, extra: pl.DataFrame, n_samples: int, facts: Mapping[str, object]
) -> None:
    """Write a PredictDB file, whole or not at all; an older file of that name is replaced.

    Parameters
    ----------
    weights
        Columns `WEIGHTS`; the weight is per copy of ``eff_allele``.
    extra
        Columns `EXTRA`; more are kept.
    n_samples
        People who trained the weights, for the table ``sample_info``.
    facts
        How the weights were made: rows ``name, value`` of the table ``construction``.

    Raises
    ------
    InputError
        The folder is not there or cannot be written to.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        with closing(sqlite3.connect(temporary)) as database, database:
            _write(database, "weights", weights)
            _write(database, "extra", extra)
            _write(database, "construction", _facts(facts))
            _write(database, "sample_info", pl.DataFrame({"n_samples": [n_samples]}))
            for table, column in (("weights", "rsid"), ("weights", "gene"), ("extra", "gene")):
                database.execute(f"CREATE INDEX {table}_{column} ON {table} ({column})")
        temporary.replace(path)
    except (OSError, sqlite3.OperationalError) as error:
        raise InputError("The PredictDB cannot be written.", where=path, got=error) from None
    finally:
        temporary.unlink(missing_ok=True)


def _facts(facts: Mapping[str, object]) -> pl.DataFrame:
    rows = [(name, str(value)) for name, value in facts.items()]
    return pl.DataFrame(rows, schema={"name": pl.String, "value": pl.String}, orient="row")


def _write(database: sqlite3.Connection, name: str, table: pl.DataFrame) -> None:
    columns = ", ".join(f'"{column}" {_SQL[kind.base_type()]}' for column, kind in table.schema.items())
    database.execute(f"CREATE TABLE {name} ({columns})")
    places = ", ".join("?" * table.width)
    database.executemany(f"INSERT INTO {name} VALUES ({places})", table.iter_rows())


def write_covariances(path: Path | str, genes: Iterable[pl.DataFrame], *, private: bool = False) -> int:
    """Write covariances as S-PrediXcan reads them, whole or not at all; an older file is replaced.

    Text with spaces between, gzipped.

    Parameters
    ----------
    genes
        A table a gene, columns `COVARIANCES`, each pair once and each variant with itself.
    private
        Nobody but the owner may read the file.

    Returns
    -------
    Rows that were written.

    Raises
    ------
    InputError
        The folder is not there or cannot be written to.
    """
    path, rows = Path(path), 0
    temporary = temporary_name(path)
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with open(handle, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
            file.write((" ".join(COVARIANCES) + "\n").encode())
            for table in genes:
                file.write(table.write_csv(separator=" ", include_header=False, quote_style="never").encode())
                rows += len(table)
        temporary.replace(path)
    except OSError as error:
        raise InputError("The covariances cannot be written.", where=path, got=error) from None
    finally:
        temporary.unlink(missing_ok=True)
    return rows
