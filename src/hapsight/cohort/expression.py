"""Measured expression: tensorQTL's phenotype BED."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene
from hapsight.cohort.tables import numbers, read_table, require_unique
from hapsight.errors import InputError

__all__ = ["Expression", "phenotype_columns", "read_expression"]

_CONTIG: Final = ("#chr", "chr", "#chrom", "chrom")
_GENE: Final = ("phenotype_id", "gene_id", "gene", "pid", "id", "trid")
_LAST_BASE: Final = 2**40
_NOT_PEOPLE: Final = frozenset({"gid", "strand", "score", "group_id"})


@dataclass(frozen=True, eq=False)
class Expression:
    """Expression of genes in people.

    Attributes
    ----------
    genes
        G genes; their TSS is the BED's start.
    samples
        N people.
    values
        (G, N) float64, finite, in the file's own units.
    """

    genes: tuple[Gene, ...]
    samples: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (len(self.genes), len(self.samples))
        if self.values.shape != shape:
            raise InputError(
                "The parts of Expression do not fit each other.", expected=shape, got=self.values.shape
            )

    def take(self, genes: NDArray[np.intp], samples: NDArray[np.intp]) -> Expression:
        """The genes and the people at these indices, in this order."""
        return Expression(
            tuple(self.genes[i] for i in genes),
            tuple(self.samples[i] for i in samples),
            self.values[np.ix_(genes, samples)],
        )


def phenotype_columns(header: list[str]) -> bool:
    """Whether these are the columns of a phenotype BED: contig, start, end, gene, people."""
    names = [name.lower() for name in header[:4]]
    return len(names) == 4 and names[0] in _CONTIG and names[1:3] == ["start", "end"] and names[3] in _GENE


def read_expression(path: Path | str) -> Expression:
    """Read a phenotype BED: plain, gzipped or Parquet; rows in any order.

    Columns are ``#chr start end phenotype_id``, then one for each person. Start is the TSS, 0-based
    (tensorQTL writes ``start = tss - 1``, ``end = tss`` of the 1-based TSS).

    Raises
    ------
    InputError
        Other columns, a value that is no finite number (row and column named), a gene or person twice.
    """
    path = Path(path)
    table = read_table(path, "expression")
    if not phenotype_columns(table.columns):
        raise InputError(
            "The expression file is not a phenotype BED.",
            where=path,
            expected="columns #chr, start, end, phenotype_id, then one for each person",
            got=", ".join(table.columns[:6]),
        )
    people = table[:, 4:]
    _require_people(path, people.columns)
    _require_named(path, table)
    gene_ids = [str(name) for name in table[:, 3]]
    require_unique(gene_ids, "gene", path)
    starts = _starts(path, table, gene_ids)
    genes = zip(gene_ids, table[:, 0].cast(pl.String), starts.tolist(), strict=True)
    return Expression(
        tuple(Gene(gene_id, contig, tss) for gene_id, contig, tss in genes),
        tuple(people.columns),
        numbers(people, gene_ids, path),
    )


def _require_named(path: Path, table: pl.DataFrame) -> None:
    """Every row has a contig and a gene."""
    nameless = table.select(pl.any_horizontal(pl.nth(0, 3).is_null())).to_series()
    if nameless.any():
        row = int(nameless.arg_true()[0])
        raise InputError(
            "A row of the expression file has no contig or no gene.",
            where=f"{path}, row {row + 1}",
            got=f"contig {table[row, 0]}, gene {table[row, 3]}",
        )


def _starts(path: Path, table: pl.DataFrame, gene_ids: list[str]) -> NDArray[np.int64]:
    """(G,) 0-based starts."""
    starts = numbers(table[:, 1:2].cast(pl.String), gene_ids, path)[:, 0]
    bad = (starts != np.floor(starts)) | (starts < 0) | (starts > _LAST_BASE)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            "A gene's start is no place on a contig.",
            where=f"{path}, row {gene_ids[row]}, column {table.columns[1]}",
            expected="a whole number from 0 on",
            got=repr(table[row, 1]),
        )
    return starts.astype(np.int64)


def _require_people(path: Path, columns: list[str]) -> None:
    if not columns:
        raise InputError(
            "The expression file has no people.", where=path, expected="a column for each person"
        )
    extra = [name for name in columns if name.lower() in _NOT_PEOPLE]
    if extra:
        raise InputError(
            "The expression file has columns that are not people.",
            where=path,
            expected="people from the fifth column on",
            got=", ".join(extra),
            fix="QTLtools' extra columns (gid, strand) are not tensorQTL's: remove them",
        )
