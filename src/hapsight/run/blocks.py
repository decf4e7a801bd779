"""Blocks of neighbouring genes, a unit of work each: of about equal predicted work, or of a size asked for.

The blocks depend on the genes, the genotypes' index and the configuration, never on who does the work, so
that a run goes on with other workers from where it was. Genes that a finished unit holds stay in it: where
others are added, only these are computed.

Reading the variants of many windows: each apart, or all at once where windows overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import polars as pl

from hapsight.cohort.effect_fit import SAMPLE
from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.cohort.reference import Reference
from hapsight.cohort.tables import stream_table
from hapsight.run.opened import Opened, add_dropped
from hapsight.run.store import NamedUnit, UnitStore, block_key

__all__ = [
    "Block",
    "KeyedBlock",
    "VariantReader",
    "WholeTables",
    "blocks_of_size",
    "even_blocks",
    "in_gene_order",
    "in_turn",
    "keyed_blocks",
    "largest_genes",
    "linear_blocks",
    "model_target",
    "scan_in_gene_order",
]

Block = tuple[str, Sequence[Gene]]
"""Its name and genes."""


@dataclass(frozen=True, slots=True)
class KeyedBlock:
    """A block of genes as a store has it, or is to have it."""

    name: str
    key: str
    genes: tuple[Gene, ...]


_MOST: Final = 32
"""Genes in a block, however little each takes: reading and writing take time too."""

_LINEAR: Final = 2e8
"""Variants times people in a linear block: about a minute of the elastic net, 0.57 s a gene at 1.6e6."""

_CPU: Final = 5e12
"""Floating-point operations in a block of a model: a minute at 83 GFLOP a second."""
_GPU: Final = 5e14
"""The same on a GPU."""


def blocks_of_size(genes: Sequence[Gene], size: int) -> list[Block]:
    """Blocks of `size` genes."""
    starts = range(0, len(genes), size)
    return [(_name(number), genes[first : first + size]) for number, first in enumerate(starts)]


def even_blocks(genes: Sequence[Gene], cost: Callable[[Gene], float], target: float) -> list[Block]:
    """Blocks of about `target` predicted cost, each of one contig and of about 32 genes at most.

    Along a contig costs are laid end to end and cut in lengths of `target`; a gene is in the length where its
    middle is. So a gene that costs more is alone in its block or nearly so, a block's cost is off by at most
    half of its first and half of its last gene, and genes that come behind leave all blocks but the last as
    they are.
    """
    blocks: list[Sequence[Gene]] = []
    first = 0
    for _, part in groupby(genes, key=lambda gene: gene.contig):
        costs = np.array([max(cost(gene), target / _MOST) for gene in part])
        length = np.floor((np.cumsum(costs) - costs / 2) / target)
        cuts = np.flatnonzero(np.diff(length)) + 1
        edges = [first, *(first + cuts).tolist(), first + len(costs)]
        blocks += [genes[start:end] for start, end in pairwise(edges)]
        first += len(costs)
    return [(_name(number), block) for number, block in enumerate(blocks)]


def linear_blocks(opened: Opened, cis_window: int, size: int | None) -> list[Block]:
    """All genes, for linear methods: the work grows with the variants of the cis window, and with people."""
    cohort = opened.cohort
    if size is not None:
        return blocks_of_size(cohort.genes, size)

    def cost(gene: Gene) -> float:
        return cohort.genotypes.expected_records(gene.cis(cis_window)) * len(cohort.samples)

    return even_blocks(cohort.genes, cost, _LINEAR)


def keyed_blocks(store: UnitStore, blocks: Sequence[Block], keys: Mapping[str, str]) -> list[KeyedBlock]:
    """The units that hold all genes of `blocks` once: finished ones as they are, and what they leave.

    Parameters
    ----------
    blocks
        As they are wanted where nothing is finished.
    keys
        By ``gene_id``: a digest of all that the gene's numbers depend on.
    """
    gene_of = {keys[gene.gene_id]: gene for _, genes in blocks for gene in genes}
    finished = {key: name for name, key in store.sealed().items() if gene_of.keys() >= set(key.split("."))}
    wanted = [block_key(keys[gene.gene_id] for gene in genes) for _, genes in blocks]
    found = [
        KeyedBlock(finished[key], key, tuple(gene_of[part] for part in key.split(".")))
        for key in _disjoint([key for key in wanted if key in finished], finished)
    ]
    held = {gene for block in found for gene in block.genes}
    for name, genes in blocks:
        left = tuple(gene for gene in genes if gene not in held)
        if left:
            key = block_key(keys[gene.gene_id] for gene in left)
            found.append(KeyedBlock(store.name_for(name, key), key, left))
    place = {key: index for index, key in enumerate(gene_of)}
    return sorted(found, key=lambda block: place[block.key.partition(".")[0]])


def _disjoint(first: Sequence[str], finished: Mapping[str, str]) -> Iterator[str]:
    """Keys of units that have no gene in common: the `first`, then the others, the largest before."""
    held: set[str] = set()
    others = sorted(finished, key=lambda key: (-key.count("."), finished[key]))
    for key in dict.fromkeys([*first, *others]):
        parts = key.split(".")
        if held.isdisjoint(parts):
            held.update(parts)
            yield key


class _Unit(Protocol):
    @property
    def genes(self) -> Sequence[Gene]:
        """Of the block."""


class _StoredUnit(_Unit, NamedUnit, Protocol):
    pass


Unit = TypeVar("Unit", bound=_Unit)


def in_turn(units: Sequence[Unit], genes: Sequence[Gene]) -> Iterator[tuple[Unit, list[Gene]]]:
    """All `genes` in their order, with the unit that holds them; a unit may come several times."""
    unit_of = {gene.gene_id: index for index, unit in enumerate(units) for gene in unit.genes}
    for index, part in groupby(genes, key=lambda gene: unit_of[gene.gene_id]):
        yield units[index], list(part)


def in_gene_order(table: pl.DataFrame, genes: Sequence[Gene], column: str = "gene_id") -> pl.DataFrame:
    """Rows in the order of the genes, and of one gene in the order that they have."""
    place = pl.DataFrame({column: [gene.gene_id for gene in genes], "place": range(len(genes))})
    placed = table.join(place, on=column, how="left", maintain_order="left")
    return placed.sort("place", maintain_order=True).drop("place")


def scan_in_gene_order(
    store: UnitStore, units: Sequence[_StoredUnit], table: str, genes: Sequence[Gene]
) -> pl.LazyFrame:
    """A table of all units as `in_gene_order` has it, not read yet.

    Raises
    ------
    IncompleteError
        Some units are not done.
    """
    paths = dict(zip((unit.name for unit in units), store.paths(units, table), strict=True))
    held = {gene.gene_id for unit in units for gene in unit.genes}
    turns = list(in_turn(units, [gene for gene in genes if gene.gene_id in held]))
    if [(unit.name, own) for unit, own in turns] == [(unit.name, list(unit.genes)) for unit in units]:
        return pl.scan_parquet(list(paths.values()))
    ones = ((paths[unit.name], gene.gene_id) for unit, own in turns for gene in own)
    return pl.concat(pl.scan_parquet(path).filter(pl.col("gene_id") == gene) for path, gene in ones)


@dataclass(frozen=True, slots=True)
class WholeTables:
    """The tables of all units of a stage, genes in the cohort's order, which may be too large for the memory.

    Attributes
    ----------
    schemas
        By name, of the tables.
    """

    opened: Opened
    store: UnitStore
    units: Sequence[_StoredUnit]
    schemas: Mapping[str, Any]
    _scans: dict[str, pl.LazyFrame] = field(default_factory=dict, init=False)

    def scan(self, name: str) -> pl.LazyFrame:
        """One of them, not read yet; it is looked at once whether it is as it was sealed.

        Raises
        ------
        IncompleteError
            Some units are not done.
        """
        if name not in self._scans:
            order = self.opened.cohort.genes
            found = scan_in_gene_order(self.store, self.units, name, order) if self.units else None
            self._scans[name] = pl.LazyFrame(schema=self.schemas[name]) if found is None else found
        return self._scans[name]

    def rows(self, name: str) -> int:
        """How many rows one of them has."""
        return int(self.scan(name).select(pl.len()).collect().item())

    def write(self) -> None:
        """Write them beside the units, and add what was left out to what other stages left out."""
        for name in self.schemas:
            stream_table(self.store.folder / f"{name}.parquet", self.scan(name))
        if self.units:
            add_dropped(self.opened, self.store.read(self.units, "dropped"))


def model_target(device: str) -> float:
    """Floating-point operations of a model's block on such a device."""
    return _CPU if device.startswith("cpu") else _GPU


