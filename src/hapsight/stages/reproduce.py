"""Read the published tables of both studies, and compute their numbers anew.

The published tables of both studies in numbers, beside the numbers that they must give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from hapsight.cohort.tables import require_unique
from hapsight.errors import InputError
from hapsight.stats.nulls import benjamini_hochberg, sasse2023_p, z_scores
from hapsight.stats.summary import SIGNIFICANT

__all__ = [
    "HUANG2023",
    "SASSE2023",
    "Huang2023",
    "Reproduced",
    "Sasse2023",
    "compare",
    "huang2023_numbers",
    "reproduce_huang2023",
    "reproduce_sasse2023",
    "sasse2023_numbers",
]

Float = NDArray[np.float64]
Numbers = dict[str, float | str]

_PEOPLE: Final = 839
"""People of Sasse 2023."""

SASSE2023: Final[Mapping[str, str]] = MappingProxyType(
    {
        "genes with R": "6808",
        "mean R": ".0107",
        "median R": ".006",
        "mean abs(R)": ".0669",
        "R < 0, % of genes": "45.3",
        "highest R, gene": "DDX11",
        "highest R": ".846",
        "second highest R, gene": "CUTALP",
        "second highest R": ".789",
        "third highest R, gene": "KNSTRN",
        "third highest R": ".752",
        "lowest R, gene": "C2orf74",
        "lowest R": "-.789",
        "second lowest R, gene": "DNAJC15",
        "second lowest R": "-.680",
        "third lowest R, gene": "GSTT2B",
        "third lowest R": "-.665",
        "published test: significant": "599",
        "published test: R > 0": "404",
        "published test: R < 0": "195",
        "published test: R < 0, %": "32.6",
        "published test, abs(R) > 0.2: significant": "256",
        "published test, abs(R) > 0.2: R > 0": "168",
        "published test, abs(R) > 0.2: R < 0": "88",
        "z of the null: significant": "194",
        "z of the null: R < 0": "56",
        "plain p: significant": "1623",
        "plain p: R < 0": "667",
        "PrediXcan: genes with a model": "1568",
        "PrediXcan: mean R": ".261",
        "PrediXcan: R < 0, % of genes": "6.4",
        "Enformer on PrediXcan's genes: mean R": ".0169",
        "Enformer on PrediXcan's genes: mean abs(R)": ".114",
        "over genes: R of observed mean and CAGE": ".301",
    }
)
"""What supplementary table 1 of Sasse et al. 2023 (Nat Genet 55, 2060) gives, to the digits known.

