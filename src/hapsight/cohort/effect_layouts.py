"""Files of variant effects as AlphaGenome, Borzoi, Enformer, Basenji and ExPecto write them, and VCF.

Each becomes the table that `hapsight.cohort.effect_tables` takes up, a row for each variant, gene and track.

Which gene an effect is of, where the table does not say: the nearest TSS, or every TSS within reach.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.effect_hdf5 import places_of_tracks, read_score_hdf5
from hapsight.cohort.effect_tables import VALUES, EffectTable, effect_table, read_effect_table
from hapsight.cohort.nouns import Gene
from hapsight.cohort.predictdb import is_sqlite
from hapsight.cohort.tables import read_lines, read_table
from hapsight.errors import InputError

__all__ = [
    "NEAREST",
    "NEAREST_WITHIN",
    "TRACK",
    "Wanted",
    "by_place",
    "given_effects",
    "no_farther",
    "read_given_effects",
    "require_genes",
]

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


def by_place(given: EffectTable, genes: Sequence[Gene], within: int, nearest: bool) -> EffectTable:
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
            first, last = np.searchsorted(position, [gene.tss - within, gene.tss + within + 1])
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


TRACK: Final = "effect"
"""What the one track of a file is called that names none."""

_WHAT: Final = "effects"
_HDF5: Final = (".h5", ".hdf5")
_VCF: Final = (".vcf", ".vcf.gz", ".vcf.bgz")
_OF_ALL: Final = re.compile(r"##INFO=<ID=([^,]+),Number=R,")
"""A key of INFO with a number for each allele, REF's first."""
_SCORE_ENTRY: Final = "entries gene_id|gene_name|track|haplotype|without|effect|Consequence, of one ALT"
_ALPHAGENOME: Final = frozenset({"variant_id", "variant_scorer", "raw_score", "track_name"})
_EXPECTO: Final = frozenset({"0", "1", "2", "3", "4", "dist", "strand"})
_EFFECT: Final = ("effect",)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a file is to be used.

    Attributes
    ----------
    value
        The column, dataset or INFO key with the effect; else what the layout has.
    gene
        The column or INFO key that names the gene; else what the layout has.
    tracks
        Names of tracks; all where empty.
    where
        Only rows that have one of these texts in these columns.
    """

    value: str | None = None
    gene: str | None = None
    tracks: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_given_effects(path: Path, wanted: Wanted) -> EffectTable:
    """Read effects of variants, whoever wrote them; ``track`` is among the columns.

    Known layouts, told by their columns or datasets (the name says HDF5, VCF, CSV or Parquet):

    - AlphaGenome's ``variant_scores`` (``tidy_scores`` of the package alphagenome, 0.1 and later, as its
      notebooks save it): ``variant_id`` as ``chr22:36201698:A>C``, ``gene_id`` (perhaps empty),
      ``track_name``, ``raw_score``; one scorer, by `where` if there are several.
    - Borzoi's ``sed.h5`` (``borzoi_sed.py`` of calico/borzoi, commit 6d657e1): ``logSED``, else ``SED``, one
      row for each pair of ``si`` (a variant) and ``gene``.
    - ``sad.h5`` of Basenji (``basenji_sad.py`` of calico/basenji), and the like of Enformer's published
      scores of 1000 Genomes (its README: ``ref, alt``, not ``ref_allele, alt_allele``): ``SAD``, no gene.
    - ExPecto's CSV (``predict.py`` of FunctionLab/ExPecto, commit 05f482c): columns ``0`` to ``4`` of its
      VCF, ``dist, gene, strand``, and one for each expression model.
    - A VCF whose INFO has a number for each ALT (`value`), or the entries of ``hapsight score``.
    - Any table of `hapsight.cohort.effect_tables`, that of ``hapsight explain`` too.

    Raises
    ------
    InputError
        The file cannot be read, lacks what is wanted, or has more than `MOST_TRACKS` tracks of which none
        are chosen.
    MissingExtraError
        It is HDF5, and h5py is not installed.
    """
    if path.is_file() and is_sqlite(path):
        _require_unused(path, where=wanted.where, gene=wanted.gene, value=wanted.value)
        found, chosen = read_effect_table(path, _WHAT), False
    else:
        frame, values, chosen = _read(path, wanted)
        found = effect_table(path, frame, _WHAT, values)
    return _with_tracks(found, None if chosen else wanted.tracks)


def _read(path: Path, wanted: Wanted) -> tuple[pl.DataFrame, Sequence[str], bool]:
    """The rows, which columns may hold the value, and whether tracks were chosen by either of their names."""
    name = path.name.lower()
    if name.endswith(_HDF5):
        _require_unused(path, where=wanted.where, gene=wanted.gene)
        return read_score_hdf5(path, wanted.value, wanted.tracks), _EFFECT, True
    if name.endswith(_VCF):
        _require_unused(path, where=wanted.where)
        return pl.DataFrame(list(_vcf_rows(path, wanted)), schema=_VCF_ROW, orient="row"), _EFFECT, False
    frame = read_table(path, _WHAT)
    frame = frame.rename({column: column.lower().lstrip("#") for column in frame.columns})
    frame = _with_gene(_chosen(frame, path, wanted.where), path, wanted.gene)
    if set(frame.columns) >= _ALPHAGENOME:
        return _alphagenome(frame, path, wanted), _EFFECT, False
    if set(frame.columns) >= _EXPECTO and {"gene", "gene_id"} & set(frame.columns):
        return _expecto(frame, path, wanted), _EFFECT, False
    return frame, VALUES if wanted.value is None else (wanted.value.lower(),), False


def _require_unused(path: Path, **keys: object) -> None:
    """Refuse keys that a layout has no use for."""
    given = [name for name, value in keys.items() if value]
    if given:
        raise InputError(
            f"The effects are in a file that has no columns to choose by `{given[0]}`.",
            where=path,
            expected=f"a model without {' and '.join(f'`{name}`' for name in given)}, or another layout",
            got=f"{given[0]} = {keys[given[0]]!r}",
        )


def _chosen(frame: pl.DataFrame, path: Path, where: Mapping[str, tuple[str, ...]]) -> pl.DataFrame:
    """Rows that say what was asked for."""
    for name, texts in where.items():
        column = _column(frame, path, name)
        kept = frame.filter(pl.col(column).cast(pl.String).is_in(texts))
        if kept.is_empty():
            there = frame[column].cast(pl.String).drop_nulls().unique(maintain_order=True).head(8)
            raise InputError(
                "No row of the effects is one of those that are asked for.",
                where=f"{path}, column {name}",
                expected=" or ".join(texts),
                got=", ".join(there),
                fix="give texts of the column under `where`",
            )
        frame = kept
    return frame


def _column(frame: pl.DataFrame, path: Path, name: str) -> str:
    if name.lower() not in frame.columns:
        raise InputError(
            "The table of effects lacks a column that is asked for.",
            where=path,
            expected=name,
            got=", ".join(frame.columns),
        )
    return name.lower()


def _with_gene(frame: pl.DataFrame, path: Path, gene: str | None) -> pl.DataFrame:
    """The column that names the gene, under the name that it has in tables."""
    if gene is None:
        return frame
    column = _column(frame, path, gene)
    others = [
        name for name in ("gene", "gene_id", "phenotype_id") if name in frame.columns and name != column
    ]
    return frame.drop(others).rename({column: "gene_id"})


def _alphagenome(frame: pl.DataFrame, path: Path, wanted: Wanted) -> pl.DataFrame:
    """One scorer of AlphaGenome; its tracks are told apart by strand where the score is not a gene's."""
    scorers = frame["variant_scorer"].cast(pl.String).unique(maintain_order=True).to_list()
    if len(scorers) > 1:
        first = next((name for name in scorers if str(name).startswith("GeneMaskLFCScorer")), scorers[0])
        raise InputError(
            "The table has scores of several kinds, which are no effects on one scale.",
            where=path,
            expected="one of its scorers (GeneMaskLFCScorer: log fold change over a gene's exons)",
            got=[str(name) for name in scorers[:8]],
            fix=f"set where = {{ variant_scorer = {str(first)!r} }} under [[models]]",
        )
    name = track = pl.col("track_name").cast(pl.String)
    if {"track_strand", "gene_id"} <= set(frame.columns):
        stranded = pl.col("gene_id").is_null() & pl.col("track_strand").is_in(["+", "-"])
        track = pl.when(stranded).then(pl.format("{} ({})", name, pl.col("track_strand"))).otherwise(name)
    kept = [column for column in ("variant_id", "gene_id") if column in frame.columns]
    value = (wanted.value or "raw_score").lower()
    return frame.select(*kept, track=track, effect=_column(frame, path, value))


