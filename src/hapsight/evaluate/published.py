"""The published tables of both studies in numbers, beside the numbers that they must give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.evaluate.nulls import benjamini_hochberg, sasse2023_p, z_scores
from hapsight.evaluate.summary import SIGNIFICANT

__all__ = [
    "HUANG2023",
    "SASSE2023",
    "Huang2023",
    "Reproduced",
    "Sasse2023",
    "compare",
    "huang2023_numbers",
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
    return [_compared(quantity, text, ours[quantity]) for quantity, text in published.items()]


def _compared(quantity: str, published: str, ours: float | str) -> Reproduced:
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
