"""Tables of what variants do to genes, made elsewhere: weights, effects of models, measured effects.

One reader for all of them: PredictDB, text or Parquet. What it gives is laid on the cohort's variants by
`hapsight.cohort.alleles.align_weights`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import Place, WeightRow
from hapsight.cohort.contigs import build_named, build_of, plain_contig
from hapsight.cohort.matching import without_version
from hapsight.cohort.nouns import Gene
from hapsight.cohort.predictdb import is_sqlite, read_predictdb
from hapsight.cohort.tables import numbers, read_table
from hapsight.errors import InputError

__all__ = [
    "ROWS",
    "VALUES",
    "EffectTable",
    "allele_column",
    "effect_table",
    "read_effect_table",
    "side_of",
    "weight_rows",
]

ROWS: Final = {
    "gene_id": pl.String,
    "rsid": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "build": pl.String,
    "ref": pl.String,
    "alt": pl.String,
    "value": pl.Float64,
}
"""Columns of a table once it is read. ``gene_id`` is null where a row is of any gene; ``contig`` (without
``chr``) and ``position`` (0-based) where only the name of a variant is known, ``contig`` alone where it is
the gene's; ``build`` is that which the variant's name ends in."""

VALUES: Final = ("weight", "beta", "effect")
"""Columns that may hold the value, per copy of ALT."""

_LEVEL: Final = "reference_value"
_SYNONYMS: Final = {
    "gene": "gene_id",
    "phenotype_id": "gene_id",
    "varid": "variant_id",
    "ref_allele": "ref",
    "eff_allele": "alt",
}
_TESTED: Final = ("a1", "effect_allele", "tested_allele", "eff_allele")
_FORMS: Final = (
    "alleles ref, alt, and a place: chrom, pos (from 1), or contig, position (from 0), or variant_id, as "
    "chr22_1000_A_G or an rsID; of variant_id as chr22_1000_A_G, the alleles too"
)
_VARIANT_ID: Final = (
    r"(?i)^(?:chr)?([^_:\-]+)[_:\-]([0-9.]+(?:e\+?[0-9]+)?)"
    r"[_:\-]([a-z]+|\*|<[^>]*>)[_:\-/>]([a-z]+|\*|<[^>]*>)(?:[_:\-](\w+))?$"
)
_DNA: Final = r"^(?:[ACGTN]+|\*|<[^>]+>)$"
_LOGICAL: Final = ("TRUE", "FALSE", "F")
_MOST: Final = 2.0**53
_EMPTY: Final = ("", ".", "NA", "NaN", "nan", "null")
"""Cells that say nothing."""


@dataclass(frozen=True, eq=False)
class EffectTable:
    """What was read of a table.

    Attributes
    ----------
    what
        ``"weights"`` or ``"effects"``, for errors.
    table
        Columns `ROWS`, and ``track`` and ``reference_value`` (of the reference sequence) where the file has
        them; no gene has a variant twice (per track).
    genes
        Names of all genes of the file, those without a row too; empty where it names none.
    """

    path: Path
    what: str
    table: pl.DataFrame
    genes: tuple[str, ...]

    def for_genes(self, genes: Sequence[Gene], contigs: Mapping[str, int]) -> EffectTable:
        """The rows of a cohort's genes, under the cohort's ``gene_id``.

        A gene is found by its identifier, else by the identifier without version (``.12``), else by its
        name, where that is one gene's on either side. Places of another build than the FASTA's, by the names
        of the variants and the lengths of the contigs, are taken away: such variants are found by rsID only.

        Raises
        ------
        InputError
            The file names genes, and none of them is the cohort's.
        """
        own = _own_names(self.genes, genes)
        if self.genes and not own:
            raise InputError(
                f"No gene of the cohort is in the {self.what}.",
                where=self.path,
                expected=f"genes such as {', '.join(gene.gene_id for gene in genes[:3])}",
                got=", ".join(self.genes[:3]),
            )
        table = self.table.filter(pl.col("gene_id").is_null() | pl.col("gene_id").is_in(list(own)))
        contig_of = {gene.gene_id: plain_contig(gene.contig) for gene in genes}
        table = table.with_columns(pl.col("gene_id").replace(own)).with_columns(
            contig=pl.coalesce("contig", pl.col("gene_id").replace_strict(contig_of, default=None))
        )
        elsewhere = pl.col("build") != pl.lit(build_of(contigs))
        here = (pl.when(elsewhere).then(None).otherwise(pl.col(n)).alias(n) for n in ("contig", "position"))
        return replace(self, table=table.with_columns(here), genes=tuple(own.values()))

    def holding(self, genes: Sequence[Gene]) -> EffectTable:
        """The rows that may be of variants near these genes: theirs or any gene's, by contig or rsID."""
        names, contigs = [gene.gene_id for gene in genes], {plain_contig(gene.contig) for gene in genes}
        own = pl.col("gene_id").is_null() | pl.col("gene_id").is_in(names)
        here = pl.col("contig").is_in(contigs) | (pl.col("rsid") != "")
        return replace(self, table=self.table.filter(own & here))

    @property
    def elsewhere(self) -> int:
        """Rows whose place is of another build; after `for_genes`."""
        unplaced = pl.col("build").is_not_null() & pl.col("position").is_null()
        return self.table.filter(unplaced).height

    def by_gene(self) -> dict[str, tuple[WeightRow, ...]]:
        """Rows of each gene; errors as of `rows_of`."""
        parts = self._parts
        return {name: weight_rows(parts[(name,)]) if (name,) in parts else () for name in self.genes}

    def rows_of(self, gene_id: str) -> tuple[WeightRow, ...]:
        """Rows of a gene.

        Raises
        ------
        InputError
            A row of the table names no gene.
        """
        part = self._parts.get((gene_id,))
        return () if part is None else weight_rows(part)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of each gene that has any."""
        return {str(key[0]): part.height for key, part in self._parts.items()}

    @cached_property
    def _parts(self) -> dict[tuple[object, ...], pl.DataFrame]:
        nameless = self.table["gene_id"].null_count()
        if nameless or not self.genes:
            raise InputError(
                f"A row of the {self.what} names no gene.",
                where=self.path,
                expected="a column gene_id (or gene), and a gene in every row",
                got=f"{nameless:,} rows without, of {len(self.table):,}",
            )
        return self.table.partition_by("gene_id", as_dict=True)


def weight_rows(table: pl.DataFrame) -> tuple[WeightRow, ...]:
    """Rows of a table with the columns `ROWS`, as they are aligned."""
    columns = table.select("rsid", "contig", "position", "build", "ref", "alt", "value")
    return tuple(_weight_row(*row) for row in columns.iter_rows())


def _weight_row(
    rsid: str, contig: str | None, position: int | None, build: str | None, ref: str, alt: str, value: float
) -> WeightRow:
    if contig is None or position is None:
        return WeightRow(rsid, "", ref, alt, value, None, build is not None)
    return WeightRow(rsid, "", ref, alt, value, Place(contig, position))


def _own_names(names: Sequence[str], genes: Sequence[Gene]) -> dict[str, str]:
    """The cohort's ``gene_id`` of each name of a file that is one of its genes."""
    known = set(names)
    found = {gene.gene_id: gene.gene_id for gene in genes if gene.gene_id in known}
    stems = _unique({name: _stem(name) for name in names})
    ours = (
        _unique({gene.gene_id: _stem(gene.gene_id) for gene in genes}),
        _unique({gene.gene_id: gene.gene_name for gene in genes if gene.gene_name}),
    )
    for theirs, own in zip((stems, {name: name for name in names}), ours, strict=True):
        taken = set(found.values())
        found |= {
            theirs[key]: gene_id
            for key, gene_id in own.items()
            if key in theirs and gene_id not in taken and theirs[key] not in found
        }
    return found


