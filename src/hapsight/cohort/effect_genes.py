"""Which gene an effect is of, where the table does not say: the nearest TSS, or every TSS within reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.effect_layouts import Wanted, read_given_effects
from hapsight.cohort.effect_tables import EffectTable
from hapsight.cohort.nouns import Gene
from hapsight.errors import InputError

__all__ = ["NEAREST", "NEAREST_WITHIN", "by_place", "given_effects", "no_farther", "require_genes"]

NEAREST: Final = "nearest TSS"
"""The rule by which an effect is of the gene whose TSS is nearest."""

NEAREST_WITHIN: Final = 100_000
"""Bases to the nearest TSS at most, where nobody says how many."""


def given_effects(
    path: Path, wanted: Wanted, within: int | None, genes: Sequence[Gene], contigs: Mapping[str, int]
) -> EffectTable:
    """The rows of a file that are of a cohort's genes, each with its gene and track.

    Parameters
    ----------
    wanted
        Its `gene` may be `NEAREST`.
    within
        Bases from the TSS at most. Where the file names no gene, a row is of every gene so near.
    contigs
        Lengths of the FASTA's contigs.

    Raises
    ------
    InputError
        The file cannot be read, has no effect on a gene of the cohort, or does not say which genes its rows
        are of.
    """
    nearest = wanted.gene == NEAREST
    given = read_given_effects(path, replace(wanted, gene=None) if nearest else wanted)
    if nearest or (within is not None and not given.genes):
        bare = replace(given, genes=(), table=given.table.with_columns(gene_id=pl.lit(None, pl.String)))
        reach = NEAREST_WITHIN if within is None else within
        placed = by_place(bare.for_genes(genes, contigs), genes, reach, nearest)
    else:
        require_genes(given)
        placed = given.for_genes(genes, contigs)
        placed = placed if within is None else no_farther(placed, genes, within)
    _require_some(placed, genes)
    return placed


def _require_some(given: EffectTable, genes: Sequence[Gene]) -> None:
    if given.table.is_empty():
        raise InputError(
            "No effect is of a gene of the cohort.",
            where=given.path,
            expected=f"effects on genes such as {', '.join(gene.gene_id for gene in genes[:3])}",
            got="no row within reach of their TSSs",
            fix="widen `within`, or look whether contigs and build are the cohort's",
        )


def by_place(given: EffectTable, genes: Sequence[Gene], within: int | None, nearest: bool) -> EffectTable:
    """Rows with the genes that lie near them, whatever the table calls its genes.

    Parameters
    ----------
    within
        Bases from the TSS at most.
    nearest
        Only the gene of the nearest TSS (of two as near, of the first on the contig; all genes of that TSS);
        else each gene within reach.

    Raises
    ------
    InputError
        A row has no place in this build.
    """
    _require_places(given)
    columns = [name for name in given.table.columns if name != "gene_id"]
    found = [given.table.clear()]
    for contig in dict.fromkeys(gene.contig for gene in genes):
        own = [gene for gene in genes if gene.contig == contig]
        rows = given.table.filter(pl.col("contig") == plain_contig(contig)).sort(
            "position", maintain_order=True
        )
        position = rows["position"].to_numpy()
        near = _nearest(position, own) if nearest else None
        for gene in own:
            reach = within if within is not None else np.iinfo(np.int64).max // 4
            first, last = np.searchsorted(position, [gene.tss - reach, gene.tss + reach + 1])
            mine = rows[int(first) : int(last)]
            if near is not None:
                mine = mine.filter(pl.Series(near[first:last] == gene.tss))
            found.append(mine.with_columns(gene_id=pl.lit(gene.gene_id)).select("gene_id", *columns))
    table = pl.concat(found)
    return replace(given, table=table, genes=tuple(table["gene_id"].unique(maintain_order=True)))


def _nearest(position: NDArray[np.int64], genes: Sequence[Gene]) -> NDArray[np.int64]:
    """(R,) the TSS nearest to each position."""
    tss = np.unique([gene.tss for gene in genes])
    right = np.searchsorted(tss, position).clip(0, len(tss) - 1)
    left = (right - 1).clip(0)
    nearer: NDArray[np.int64] = np.where(
        np.abs(position - tss[left]) <= np.abs(tss[right] - position), left, right
    )
    return np.asarray(tss[nearer], np.int64)


def _require_places(given: EffectTable) -> None:
    bare = given.table.filter(pl.col("position").is_null() | pl.col("contig").is_null())
    if not bare.is_empty():
        raise InputError(
            "A variant has no place, so that no TSS is near it.",
            where=given.path,
            expected="places of the FASTA's build, or a column gene_id",
            got=f"{len(bare):,} of {len(given.table):,} rows, such as {bare['rsid'][0] or bare['build'][0]}",
        )


def no_farther(given: EffectTable, genes: Sequence[Gene], within: int) -> EffectTable:
    """Rows at most so many bases from the TSS of their gene; of those without a place, all."""
    tss = {gene.gene_id: gene.tss for gene in genes}
    far = (pl.col("position") - pl.col("gene_id").replace_strict(tss, default=None)).abs() > within
    return replace(given, table=given.table.filter(~far.fill_null(False)))


def require_genes(given: EffectTable) -> None:
    """Refuse a table in which rows name no gene, where no rule says which gene they are of.

    Raises
    ------
    InputError
        There are such.
    """
    bare = given.table["gene_id"].null_count()
    if bare:
        raise InputError(
            "Which gene an effect is of is not said.",
            where=given.path,
            expected="a column gene_id, or a rule under [[models]]: "
            'gene = "nearest TSS"; or within = 100000: every gene with its TSS so near',
            got=f"{bare:,} of {len(given.table):,} rows without a gene",
        )
