"""Measured expression: tensorQTL's phenotype BED."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.cohort.tables import numbers, read_table, require_unique
from hapsight.errors import ConfigError, InputError

__all__ = [
    "Expression",
    "Phenotype",
    "Transform",
    "phenotype_columns",
    "read_expression",
    "require_tss",
    "transform",
]

Transform = Literal["log10", "none"]
Phenotype = Literal["genes", "peaks"]
"""What the rows of a phenotype BED are: genes, read at their TSS, or peaks, read at their centre."""

_CONTIG: Final = ("#chr", "chr", "#chrom", "chrom")
_GENE: Final = ("phenotype_id", "gene_id", "gene", "pid", "id", "trid", "targetid", "molecular_trait_id")
_LAST_BASE: Final = 2**40
_OF_MATRIX: Final = (
    "of a matrix (GCT, salmon, RSEM, featureCounts): docs/formats.md has the lines that make one"
)
_NOT_PEOPLE: Final = frozenset({"gid", "strand", "score", "group_id"})


@dataclass(frozen=True, eq=False)
class Expression:
    """Expression of genes in people.

    Attributes
    ----------
    genes
        G genes; their TSS is the BED's start, on the minus strand its end. Peaks have their centre in its
        place, and no strand.
    samples
        N people.
    values
        (G, N) float64, finite, in the file's own units.
    bodies
        Rows longer than one base, by gene, none of peaks: where the strand is not known either, the TSS is
        not.
    stranded
        How many peaks have a strand in the file, which is not used.
    """

    genes: tuple[Gene, ...]
    samples: tuple[str, ...]
    values: NDArray[np.float64]
    bodies: Mapping[str, Interval] = field(default_factory=dict)
    stranded: int = 0

    def __post_init__(self) -> None:
        shape = (len(self.genes), len(self.samples))
        if self.values.shape != shape:
            raise InputError(
                "The parts of Expression do not fit each other.", expected=shape, got=self.values.shape
            )

    def stretches_in_words(self, genes: Collection[Gene]) -> tuple[str, ...]:
        """Where the TSS of some of its genes is, if their rows are longer than a base."""
        long = sum(gene.gene_id in self.bodies for gene in genes)
        if not long:
            return ()
        return (
            f"{long} of {len(genes)} genes are stretches longer than one base in the expression file; their "
            "TSS is the first base, on the minus strand the last",
        )

    def peaks_in_words(self) -> tuple[str, ...]:
        """How rows that are peaks are read."""
        found = ("the rows of the expression file are peaks: each is read at its centre, on no strand",)
        if not self.stranded:
            return found
        return (*found, f"{self.stranded} of {len(self.genes)} peaks have a strand, which is not used")

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


def read_expression(path: Path | str, phenotype: Phenotype = "genes") -> Expression:
    """Read a phenotype BED: plain, gzipped or Parquet; rows in any order.

    Columns are ``#chr start end phenotype_id``, then one for each person; between them may be QTLtools'
    ``gid`` (or ``score``) and ``strand``. A row of one base is the TSS (tensorQTL writes ``start = tss - 1``,
    ``end = tss`` of the 1-based TSS); of a longer one, the strand says which end is.

    Parameters
    ----------
    phenotype
        ``"peaks"``: each row is a stretch of DNA without direction, and is read at its centre.

    Raises
    ------
    InputError
        Other columns, a value that is no finite number (row and column named), a row that ends before it
        starts, a gene or person twice.
    """
    path = Path(path)
    table = read_table(path, "expression")
    if not phenotype_columns(table.columns):
        raise InputError(
            "The expression file is not a phenotype BED.",
            where=path,
            expected="columns #chr, start, end, phenotype_id, then one for each person",
            got=", ".join(table.columns[:6]),
            fix=_OF_MATRIX,
        )
    people = table[:, 4 + _extra_columns(table.columns[4:]) :]
    _require_people(path, people.columns)
    _require_named(path, table)
    gene_ids = [str(name).strip() for name in table[:, 3]]
    require_unique(gene_ids, "gene", path)
    places = _places(path, table, gene_ids)
    strands = _strands(path, table[:, 4 : -people.width], gene_ids)
    if phenotype == "peaks":
        stranded = len(strands) - strands.count(None)
        peaks = tuple(map(_peak, gene_ids, places))
        return Expression(peaks, tuple(people.columns), numbers(people, gene_ids, path), stranded=stranded)
    return Expression(
        tuple(map(_gene, gene_ids, places, strands)),
        tuple(people.columns),
        numbers(people, gene_ids, path),
        {gene_id: place for gene_id, place in zip(gene_ids, places, strict=True) if len(place) > 1},
    )


def _extra_columns(columns: Sequence[str]) -> int:
    """How many columns in front of the people are no people."""
    return next((n for n, name in enumerate(columns) if name.lower() not in _NOT_PEOPLE), len(columns))


def _gene(gene_id: str, place: Interval, strand: Strand | None) -> Gene:
    tss = place.end - 1 if strand is Strand.MINUS else place.start
    return Gene(gene_id, place.contig, tss, strand)


def _peak(peak_id: str, place: Interval) -> Gene:
    return Gene(peak_id, place.contig, (place.start + place.end) // 2, is_peak=True)


def require_tss(genes: Collection[Gene], bodies: Mapping[str, Interval], path: Path) -> None:
    """Refuse genes of a phenotype BED of which neither end is known to be the TSS.

    Raises
    ------
    InputError
        A row is longer than one base and has no strand.
    """
    unknown = [gene for gene in genes if gene.strand is None and gene.gene_id in bodies]
    if unknown:
        body = bodies[unknown[0].gene_id]
        raise InputError(
            f"{len(unknown)} of {len(genes)} genes have no TSS: their rows are longer than one base, without "
            "strand.",
            where=f"{path}, gene {unknown[0].gene_id}",
            expected="start = TSS - 1 and end = TSS (of the TSS counted from 1), or a column `strand`",
            got=f"{body.contig}, start {body.start}, end {body.end}",
            fix="give a gene table, whose TSS and strand are then used: `genes` under [cohort]; or, if "
            'the rows are peaks, to be read at their centre, set phenotype = "peaks" there',
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


def _places(path: Path, table: pl.DataFrame, gene_ids: list[str]) -> list[Interval]:
    """The stretch of each row."""
    starts, ends = (_whole(path, table[:, column : column + 1], gene_ids) for column in (1, 2))
    if (ends <= starts).any():
        row = int(np.argmax(ends <= starts))
        raise InputError(
            "A row of the expression file does not end behind its start.",
            where=f"{path}, row {gene_ids[row]}",
            expected="start = TSS - 1 and end = TSS, of the TSS counted from 1",
            got=f"start {starts[row]}, end {ends[row]}; {(ends <= starts).sum():,} such rows",
            fix="write starts that count from 0, and ends that count from 1",
        )
    contigs = table[:, 0].cast(pl.String).str.strip_chars().to_list()
    return list(map(Interval, contigs, starts.tolist(), ends.tolist()))


def _whole(path: Path, column: pl.DataFrame, gene_ids: list[str]) -> NDArray[np.int64]:
    """(G,) places of a column."""
    places = numbers(column.cast(pl.String), gene_ids, path)[:, 0]
    bad = (places != np.floor(places)) | (places < 0) | (places > _LAST_BASE)
    if bad.any():
        row = int(np.argmax(bad))
        name = column.columns[0]
        raise InputError(
            f"A gene's {name.lower()} is no place on a contig.",
            where=f"{path}, row {gene_ids[row]}, column {name}",
            expected="a whole number from 0 on",
            got=repr(column[row, 0]),
        )
    return places.astype(np.int64)


def _strands(path: Path, extra: pl.DataFrame, gene_ids: list[str]) -> list[Strand | None]:
    """The strand of each row, where there is such a column."""
    column = next((name for name in extra.columns if name.lower() == "strand"), None)
    if column is None:
        return [None] * len(gene_ids)
    texts = (str(text or "") for text in extra[column])
    return [
        Strand.parse(text, f"{path}, row {gene_id}, column {column}")
        for gene_id, text in zip(gene_ids, texts, strict=True)
    ]


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
            expected="people only, behind the gene's columns",
            got=", ".join(extra),
            fix="put QTLtools' columns (gid, strand) between the gene and the people, or remove them",
        )


def transform(values: NDArray[np.float64], how: Transform, pseudocount: float = 0.1) -> NDArray[np.float64]:
    """``log10(x + pseudocount)``, or nothing; shape kept.

    Raises
    ------
    InputError
        A logarithm is asked of values that are not positive with the pseudocount added.
    """
    if how == "none":
        return values
    if how != "log10":
        raise ConfigError("Unknown transform of the expression.", expected=get_args(Transform), got=how)
    if np.min(values, initial=np.inf) + pseudocount <= 0:
        raise InputError(
            "Expression has values whose logarithm does not exist.",
            expected=f"values above {-pseudocount}",
            got=f"minimum {np.min(values):g}",
            fix='if it is on a log or normal scale already, set `transform = "none"` under [expression]',
        )
    return np.asarray(np.log10(values + pseudocount), dtype=np.float64)