def _stem(name: str) -> str:
    """An identifier without version, of Ensembl's or another's."""
    return without_version(name) if name.startswith("ENS") else name.split(".")[0]


def _unique(key_of: Mapping[str, str]) -> dict[str, str]:
    """Names by key, where the key belongs to one name."""
    times = Counter(key_of.values())
    return {key: name for name, key in key_of.items() if times[key] == 1}


def read_effect_table(path: Path, what: str, values: Sequence[str] = VALUES) -> EffectTable:
    """Read a PredictDB, or a table as text (tab, or comma for ``.csv``; gzipped or not) or Parquet.

    Parameters
    ----------
    what
        ``"weights"`` or ``"effects"``.
    values
        Names of the column with the value; the first that is there counts. It is per copy of ALT
        (``eff_allele``).

    Raises
    ------
    InputError
        The file cannot be read, has no rows or lacks columns; a place is no whole number, an allele is no
        DNA, a value is no finite number, or a gene has a variant twice.
    """
    if path.is_file() and is_sqlite(path):
        database = read_predictdb(path)
        return effect_table(path, database.weights, what, ("weight",), database.genes)
    return effect_table(path, read_table(path, what), what, values)


def effect_table(
    path: Path, table: pl.DataFrame, what: str, values: Sequence[str], genes: Sequence[str] = ()
) -> EffectTable:
    """Take up a table that was read from `path`; errors as of `read_effect_table`.

    Parameters
    ----------
    genes
        Of the file, beside those that have a row.
    """
    table = _renamed(table)
    value = next((name for name in values if name in table.columns), None)
    has = set(table.columns)
    placed = {"chrom", "pos"} <= has or ("position" in has and has & {"contig", "gene_id"})
    named = bool(has & {"variant_id", "rsid"})
    if value is None or not ((placed and {"ref", "alt"} <= has) or named):
        raise InputError(
            f"The table of {what} lacks columns.",
            where=path,
            expected=f"{' or '.join(values)} (per ALT allele); {_FORMS}",
            got=", ".join(table.columns),
        )
    if table.is_empty():
        raise InputError(f"The table of {what} has no rows.", where=path, expected="a row for each variant")
    rows = _typed(path, table, what, value, has)
    _require_once(path, rows, what)
    names = dict.fromkeys([*genes, *rows["gene_id"].drop_nulls().unique(maintain_order=True)])
    return EffectTable(path, what, rows, tuple(names))