def _name(number: int) -> str:
    return f"block-{number:05d}"


class VariantReader:
    """Variants of any interval, and what was dropped of all that was read.

    Parameters
    ----------
    expected
        Intervals that will be asked for. Where together they are shorter than their sum, they are read
        once, with the first that is asked for, and kept; others are read when asked for.
    """

    def __init__(self, genotypes: Genotypes, reference: Reference, expected: Sequence[Interval] = ()) -> None:
        self._genotypes, self._reference = genotypes, reference
        self.dropped = Dropped()
        self._together: list[Interval] = []
        self._kept: dict[Interval, Variants] = {}
        for contig in sorted({interval.contig for interval in expected}):
            parts = [interval for interval in expected if interval.contig == contig]
            union = Interval(contig, min(p.start for p in parts), max(p.end for p in parts))
            if len(parts) > 1 and len(union) < sum(map(len, parts)):
                self._together.append(union)

    def __call__(self, interval: Interval) -> Variants:
        """The variants whose reference allele overlaps `interval`."""
        for union in self._together:
            if (
                union.contig == interval.contig
                and union.start <= interval.start
                and interval.end <= union.end
            ):
                if union not in self._kept:
                    self._kept[union] = self._read(union)
                return self._kept[union].within(interval)
        return self._read(interval)

    def _read(self, interval: Interval) -> Variants:
        variants, dropped = self._genotypes.read(interval, self._reference)
        self.dropped.merge(dropped)
        return variants


Rows = TypeVar("Rows")


def largest_genes(
    opened: Opened,
    size: Callable[[Gene], int],
    rows: Callable[[Gene], Rows],
    window: Callable[[Gene], Interval],
) -> Iterator[tuple[Rows, Variants]]:
    """The rows of a table of the few genes that have the most, and the variants that these may be of."""
    cohort = opened.cohort
    reader = VariantReader(cohort.genotypes, cohort.reference)
    for gene in sorted(cohort.genes, key=lambda gene: -size(gene))[:SAMPLE]:
        yield rows(gene), reader(window(gene))
