"""Marginal effects of cis variants on expression, with covariates projected out of both.

Linkage disequilibrium: how far variants travel together.

Two halves of the people: an effect that was not estimated from the people it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.cohort.ploidy import OneCopy
from hapsight.errors import InputError
from hapsight.least_squares import Design, DistinctRows, distinct_rows, row_means

__all__ = [
    "AlleleCounts",
    "CisDosage",
    "NominalScan",
    "allele_counts",
    "half_scan",
    "ld_with",
    "nominal_scan",
    "p_of_r2",
    "random_halves",
    "strongest",
]

Float = NDArray[np.float64]

LEAST_NORM = 1e-4
"""Share of a dosage's norm that covariates must leave; below it the variant is one of the covariates."""

_ROWS = 512
"""Variants that are looked at together."""

TIE = 1e-10
"""Squared correlations that differ by less, relative to the largest, count as equal."""


@dataclass(frozen=True, eq=False)
class CisDosage:
    """Dosages of V variants in N people, ready for products with residual expression.

    A product with a residual needs no residual dosage, only the residual's norm; and copies of a variant, or
    of its other allele, need one product.

    Attributes
    ----------
    rows
        (P, N) ALT dosages of the first of each group of copies.
    mean
        (P,) of each of them.
    norm
        (P,) Euclidean norm of each one's residual on the design; 0 where none is left.
    design
        What `norm` was made with.
    distinct
        Which variants are copies of each other.
    """

    rows: NDArray[Any]
    mean: Float
    norm: Float
    design: Design
    distinct: DistinctRows

    @classmethod
    def of(cls, dosage: NDArray[Any], design: Design, distinct: DistinctRows | None = None) -> CisDosage:
        """From (V, N) ALT dosages, 0 to 2, and which are copies, where that is known."""
        distinct = distinct_rows(dosage) if distinct is None else distinct
        rows = dosage[distinct.first]
        mean = row_means(rows)
        return cls(rows, mean, np.empty(0), design, distinct).under(design)

    def under(self, design: Design) -> CisDosage:
        """The same variants with other covariates projected out."""
        parts = [_norms(centred, design) for _, centred in self.centred()]
        return replace(self, norm=np.concatenate([np.empty(0), *parts]), design=design)

    def centred(self) -> Iterator[tuple[slice, Float]]:
        """Rows less their mean, and which they are: so many at a time that they stay in the cache."""
        for start in range(0, len(self.rows), _ROWS):
            some = slice(start, start + _ROWS)
            yield some, self.rows[some] - self.mean[some, None]

    @property
    def tested(self) -> NDArray[np.bool_]:
        """(V,) whether anything of the variant is left to test."""
        return (self.norm > 0)[self.distinct.group]