The paper prints some of these; those of other tests than its own are of the table alone.
"""

HUANG2023: Final[Mapping[str, str]] = MappingProxyType(
    {
        "genes with reference predictions": "3259",
        "Spearman Enformer, Basenji2": ".938",
        "Spearman ExPecto, Basenji2": ".762",
        "Spearman ExPecto, Enformer": ".714",
        "Spearman Xpresso, ExPecto": ".684",
        "Spearman Xpresso, Basenji2": ".667",
        "Spearman Xpresso, Enformer": ".596",
        "genes with a top eQTL": "2352",
        "top eQTL: r < 0, % of genes": "49.96",
        "top eQTL: median distance, kb": "7.6",
        "top eQTL: Spearman of abs(r) and distance": "-.099",
        "top eQTL: Spearman of abs(r) and MAF": ".070",
    }
)
"""What the reference predictions and top eQTLs of Huang et al. 2023 (Nat Genet 55, 2056) give."""

_PAIRS: Final = (
    ("Enformer", "Basenji2"),
    ("ExPecto", "Basenji2"),
    ("ExPecto", "Enformer"),
    ("Xpresso", "ExPecto"),
    ("Xpresso", "Basenji2"),
    ("Xpresso", "Enformer"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Sasse2023:
    """Columns of the table of Sasse 2023, G genes; NaN where the table has no number.

    Attributes
    ----------
    r
        R across people, track CAGE adult brain.
    null_mean, null_sd
        Mean and standard deviation of abs(R) of 50 random predictions.
    observed_mean, predicted_mean
        Means over people.
    predixcan_r
        R of PrediXcan, trained on other people.
    """

    gene_name: tuple[str, ...]
    r: Float
    null_mean: Float
    null_sd: Float
    observed_mean: Float
    predicted_mean: Float
    predixcan_r: Float


@dataclass(frozen=True, slots=True, eq=False)
class Huang2023:
    """Columns of two tables of Huang 2023.

    Attributes
    ----------
    reference
        Model -> (G,) predictions on the reference sequence.
    r, distance, maf
        (E,) of each gene's top eQTL: its correlation, distance to the TSS in bases, and minor allele
        frequency; NaN where the table has none.
    """

    reference: Mapping[str, Float]
    r: Float
    distance: Float
    maf: Float


@dataclass(frozen=True, slots=True)
class Reproduced:
    """A published number beside the one computed here.

    Attributes
    ----------
    difference
        Ours less theirs; ``None`` for a name.
    equal
        Whether they are the same to the digits that are published.
    """

    quantity: str
    published: str
    ours: str
    difference: float | None
    equal: bool


def compare(published: Mapping[str, str], ours: Mapping[str, float | str]) -> list[Reproduced]:
    """Put each published number beside ours, written with as many digits.

    Raises
    ------
    KeyError
        A published quantity was not computed.
    """
    return [_compared_numbers(quantity, text, ours[quantity]) for quantity, text in published.items()]


def _compared_numbers(quantity: str, published: str, ours: float | str) -> Reproduced:
    if isinstance(ours, str):
        return Reproduced(quantity, published, ours, None, ours == published)
    digits = len(published.partition(".")[2])
    written, theirs = f"{ours:.{digits}f}", f"{float(published):.{digits}f}"
    return Reproduced(quantity, theirs, written, ours - float(published), written == theirs)


def sasse2023_numbers(table: Sasse2023) -> Numbers:
    """Compute every quantity of `SASSE2023`."""
    tested = np.isfinite(table.r)
    r, mean, sd = table.r[tested], table.null_mean[tested], table.null_sd[tested]
    published = benjamini_hochberg(sasse2023_p(r, mean, sd)) < SIGNIFICANT
    z = benjamini_hochberg(stats.norm.sf(z_scores(r, mean, sd))) < SIGNIFICANT
    plain = benjamini_hochberg(_nominal_p(r, _PEOPLE)) < SIGNIFICANT
    names = [name for name, kept in zip(table.gene_name, tested, strict=True) if kept]
    numbers: Numbers = {
        "genes with R": len(r),
        "mean R": float(r.mean()),
        "median R": float(np.median(r)),
        "mean abs(R)": float(np.abs(r).mean()),
        "R < 0, % of genes": 100 * float(np.mean(r < 0)),
    }
    return (
        numbers
        | dict(_extremes(names, r))
        | dict(_counts("published test", r[published]))
        | dict(_counts("published test, abs(R) > 0.2", r[published & (np.abs(r) > 0.2)]))
        | dict(_counts("z of the null", r[z]))
        | dict(_counts("plain p", r[plain]))
        | dict(_predixcan(table))
    )


def _extremes(names: list[str], r: Float) -> Iterator[tuple[str, float | str]]:
    """Three genes at each end."""
    order = np.argsort(r, kind="stable")
    for end, genes in (("highest", order[::-1]), ("lowest", order)):
        for place, gene in zip(("", "second ", "third "), genes, strict=False):
            yield f"{place}{end} R, gene", names[gene]
            yield f"{place}{end} R", float(r[gene])


def _counts(test: str, r: Float) -> Iterator[tuple[str, float]]:
    """Count the (S,) significant genes, and those of either sign."""
    yield f"{test}: significant", len(r)
    yield f"{test}: R > 0", int(np.sum(r > 0))
    yield f"{test}: R < 0", int(np.sum(r < 0))
    yield f"{test}: R < 0, %", 100 * float(np.mean(r < 0)) if len(r) else np.nan


def _nominal_p(r: Float, n: int) -> Float:
    """Two-sided p of Pearson correlations of n independent normal pairs."""
    t = np.abs(r) * np.sqrt((n - 2) / (1 - r**2))
    return np.asarray(2 * stats.t.sf(t, n - 2), dtype=np.float64)


def _predixcan(table: Sasse2023) -> Iterator[tuple[str, float]]:
    """Compare the trained model with Enformer on the same genes, and Enformer over genes."""
    modelled = np.isfinite(table.predixcan_r)
    theirs, ours = table.predixcan_r[modelled], table.r[modelled]
    yield "PrediXcan: genes with a model", len(theirs)
    yield "PrediXcan: mean R", theirs.mean()
    yield "PrediXcan: R < 0, % of genes", 100 * float(np.mean(theirs < 0))
    yield "Enformer on PrediXcan's genes: mean R", float(np.nanmean(ours))
    yield "Enformer on PrediXcan's genes: mean abs(R)", float(np.nanmean(np.abs(ours)))
    over_genes = stats.pearsonr(table.observed_mean, table.predicted_mean).statistic
    yield "over genes: R of observed mean and CAGE", over_genes


def huang2023_numbers(tables: Huang2023) -> Numbers:
    """Compute every quantity of `HUANG2023`."""
    numbers: Numbers = {"genes with reference predictions": len(next(iter(tables.reference.values())))}
    for one, other in _PAIRS:
        rho = stats.spearmanr(tables.reference[one], tables.reference[other]).statistic
        numbers[f"Spearman {one}, {other}"] = rho
    found = np.isfinite(tables.r)
    r, distance, maf = np.abs(tables.r[found]), np.abs(tables.distance[found]), tables.maf[found]
    known = np.isfinite(maf)
    return numbers | {
        "genes with a top eQTL": len(r),
        "top eQTL: r < 0, % of genes": 100 * np.mean(tables.r[found] < 0),
        "top eQTL: median distance, kb": np.median(distance) / 1000,
        "top eQTL: Spearman of abs(r) and distance": stats.spearmanr(r, distance).statistic,
        "top eQTL: Spearman of abs(r) and MAF": stats.spearmanr(r[known], maf[known]).statistic,
    }


_TRACK: Final = "CAGE,adult,brain"
_SASSE_COLUMNS: Final = {
    "r": f"PearsonR{_TRACK}",
    "null_mean": "RmeanRandom",
    "null_sd": "Rstdrandom",
    "observed_mean": "MeanObs",
    "predicted_mean": f"Mean{_TRACK}",
    "predixcan_r": "PrediXcanR",
}
_HUANG_MODELS: Final = ("Xpresso", "Enformer", "Basenji2", "ExPecto")
_HUANG_COLUMNS: Final = {"r": "rvalue", "distance": "distance", "maf": "minor_allele_freq"}
_ABSENT: Final = ("", "NA", "NaN", "nan")


def reproduce_sasse2023(table: Path) -> list[Reproduced]:
    """Compute the numbers of Sasse 2023 from its supplementary table 1 (tab-separated).

    Raises
    ------
    InputError
        The file is missing, lacks a column, or has something else than numbers there.
    """
    read = _read(table, "\t", ("gene_name", *_SASSE_COLUMNS.values()))
    numbers = {name: _numbers(read, column, table) for name, column in _SASSE_COLUMNS.items()}
    found = Sasse2023(gene_name=tuple(read["gene_name"].to_list()), **numbers)
    return _compared(table, lambda: compare(SASSE2023, sasse2023_numbers(found)))


def reproduce_huang2023(predictions: Path, eqtls: Path) -> list[Reproduced]:
    """Compute the numbers of Huang 2023 from its reference predictions and top eQTLs (comma-separated).

    Raises
    ------
    InputError
        A file is missing, lacks a column, or has something else than numbers there.
    """
    read = _read(predictions, ",", _HUANG_MODELS)
    reference = {model: _numbers(read, model, predictions) for model in _HUANG_MODELS}
    top = _read(eqtls, ",", tuple(_HUANG_COLUMNS.values()))
    numbers = {name: _numbers(top, column, eqtls) for name, column in _HUANG_COLUMNS.items()}
    return _compared(eqtls, lambda: compare(HUANG2023, huang2023_numbers(Huang2023(reference, **numbers))))


def _compared(path: Path, numbers: Callable[[], list[Reproduced]]) -> list[Reproduced]:
    """The numbers, or an error where a table is too short or too odd to have them."""
    try:
        with np.errstate(all="ignore"):
            return numbers()
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError) as error:
        raise InputError(
            "A published table does not have the numbers of the study.",
            where=path,
            expected="its genes with their correlations, and what goes with these",
            got=f"{type(error).__name__}: {error}",
            fix="give the table as the study published it",
        ) from error


def _read(path: Path, separator: str, columns: Sequence[str]) -> pl.DataFrame:
    """Read the wanted columns as text; a comment sign before the first column's name is not part of it."""
    try:
        table = pl.read_csv(path, separator=separator, infer_schema=False, null_values=list(_ABSENT))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError("A published table cannot be read.", where=path, got=error) from None
    plain = [name.lstrip("# ") for name in table.columns]
    require_unique(plain, "column", path)
    table.columns = plain
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        raise InputError(
            f"A published table lacks columns: {', '.join(lacking)}.",
            where=path,
            expected=", ".join(columns),
            got=", ".join(table.columns),
            fix="give the table as the study published it",
        )
    if table.is_empty():
        raise InputError("A published table has no rows.", where=path)
    return table.select(columns)


def _numbers(table: pl.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    """A column as float64, NaN where there is no number."""
    text = table[column]
    values = text.cast(pl.Float64, strict=False)
    wrong = text.filter(text.is_not_null() & values.is_null())
    if len(wrong):
        raise InputError(
            f"The column {column} of a published table must hold numbers.",
            where=path,
            got=f"{wrong[0]!r}, in {len(wrong)} of {len(text)} rows",
        )
    return values.fill_null(np.nan).to_numpy()