def _expecto(frame: pl.DataFrame, path: Path, wanted: Wanted) -> pl.DataFrame:
    """Columns behind ``strand`` are expression models."""
    models = frame.columns[frame.columns.index("strand") + 1 :]
    chosen = [models[i] for i in places_of_tracks(path, (models, models), wanted.tracks)]
    names = {"0": "chrom", "1": "pos", "2": "rsid", "3": "ref", "4": "alt"}
    names["gene_id" if "gene_id" in frame.columns else "gene"] = "gene_id"
    table = frame.select(*(pl.col(old).alias(new) for old, new in names.items()), *chosen)
    long = table.unpivot(chosen, index=list(names.values()), variable_name="track", value_name="effect")
    return long.with_columns(pl.col("rsid").replace(".", None))


def _with_tracks(found: EffectTable, wanted: Sequence[str] | None) -> EffectTable:
    """Every row with a track, of those that are wanted; None: of all."""
    table = found.table
    if "track" not in table.columns:
        table = table.with_columns(track=pl.lit(TRACK))
    table = table.with_columns(pl.col("track").fill_null(TRACK))
    if wanted is not None:
        names = table["track"].unique(maintain_order=True).to_list()
        kept = [names[i] for i in places_of_tracks(found.path, (names,), wanted)]
        table = table.filter(pl.col("track").is_in(kept))
    return replace(found, table=table)