def _norms(centred: Float, design: Design) -> Float:
    """Norms of what the design leaves of rows (P, N); 0 where that is rounding."""
    whole = np.einsum("vn,vn->v", centred, centred)
    explained = centred @ design.basis
    left = whole - np.einsum("vk,vk->v", explained, explained)
    return np.sqrt(np.where(left > LEAST_NORM**2 * whole, left, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class NominalScan:
    """Ordinary least squares of expression on each of V variants; NaN where nothing can be tested.

    Attributes
    ----------
    r
        (V,) correlation of residual expression with the residual dosage.
    slope, slope_se
        (V,) change of expression per ALT allele, and its standard error.
    t, pval_nominal
        (V,) ``slope / slope_se``, and its two-sided p under Student's t with `dof`.
    """

    r: Float
    slope: Float
    slope_se: Float
    t: Float
    pval_nominal: Float
    dof: int


def nominal_scan(cis: CisDosage, expression: Float) -> NominalScan:
    """Effect of every variant alone on (N,) expression, covariates projected out of both.

    Slope, standard error and degrees of freedom are those of ``expression ~ 1 + covariates + dosage``.
    """
    outcome, dof = cis.design.residuals(expression), cis.design.dof
    size = float(np.linalg.norm(outcome)) or float("nan")
    norm = np.where(cis.norm > 0, cis.norm, np.nan)
    products = np.concatenate([np.empty(0), *(centred @ outcome for _, centred in cis.centred())])
    r = np.clip(products / (norm * size), -1.0, 1.0)
    slope, slope_se = r * size / norm, np.sqrt((1.0 - r**2) / dof) * size / norm
    with np.errstate(divide="ignore"):
        t = slope / slope_se
    group, sign = cis.distinct.group, cis.distinct.sign
    return NominalScan(
        r=r[group] * sign,
        slope=slope[group] * sign,
        slope_se=slope_se[group],
        t=t[group] * sign,
        pval_nominal=p_of_r2(r**2, dof)[group],
        dof=dof,
    )


def p_of_r2(r2: Float | float, dof: float) -> Float:
    """Two-sided p of squared correlations with `dof` degrees of freedom: ``t^2 = dof r^2 / (1 - r^2)``."""
    return np.asarray(scipy.special.betainc(dof / 2, 0.5, 1.0 - r2), dtype=np.float64)


def strongest(scan: NominalScan) -> int | None:
    """Index of the variant with the largest abs(r), the first of equal ones; ``None`` where none has an r."""
    r2 = np.nan_to_num(scan.r**2, nan=-1.0)
    best = np.max(r2, initial=-1.0)
    return int(np.argmax(r2 >= best * (1.0 - TIE))) if best >= 0 else None


@dataclass(frozen=True, slots=True, eq=False)
class AlleleCounts:
    """Frequencies of V variants in N people, as tensorQTL names them.

    Attributes
    ----------
    af
        (V,) frequency of ALT.
    ma_samples
        (V,) people who carry the rarer allele (ALT where both are equally frequent).
    ma_count
        (V,) copies of the rarer allele.
    """

    af: Float
    ma_samples: NDArray[np.int64]
    ma_count: NDArray[np.int64]


def allele_counts(dosage: NDArray[np.uint8], one_copy: OneCopy | None = None) -> AlleleCounts:
    """Count alleles of (V, N) ALT dosages: 0, 1 or 2; who has one copy of a variant has one allele."""
    if one_copy is not None:
        return _counts_of_copies(dosage, one_copy)
    copies, people = dosage.sum(axis=1, dtype=np.int64), dosage.shape[1]
    alt_is_rarer = copies <= people
    carriers = np.where(alt_is_rarer, np.count_nonzero(dosage, axis=1), np.count_nonzero(dosage < 2, axis=1))
    return AlleleCounts(copies / (2 * people), carriers, np.where(alt_is_rarer, copies, 2 * people - copies))


def _counts_of_copies(dosage: NDArray[np.uint8], one_copy: OneCopy) -> AlleleCounts:
    """The same of people some of whom have one copy."""
    alt, total = one_copy.counts(dosage)
    alt_is_rarer = 2 * alt <= total
    most = np.where(one_copy.mask(), one_copy.dosage, 2)
    carriers = np.where(
        alt_is_rarer, np.count_nonzero(dosage, axis=1), np.count_nonzero(dosage < most, axis=1)
    )
    return AlleleCounts(alt / total, carriers, np.where(alt_is_rarer, alt, total - alt).astype(np.int64))


def ld_with(dosage: NDArray[Any], variant: int) -> NDArray[np.float64]:
    """Pearson r of the dosage of one variant with that of each of the others, signed by ALT alleles.

    Parameters
    ----------
    dosage
        (V, N) ALT dosages.
    variant
        Index of the variant, such as a gene's strongest.

    Returns
    -------
    (V,) float64; 1 at `variant`, NaN where a variant (or `variant` itself) does not vary.
    """
    centred = dosage - dosage.mean(axis=1, keepdims=True, dtype=np.float64)
    norm = np.linalg.norm(centred, axis=1)
    size = norm * norm[variant]
    r = np.divide(centred @ centred[variant], size, out=np.full(len(dosage), np.nan), where=size > 0)
    return np.asarray(np.clip(r, -1.0, 1.0), dtype=np.float64)


def random_halves(groups: Sequence[str | None], rng: np.random.Generator) -> NDArray[np.int64]:
    """Divide people into halves 1 and 2 at random, within each group (such as a population).

    Parameters
    ----------
    groups
        N groups; ``None`` is a group as well.

    Returns
    -------
    (N,) 1 or 2. In each group, and in all, the halves differ by at most one person.
    """
    names = np.array(["" if group is None else group for group in groups])
    order = rng.permutation(len(names))
    order = order[np.argsort(names[order], kind="stable")]
    half = np.empty(len(names), np.int64)
    half[order] = (np.arange(len(names)) + rng.integers(2)) % 2 + 1
    return half


def half_scan(
    dosage: NDArray[np.uint8],
    expression: Float,
    covariates: Float | None,
    people: NDArray[np.bool_],
    distinct: DistinctRows | None = None,
) -> NominalScan | None:
    """Effects of (V, N) variants on (N,) expression among some of the people only, covariates refitted.

    Parameters
    ----------
    distinct
        Which variants are copies of each other in everyone, where that is known.

    Returns
    -------
    ``None`` where these people are too few for the covariates.
    """
    own = None if covariates is None else covariates[people]
    try:
        design = Design.of(int(people.sum()), own)
    except InputError:
        return None
    return nominal_scan(CisDosage.of(dosage[:, people], design, distinct), expression[people])