def _renamed(table: pl.DataFrame) -> pl.DataFrame:
    """Columns in small letters, and under one name each."""
    table = table.rename({name: name.lower().lstrip("#") for name in table.columns})
    return table.rename(
        {old: new for old, new in _SYNONYMS.items() if old in table.columns and new not in table.columns}
    )


def _typed(path: Path, table: pl.DataFrame, what: str, value: str, has: set[str]) -> pl.DataFrame:
    """The columns `ROWS`, and ``track`` and ``reference_value`` where they are there."""
    wanted = ("gene_id", "variant_id", "rsid", "chrom", "pos", "contig", "position", "ref", "alt", "track")
    try:
        cells = table.select(pl.col(name).cast(pl.String) for name in wanted if name in has)
        text = cells.with_columns(pl.all().str.strip_chars().replace(_EMPTY, None))
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"The table of {what} cannot be read.", where=path, got=str(error).partition("\n")[0]
        ) from None
    parsed = _parsed_ids(text)
    place = _places(path, what, text, parsed, has)
    ref, alt = (text[name] if {"ref", "alt"} <= has else parsed[name] for name in ("ref", "alt"))
    nothing = pl.Series([None] * len(text), dtype=pl.String)
    name = text["variant_id"] if "variant_id" in has else nothing
    rsid = text["rsid"].fill_null(name) if "rsid" in has else name
    rows = pl.DataFrame(
        {
            "gene_id": text["gene_id"] if "gene_id" in has else nothing,
            "rsid": rsid.fill_null(""),
            **{column: place[column] for column in ("contig", "position", "build")},
            "ref": ref.str.to_uppercase(),
            "alt": alt.str.to_uppercase(),
        }
    )
    _require_whole(path, rows, table)
    _require_dna(path, rows, what)
    amount = numbers(table.select(value), [str(row + 1) for row in range(table.height)], path)[:, 0]
    amount *= _sides(path, table, rows)
    extra = [text["track"]] if "track" in has else []
    if _LEVEL in has:
        level = numbers(table.select(_LEVEL), [str(row + 1) for row in range(table.height)], path)[:, 0]
        extra.append(pl.Series(_LEVEL, level))
    return rows.with_columns(pl.Series("value", amount), *extra).cast(ROWS)  # type: ignore[arg-type]


def allele_column(columns: Sequence[str]) -> str | None:
    """The column that names the allele which values are of, such as PLINK 2's A1, which may be REF."""
    return next((name for name in columns if name.lower() in _TESTED), None)


def side_of(tested: str, ref: str, alt: str, where: str) -> int:
    """1 where a value is of ALT, -1 where it is of REF.

    Raises
    ------
    InputError
        It is of neither.

    Examples
    --------
    >>> side_of("a", "A", "G", "qtl.tsv, row 1")
    -1
    """
    sides = {ref: -1, alt: 1}
    if tested.upper() not in sides:
        raise InputError(
            "An effect is of an allele that is neither REF nor ALT.",
            where=where,
            expected=f"{ref} or {alt}",
            got=tested or "nothing",
            fix="name the allele of the effect in each row; or leave the column out, and give effects of ALT",
        )
    return sides[tested.upper()]


def _sides(path: Path, table: pl.DataFrame, rows: pl.DataFrame) -> NDArray[np.int64]:
    """(n,) 1 where a row's value is of ALT, -1 where a column says that it is of REF."""
    column = allele_column(table.columns)
    if column is None:
        return np.ones(len(rows), np.int64)
    cells = (str(cell or "").strip() for cell in table[column])
    of = zip(cells, rows["ref"], rows["alt"], strict=True)
    sides = [side_of(*one, f"{path}, row {n}, column {column}") for n, one in enumerate(of, start=1)]
    return np.array(sides, np.int64)


