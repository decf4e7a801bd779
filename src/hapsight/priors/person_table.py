"""Tables of a number for each gene and person, such as half-lives of personal transcripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped
from hapsight.cohort.tables import numbers, read_table, require_unique
from hapsight.errors import InputError

__all__ = ["PERSON_VALUES", "read_person_values"]

PERSON_VALUES: Final = {"gene_id": pl.String, "sample_id": pl.String, "value": pl.Float64}
"""Columns of such a table."""


def read_person_values(
    path: Path, genes: Sequence[str], samples: Sequence[str]
) -> tuple[dict[str, NDArray[np.float64]], Dropped]:
    """Read ``gene_id, sample_id, value``.

    Returns
    -------
    Gene -> (N,) in the order of `samples`, of those of `genes` that the table has; and what it has of others.

    Raises
    ------
    InputError
        A column is missing, a value is no finite number, a pair comes twice, or a gene has some of the people
        only.
    """
    table = read_table(path, "person covariates")
    lacking = [name for name in PERSON_VALUES if name not in table.columns]
    if lacking:
        raise InputError(
            "The table of persons lacks columns.",
            where=path,
            expected=", ".join(PERSON_VALUES),
            got=f"without {', '.join(lacking)}",
        )
    pairs = [f"{gene}, {sample}" for gene, sample in table.select("gene_id", "sample_id").iter_rows()]
    require_unique(pairs, "gene and person", path)
    typed = table.with_columns(value=numbers(table.select("value"), pairs, path)[:, 0])
    dropped = Dropped()
    for kind, column, known in (("sample", "sample_id", samples), ("gene", "gene_id", genes)):
        for name in sorted(set(typed[column]) - set(known)):
            dropped.add(kind, f"in {path.name}, not in the cohort", name)
    own = typed.filter(pl.col("gene_id").is_in(list(genes)), pl.col("sample_id").is_in(list(samples)))
    groups = own.partition_by("gene_id", as_dict=True)
    return {str(gene): _of_gene(path, str(gene), rows, samples) for (gene,), rows in groups.items()}, dropped


def _of_gene(path: Path, gene: str, rows: pl.DataFrame, samples: Sequence[str]) -> NDArray[np.float64]:
    values = dict(rows.select("sample_id", "value").iter_rows())
    missing = [sample for sample in samples if sample not in values]
    if missing:
        raise InputError(
            "The table of persons does not have all people of a gene.",
            where=f"{path}, gene {gene}",
            expected=f"{len(samples)} people",
            got=f"without {', '.join(missing[:5])}" + (" ..." if len(missing) > 5 else ""),
            fix="give every person of the cohort a value, or leave the gene out",
        )
    return np.array([values[sample] for sample in samples], np.float64)
