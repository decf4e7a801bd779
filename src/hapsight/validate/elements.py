"""Elements that were changed and measured: saturation mutagenesis, and enhancers silenced by CRISPRi.

Read in the layouts of Kircher 2019 (Nature Communications 10, 3583) and of the ENCODE benchmark. A model
beside saturation mutagenesis: agreement, and what says as much without any model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.contigs import find_contig
from hapsight.cohort.matching import without_version
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.cohort.reference import Reference
from hapsight.cohort.tables import read_table, require_columns
from hapsight.dna import decode
from hapsight.errors import ConfigError, InputError
from hapsight.stats.direction import Share, same_sign, share_true

__all__ = [
    "CrispriPair",
    "MpraElement",
    "Predictor",
    "mpra_baselines",
    "read_crispri",
    "read_mpra",
    "sign_by_decile",
]

_COLUMNS: Final = (
    "Chrom",
    "Pos",
    "Ref",
    "Alt",
    "Barcodes",
    "Coefficient",
    "pValue",
    "Element",
    "Release",
)
_NUMBERS: Final = {"Pos": pl.Int64, "Barcodes": pl.Int64, "Coefficient": pl.Float64, "pValue": pl.Float64}
_DELETED: Final = "-"
_OTHER_REF: Final = "Ref differs from the FASTA"
_BASES: Final = ("A", "C", "G", "T")


@dataclass(frozen=True, slots=True, eq=False)
class MpraElement:
    """The measured variants of one regulatory element.

    Attributes
    ----------
    variants
        V variants by position, carried by nobody; a deletion has the base before it as its anchor.
    place
        (V,) 0-based position of the base that is changed.
    barcodes
        (V,) constructs that carry the variant.
    coefficient
        (V,) log2 change of expression that the variant makes.
    pval
        (V,) of the coefficient.
    """

    name: str
    variants: Variants
    place: NDArray[np.int64]
    barcodes: NDArray[np.int64]
    coefficient: NDArray[np.float64]
    pval: NDArray[np.float64]

    @property
    def goes(self) -> tuple[str, ...]:
        """V bases that are changed."""
        return tuple(ref[-1] for ref in self.variants.ref)

    @property
    def comes(self) -> tuple[str, ...]:
        """V bases that take their place; ``-`` where none does."""
        pairs = zip(self.variants.ref, self.variants.alt, strict=True)
        return tuple(_DELETED if len(ref) > len(alt) else alt for ref, alt in pairs)

    @property
    def interval(self) -> Interval:
        """From the first changed base to the last."""
        return Interval(self.variants.contig, int(self.place.min()), int(self.place.max()) + 1)


def read_mpra(
    path: Path,
    reference: Reference,
    release: str,
    elements: Sequence[str] = (),
    min_barcodes: int = 10,
) -> tuple[list[MpraElement], Dropped]:
    """Read the elements of a table that lie on contigs of `reference`.

    Columns: ``Chrom, Pos`` (1-based), ``Ref, Alt`` (``-``: the base is deleted), ``Barcodes, Coefficient,
    pValue, Element, Release``. Left out, and counted by name: rows without a place, on contigs that the FASTA
    lacks, with other alleles than one base, with a Ref that is not the FASTA's, with fewer than
    `min_barcodes` barcodes, or a variant's second row. Rows of other releases and elements are not asked for.

    Parameters
    ----------
    release
        Genome build as the table names it, such as ``"GRCh38"``.
    elements
        Names of elements; all where empty.

    Raises
    ------
    ConfigError
        The table has no such release or element.
    InputError
        A column is missing or holds no numbers, a row names no element or release, most Refs differ from the
        FASTA, or no variant is left.
    """
    table = _asked(_typed(read_table(path, "MPRA"), path), release, elements, path)
    dropped, kept = Dropped(), dict[str, dict[tuple[int, str], dict[str, Any]]]()
    for row in table.iter_rows(named=True):
        fault = _fault(row, reference, min_barcodes)
        mine = kept.setdefault(row["Element"], {})
        if fault is None and (row["Pos"], row["Alt"]) in mine:
            fault = "a second row of the variant"
        if fault is None:
            mine[row["Pos"], row["Alt"]] = row
        else:
            dropped.add("variant", fault, _name(row))
    _require_build(dropped, kept, path, release, reference)
    found = [_element(name, list(rows.values()), reference) for name, rows in kept.items() if rows]
    return found, dropped


def _typed(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    require_columns(table, _COLUMNS, "MPRA table", path)
    typed = table.with_columns(pl.col(name).cast(kind, strict=False) for name, kind in _NUMBERS.items())
    for name in ("Barcodes", "Coefficient", "pValue"):
        bad = np.flatnonzero(~typed[name].cast(pl.Float64).is_finite().fill_null(False))
        if len(bad):
            raise InputError(
                "A value of the MPRA table is not a finite number.",
                where=f"{path}, row {bad[0] + 2}, column {name}",
                expected="a number",
                got=repr(table[name][int(bad[0])]),
            )
    _require_named(typed, path)
    return typed.with_columns(pl.col("Ref", "Alt").str.to_uppercase())


def _require_named(table: pl.DataFrame, path: Path) -> None:
    """A row that is cut off belongs to no release, and would not be missed."""
    for name in ("Element", "Release"):
        empty = np.flatnonzero(table[name].is_null())
        if len(empty):
            raise InputError(
                f"A row of the MPRA table has no {name}.",
                where=f"{path}, row {empty[0] + 2}",
                expected=f"a value in the column {name}",
                got="nothing: the row ends early, or the cell is empty",
                fix="Download the table again if its last row is cut off; otherwise fill the cell.",
            )


def _asked(table: pl.DataFrame, release: str, elements: Sequence[str], path: Path) -> pl.DataFrame:
    """Rows of the release and the elements that are asked for."""
    _require_known("release", [release], table["Release"], path)
    table = table.filter(pl.col("Release") == release)
    _require_known("element", elements, table["Element"], path)
    return table.filter(pl.col("Element").is_in(list(elements))) if elements else table


def _require_known(what: str, asked: Sequence[str], there: pl.Series, path: Path) -> None:
    known = sorted(there.drop_nulls().unique().to_list())
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ConfigError(
            f"The MPRA table has no such {what}.",
            where=path,
            expected=f"one of {', '.join(known)}",
            got=", ".join(unknown),
        )


def _fault(row: dict[str, Any], reference: Reference, min_barcodes: int) -> str | None:
    """Why a row cannot be used."""
    if row["Pos"] is None or row["Chrom"] in (None, "NA"):
        return "no place in this release"
    contig = find_contig(row["Chrom"], tuple(reference.contigs))
    if contig is None:
        return "its contig is not in the FASTA"
    if row["Ref"] not in _BASES or row["Alt"] not in (*_BASES, _DELETED) or row["Ref"] == row["Alt"]:
        return "neither a substitution nor a deletion of one base"
    place = row["Pos"] - 1
    if decode(reference.fetch(Interval(contig, place, place + 1))) != row["Ref"]:
        return _OTHER_REF
    return f"fewer than {min_barcodes} barcodes" if row["Barcodes"] < min_barcodes else None


def _name(row: dict[str, Any]) -> str:
    return f"{row['Element']} {row['Chrom']}:{row['Pos']} {row['Ref']}>{row['Alt']}"


def _require_build(
    dropped: Dropped, kept: dict[str, dict[Any, Any]], path: Path, release: str, reference: Reference
) -> None:
    differ, left = dropped.counts["variant", _OTHER_REF], sum(map(len, kept.values()))
    if differ > left:
        raise InputError(
            "Most Ref alleles of the MPRA table are not those of the FASTA.",
            where=path,
            expected=f"bases of {reference.path}",
            got=f"{differ:,} differ, {left:,} agree",
            fix=f"{release} may not be the FASTA's build: choose another release",
        )
    if not left:
        raise InputError(
            "The MPRA table has no variant that can be used.",
            where=path,
            expected="variants on contigs of the FASTA",
            got="; ".join(f"{count:,}: {why}" for (_, why), count in dropped.counts.items()) or "no rows",
        )


def _element(name: str, rows: list[dict[str, Any]], reference: Reference) -> MpraElement:
    """The rows of an element, which are in order, as variants by position."""
    contig = reference.resolve(rows[0]["Chrom"])
    found = sorted((*_edit(row, contig, reference), index) for index, row in enumerate(rows))
    position, ref, alt, index = (list(column) for column in zip(*found, strict=True))
    ordered = [rows[i] for i in index]
    place = np.array([row["Pos"] - 1 for row in ordered], np.int64)
    names = tuple(f"{contig}:{row['Pos']} {row['Ref']}>{row['Alt']}" for row in ordered)
    nobody = np.empty((len(rows), 0, 2), np.uint8)
    return MpraElement(
        name,
        Variants(contig, np.array(position, np.int64), tuple(ref), tuple(alt), names, nobody, ()),
        place,
        np.array([row["Barcodes"] for row in ordered], np.int64),
        np.array([row["Coefficient"] for row in ordered], np.float64),
        np.array([row["pValue"] for row in ordered], np.float64),
    )


def _edit(row: dict[str, Any], contig: str, reference: Reference) -> tuple[int, str, str]:
    """Position and alleles as a VCF would have them."""
    place = row["Pos"] - 1
    if row["Alt"] != _DELETED:
        return place, row["Ref"], row["Alt"]
    before = decode(reference.fetch(Interval(contig, place - 1, place)))
    return place - 1, before + row["Ref"], before


Float = NDArray[np.float64]

_FOLDS: Final = 10
_NEAR: Final = 5
"""Bases on either side whose mean effect is the local baseline."""

_PURINES: Final = ("A", "G")


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """What something says of V variants: (V,) effects with their sign, and (V,) sizes."""

    name: str
    signed: Float
    size: Float


def mpra_baselines(
    place: NDArray[np.int64],
    distance: NDArray[np.int64],
    ref: tuple[str, ...],
    alt: tuple[str, ...],
    measured: Float,
) -> Iterator[Predictor]:
    """Predict (V,) measured effects without a model or conservation.

    `distance`: a cubic of the distance to the TSS. `composition`: the base that goes, the base that comes
    (or a deletion), and whether that is a transition. Both are regressions fitted on the other nine tenths
    of the element's positions. `local`: the mean over variants within 5 bp, those of the same position left
    out. All three have seen measurements of the element, which a model has not.

    Parameters
    ----------
    place
        (V,) 0-based position of each changed base.
    distance
        (V,) bases from the TSS, with their sign.
    ref, alt
        V bases that go, and that come; ``-`` where none does.
    """
    sizes = np.abs(measured)
    fold = _blocks(place)
    for name, columns in (("distance", _cubic(distance)), ("composition", _composition(ref, alt))):
        signed, size = (_held_out(columns, outcome, fold) for outcome in (measured, sizes))
        yield Predictor(name, signed, size)
    yield Predictor("local", _local_mean(place, measured), _local_mean(place, sizes))


def sign_by_decile(effect: Float, measured: Float, sizes: Float) -> list[Share]:
    """How often (V,) effects have the sign that was measured, by tenths of abs(`sizes`), the smallest first.

    Effects that are exactly 0, on either side, have no sign and are not counted.
    """
    signed = (effect != 0) & (measured != 0)
    order = np.argsort(np.abs(sizes[signed]), kind="stable")
    same = same_sign(effect[signed], measured[signed])[order]
    return [share_true(part) for part in np.array_split(same, 10)]


def _cubic(distance: NDArray[np.int64]) -> Float:
    """(V, 3) powers of the distance, scaled to within -1 and 1."""
    middle, half = (distance.max() + distance.min()) / 2, max(np.ptp(distance) / 2, 1.0)
    scaled = (distance - middle) / half
    return np.column_stack([scaled, scaled**2, scaled**3])


def _composition(ref: tuple[str, ...], alt: tuple[str, ...]) -> Float:
    """(V, 8) indicators; the first base of either side is what the others are compared with."""
    goes = [[base == which for which in "CGT"] for base in ref]
    comes = [[base == which for which in "CGT-"] for base in alt]
    pairs = zip(ref, alt, strict=True)
    transition = [b != "-" and (a in _PURINES) == (b in _PURINES) for a, b in pairs]
    return np.column_stack([np.array(goes), np.array(comes), transition]).astype(np.float64)


def _blocks(place: NDArray[np.int64]) -> NDArray[np.int64]:
    """(V,) fold of each variant: stretches of neighbouring positions, the alleles of one together."""
    _, rank = np.unique(place, return_inverse=True)
    return np.asarray(rank * _FOLDS // (int(rank.max()) + 1), np.int64)


def _held_out(columns: Float, outcome: Float, fold: NDArray[np.int64]) -> Float:
    """(V,) least-squares predictions, each by the fit on the other folds."""
    design = np.column_stack([np.ones(len(columns)), columns])
    predicted = np.empty(len(outcome))
    for k in np.unique(fold):
        mine = fold == k
        fitted = np.linalg.lstsq(design[~mine], outcome[~mine], rcond=None)[0]
        predicted[mine] = design[mine] @ fitted
    return predicted


def _local_mean(place: NDArray[np.int64], values: Float) -> Float:
    """(V,) means over variants of neighbouring positions; the mean of all where there are none."""
    at, index = np.unique(place, return_inverse=True)
    total = np.bincount(index, values)
    count = np.bincount(index)
    sums = np.concatenate([[0.0], np.cumsum(total)])
    counts = np.concatenate([[0], np.cumsum(count)])
    first, last = np.searchsorted(at, at - _NEAR), np.searchsorted(at, at + _NEAR, side="right")
    near, n = sums[last] - sums[first] - total, counts[last] - counts[first] - count
    mean = np.where(n > 0, near / np.maximum(n, 1), values.mean())
    return np.asarray(mean[index])


_PAIR_COLUMNS: Final = (
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
    require_columns(table, _PAIR_COLUMNS, "CRISPRi table", path)
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