def _parsed_ids(text: pl.DataFrame) -> pl.DataFrame:
    """``contig, pos, ref, alt, build`` of ``variant_id``; null where that is no place."""
    name = pl.col("variant_id") if "variant_id" in text.columns else pl.lit(None, pl.String)
    parts = ("contig", "pos", "ref", "alt", "build")
    parsed = (name.str.extract(_VARIANT_ID, group).alias(part) for group, part in enumerate(parts, start=1))
    return text.with_columns(parsed).select(parts)


def _places(path: Path, what: str, text: pl.DataFrame, parsed: pl.DataFrame, has: set[str]) -> pl.DataFrame:
    """``contig, position, build`` by the columns for places where they are there, else by ``variant_id``."""
    build = parsed["build"].replace_strict(
        {name: build_named(name) for name in parsed["build"].drop_nulls().unique()}, default=None
    ).cast(pl.String)  # fmt: skip
    if {"chrom", "pos"} <= has:
        contig, position = text["chrom"], _whole_numbers(path, what, text["pos"], 1) - 1
    elif "position" in has:
        contig = text["contig"] if "contig" in has else pl.Series([None] * len(text), dtype=pl.String)
        position = _whole_numbers(path, what, text["position"], 0)
    else:
        contig, position = (
            parsed["contig"],
            _whole_numbers(path, what, parsed["pos"].rename("variant_id"), 1) - 1,
        )
    plain = {name: plain_contig(name) for name in contig.drop_nulls().unique()}
    contig = contig.replace_strict(plain, default=None).cast(pl.String)
    return pl.DataFrame({"contig": contig, "position": position, "build": build})


def _whole_numbers(path: Path, what: str, column: pl.Series, least: int) -> pl.Series:
    """Whole numbers however they are written: ``19268333``, ``19268333.0``, ``1.9268333e7``."""
    given = column.cast(pl.Float64, strict=False)
    fine = ((given == given.round()) & (given >= least) & (given < _MOST)).fill_null(False)
    if column.name == "variant_id":  # one that is a name only has no place
        fine = fine | column.is_null()
    if not fine.all():
        row = int((~fine).arg_true()[0])
        raise InputError(
            f"A variant of the {what} has no place.",
            where=f"{path}, row {row + 1}, column {column.name}",
            expected=f"whole numbers from {least}",
            got=f"{column[row]!r}, in {int((~fine).sum()):,} of {len(column):,} rows",
            fix="positions from 0 go into the columns contig, position"
            if least and (given == 0).any()
            else None,
        )
    return given.cast(pl.Int64)


def _require_whole(path: Path, rows: pl.DataFrame, table: pl.DataFrame) -> None:
    """Refuse a row that does not say which variant and alleles it is of."""
    unknown = (pl.col("position").is_null() & (pl.col("rsid") == "")) | pl.any_horizontal(
        pl.col("ref", "alt").is_null()
    )
    incomplete = rows.select(unknown).to_series()
    if incomplete.any():
        row = int(incomplete.arg_true()[0])
        raise InputError(
            "An effect does not say which alleles it is of.",
            where=f"{path}, row {row + 1}",
            expected=_FORMS,
            got=", ".join(str(cell) for cell in table.row(row)),
        )


def _require_dna(path: Path, rows: pl.DataFrame, what: str) -> None:
    """Refuse alleles of other letters; ``*`` and names such as ``<DEL>`` pass, and are found in no cohort."""
    for name in ("ref", "alt"):
        wrong = ~rows[name].str.contains(_DNA)
        if wrong.any():
            row = int(wrong.arg_true()[0])
            logical = rows[name][row] in _LOGICAL
            raise InputError(
                f"An allele of the {what} is not DNA.",
                where=f"{path}, row {row + 1}, column {name}",
                expected="letters A, C, G, T, N",
                got=f"{rows[name][row]!r}; {int(wrong.sum()):,} such of {len(rows):,} rows",
                fix="R takes a column of T for TRUE: read the alleles as text "
                "(colClasses = 'character') and write the table again"
                if logical
                else "give the letters of both alleles, or leave the row out",
            )


def _require_once(path: Path, rows: pl.DataFrame, what: str) -> None:
    known = [name for name in ("gene_id", "track") if name in rows.columns]
    unplaced = pl.when(pl.col("position").is_null()).then("rsid").alias("name")
    twice = rows.filter(rows.select(*known, "contig", "position", unplaced, "ref", "alt").is_duplicated())
    if not twice.is_empty():
        first = twice.row(0, named=True)
        placed = first["position"] is not None
        place = f"{first['contig'] or ''}_{first['position'] + 1}" if placed else first["rsid"]
        of_gene = f" of gene {first['gene_id']}" if first["gene_id"] else ""
        name = f"{place}_{first['ref']}_{first['alt']}{of_gene}".lstrip("_")
        raise InputError(
            f"The table of {what} has a variant twice.",
            where=path,
            got=f"{twice.height} such rows, such as {name}",
            fix="keep one row per variant (and gene)",
        )