_VCF_ROW: Final[Any] = {
    **dict.fromkeys(("chrom", "pos", "rsid", "ref", "alt", "gene_id", "track"), pl.String),
    "effect": pl.String,
}


def _vcf_rows(path: Path, wanted: Wanted) -> Iterator[tuple[str | None, ...]]:
    """An effect of each ALT of each record that has one: INFO keys with a number, or entries of ``score``."""
    key, tagged, of_all = wanted.value, False, set[str]()
    for number, line in enumerate(read_lines(path, _WHAT), start=1):
        if line.startswith("#"):
            of_all |= {declared[1]} if (declared := _OF_ALL.match(line)) else set()
            continue
        fields = line.split("\t", 8)
        if len(fields) < 8:
            raise InputError(
                "A record of a VCF is cut short.",
                where=f"{path}, line {number}",
                expected="8 columns, separated by tabs",
                got=f"{len(fields)} columns",
            )
        info = dict(entry.partition("=")[::2] for entry in fields[7].split(";"))
        if key is None:
            key = _only_key(path, info)
        if key in info:
            tagged = True
            yield from _record_rows(f"{path}, line {number}", fields, info, key, wanted.gene, key in of_all)
    if not tagged:
        raise InputError(
            "No record of the VCF has an effect.",
            where=path,
            expected=f"INFO with {key}" if key else "an INFO key that `value` names",
            got="none",
        )


def _only_key(path: Path, info: Mapping[str, str]) -> str:
    """The key of the first record, where nobody says which."""
    own = [name for name in info if name.startswith("hapsight_") and not name.endswith("_max")]
    keys = own or list(info)
    if len(keys) != 1:
        raise InputError(
            "Which key of INFO is the effect is not said.",
            where=path,
            expected="value = one of its keys, under [[models]]",
            got=", ".join(keys) or "no key",
        )
    return keys[0]


def _record_rows(
    where: str, fields: Sequence[str], info: Mapping[str, str], key: str, gene: str | None, of_ref: bool
) -> Iterator[tuple[str | None, ...]]:
    chrom, pos, name, ref, alt = fields[:5]
    alts, cells = alt.split(","), info[key].split(",")
    rsid = None if name == "." else name
    if "|" in info[key]:
        for cell in cells:
            parts = [unquote(part) for part in cell.split("|")]
            if len(parts) not in (6, 7) or len(alts) != 1:  # 6: written before there was a Consequence
                raise _miscounted(where, key, _SCORE_ENTRY, cell)
            if parts[3] == "0":
                yield chrom, pos, rsid, ref, alt, parts[0], parts[2], parts[5]
        return
    cells = cells[1:] if of_ref else cells
    if len(cells) != len(alts):
        raise _miscounted(where, key, f"{len(alts)} numbers, one for each ALT", info[key])
    for allele, cell in zip(alts, cells, strict=True):
        if cell != ".":
            yield chrom, pos, rsid, ref, allele, info.get(gene) if gene else None, None, cell


def _miscounted(where: str, key: str, expected: str, got: str) -> InputError:
    return InputError(
        "The effects of a record do not fit its alleles.",
        where=f"{where}, INFO key {key}",
        expected=expected,
        got=got,
    )
