"""Enhancer-gene pairs that were tested by CRISPRi, in the layout of the ENCODE benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from hapsight.cohort.contigs import find_contig
from hapsight.cohort.matching import without_version
from hapsight.cohort.nouns import Dropped, Gene, Interval
from hapsight.cohort.reference import Reference
from hapsight.cohort.tables import read_table, require_columns
from hapsight.errors import InputError

__all__ = ["CrispriPair", "read_crispri"]

_COLUMNS: Final = (
    "chrom",
    "chromStart",
    "chromEnd",
    "name",
    "startTSS",
    "measuredGeneSymbol",
    "measuredGeneEnsemblId",
    "Regulated",
)
_TRUTH: Final = {"TRUE": True, "FALSE": False}


@dataclass(frozen=True, slots=True)
class CrispriPair:
    """An element, and the gene whose expression was measured when the element was silenced.

    Attributes
    ----------
    gene
        With the table's TSS, and the strand of the gene table where that has the gene.
    regulated
        Whether silencing the element lowered the gene's expression.
    """

    name: str
    element: Interval
    gene: Gene
    regulated: bool

    @property
    def distance(self) -> int:
        """Bases between the TSS and the middle of the element."""
        return abs((self.element.start + self.element.end) // 2 - self.gene.tss)


def read_crispri(
    path: Path, reference: Reference, genes: Sequence[Gene]
) -> tuple[list[CrispriPair], Dropped]:
    """Read the pairs that lie on contigs of `reference`.

    Columns: ``chrom, chromStart, chromEnd`` (0-based, half-open), ``name, startTSS`` (0-based),
    ``measuredGeneSymbol, measuredGeneEnsemblId, Regulated``. The table has no strands: these are taken from
    `genes`, found by Ensembl identifier without version, else by symbol.

    Raises
    ------
    InputError
        A column is missing, a cell is not what it should be, or no pair is left.
    """
    table = read_table(path, "CRISPRi")
    require_columns(table, _COLUMNS, "CRISPRi table", path)
    strands = {gene.gene_name: gene for gene in genes if gene.gene_name}
    strands |= {without_version(gene.gene_id): gene for gene in genes}
    dropped, pairs = Dropped(), []
    for number, row in enumerate(table.iter_rows(named=True), start=2):
        _require_cells(row, f"{path}, row {number}")
        contig = find_contig(row["chrom"], tuple(reference.contigs))
        if contig is None:
            dropped.add("pair", "its contig is not in the FASTA", row["name"])
        elif row["startTSS"] in (None, "NA"):
            dropped.add("pair", "the table has no TSS", row["name"])
        else:
            pairs.append(_pair(row, contig, strands, path))
    if not pairs:
        raise InputError(
            "The CRISPRi table has no pair on a contig of the FASTA.",
            where=path,
            expected=", ".join(list(reference.contigs)[:5]),
            got=", ".join(table["chrom"].unique().sort().head(5).to_list()),
        )
    return pairs, dropped


def _require_cells(row: dict[str, Any], where: str) -> None:
    empty = [name for name in ("chrom", "name", "measuredGeneEnsemblId") if row[name] is None]
    if empty:
        raise InputError("A pair has no name or no place.", where=where, got=f"empty: {', '.join(empty)}")


def _pair(row: dict[str, Any], contig: str, strands: dict[str, Gene], path: Path) -> CrispriPair:
    where = f"{path}, {row['name']}"
    if row["Regulated"] not in _TRUTH:
        raise InputError(
            "Whether a pair is regulated is not said.",
            where=where,
            expected="TRUE or FALSE",
            got=row["Regulated"],
        )
    place = _whole(row, ("chromStart", "chromEnd", "startTSS"), where)
    known = strands.get(row["measuredGeneEnsemblId"]) or strands.get(row["measuredGeneSymbol"])
    strand = known.strand if known is not None else None
    gene = Gene(row["measuredGeneEnsemblId"], contig, place[2], strand, row["measuredGeneSymbol"] or "")
    return CrispriPair(row["name"], Interval(contig, *place[:2]), gene, _TRUTH[row["Regulated"]])


def _whole(row: dict[str, Any], columns: Sequence[str], where: str) -> list[int]:
    found = pl.Series([row[name] for name in columns], dtype=pl.String).cast(pl.Int64, strict=False)
    for name, value in zip(columns, found, strict=True):
        if value is None:
            raise InputError(
                "A place of a pair is not a whole number.", where=f"{where}, {name}", got=repr(row[name])
            )
    return found.to_list()
