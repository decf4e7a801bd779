"""A table of genes in a few numbers, each with n and an interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.evaluate.correlation import correlate, fisher_interval

__all__ = [
    "SIGNIFICANT",
    "Quantity",
    "summarise_across_genes",
    "summarise_across_people",
    "summarise_within_people",
]

Float = NDArray[np.float64]

SIGNIFICANT: Final = 0.05
"""q below which a gene counts as significant."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number: what, how much, over how many of what, and its 95 % interval where it has one."""

    quantity: str
    value: float | None
    n: int
    unit: Literal["genes", "people", "seeds"]
    ci_low: float | None = None
    ci_high: float | None = None


def summarise_across_genes(predicted: Float, expression: Float) -> Iterator[Quantity]:
    """Does the model rank genes: (G,) predictions on the reference against (G,) mean expression."""
    found = correlate(predicted, expression)
    yield Quantity("across_genes_pearson", found.pearson_r, found.n, "genes", found.ci_low, found.ci_high)
    rho = found.spearman_r
    low, high = (None, None) if rho is None else fisher_interval(rho, found.n)
    yield Quantity("across_genes_spearman", rho, found.n, "genes", low, high)


def summarise_within_people(spearman: Float) -> Iterator[Quantity]:
    """Each person's ranking of genes: the median of (N,) Spearman correlations."""
    value = float(np.median(spearman)) if len(spearman) else None
    yield Quantity("within_person_spearman_median", value, len(spearman), "people")


def summarise_across_people(
    status: list[str], pearson: Float, spearman: Float, qval: Mapping[str, Float], test: str
) -> Iterator[Quantity]:
    """Does the model rank people: G statuses, and the numbers of those genes that are ``ok``.

    Parameters
    ----------
    qval
        Test -> q of the ``ok`` genes. Each test has its own quantities, which end with its name, such as
        ``significant.permutation``.
    test
        The one whose quantities stand without a name as well.
    """
    n = len(pearson)
    yield Quantity("genes_ok", n, len(status), "genes")
    constant = sum(s in ("constant_prediction", "no_variants") for s in status)
    yield Quantity("genes_constant", constant, len(status), "genes")
    yield Quantity("genes_without_model", sum(s == "no_model" for s in status), len(status), "genes")
    for name, r in (("pearson", pearson), ("spearman", spearman)):
        yield _mean(f"across_people_{name}_mean", r)
        yield Quantity(f"across_people_{name}_median", float(np.median(r)) if n else None, n, "genes")
    yield _mean("across_people_pearson_mean_abs", np.abs(pearson))
    yield _share("share_negative", pearson < 0)
    yield _share("share_negative_spearman", spearman < 0)
    yield from _significance(pearson, qval[test], "")
    for name, q in qval.items():
        yield from _significance(pearson, q, f".{name}")


def _significance(pearson: Float, qval: Float, suffix: str) -> Iterator[Quantity]:
    """How many of the tested genes are significant, and how many of these have the wrong sign."""
    n, significant = len(pearson), qval < SIGNIFICANT
    yield Quantity(f"significant{suffix}", int(significant.sum()), n, "genes")
    yield Quantity(f"significant_negative{suffix}", int((significant & (pearson < 0)).sum()), n, "genes")
    yield _share(f"significant_negative_share{suffix}", pearson[significant] < 0)


def _mean(name: str, values: Float) -> Quantity:
    """Mean over genes with its t interval (genes taken as independent)."""
    n = len(values)
    if n < 2:
        return Quantity(name, float(values[0]) if n else None, n, "genes")
    half = float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
    mean = float(values.mean())
    return Quantity(name, mean, n, "genes", mean - half, mean + half)


def _share(name: str, true: NDArray[np.bool_]) -> Quantity:
    """A share with its Wilson interval."""
    n = len(true)
    if not n:
        return Quantity(name, None, 0, "genes")
    interval = stats.binomtest(int(true.sum()), n).proportion_ci(method="wilson")
    return Quantity(name, float(true.mean()), n, "genes", float(interval.low), float(interval.high))
