"""How much of a gene's expression its cis variants explain together: the ceiling of any linear predictor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.least_squares import Design, DistinctRows, distinct_rows
from hapsight.stats.summary import Mean, mean_interval

__all__ = [
    "Along",
    "Heritability",
    "VariantCoordinates",
    "VariantProducts",
    "cis_heritability",
    "mean_ceiling",
    "products_of_variants",
    "variant_coordinates",
]

Float = NDArray[np.float64]

_MOST = 1.0 - 1e-6
"""Largest heritability that is tried: at 1 the likelihood need not exist."""

_RANK = 1e-11
"""Eigenvalue, relative to the largest, below which it is rounding."""

_CANCELLED = 1e-12
"""Share of a variant's variance below which what the covariates leave of it is rounding."""

_TOGETHER = 4_000_000
"""Dosages of a block of people, as numbers of 8 bytes."""

_PANEL = 64
"""Columns that LAPACK works on together."""

_GRID = 33
"""Values among which the best is refined, since a likelihood may have two peaks."""


@dataclass(frozen=True, slots=True)
class Heritability:
    """Share of the residual variance that goes with relationship over the cis variants.

    Attributes
    ----------
    h2
        Restricted maximum likelihood, within 0 and 1.
    h2_se
        From the expected information at `h2`; of little use where `h2` is 0.
    pval
        Likelihood-ratio test of ``h2 > 0`` (half of chi-squared with 1 degree of freedom; 1 where `h2` is 0).
    h2_he
        Haseman-Elston, the check: least squares, not kept within 0 and 1.
    num_var
        Variants that vary.
    """

    h2: float
    h2_se: float
    pval: float
    h2_he: float
    num_var: int


@dataclass(frozen=True, slots=True, eq=False)
class _Rotated:
    """M independent coordinates of residual expression; variance ``h2 values + 1 - h2`` times a scale.

    Attributes
    ----------
    values
        (M,) eigenvalues of the relationship of residuals.
    squares
        (M,) squared coordinates of expression along the eigenvectors.
    """

    values: Float
    squares: Float

    def log_likelihood(self, h2: float) -> float:
        """Restricted log-likelihood at its best scale, up to a constant."""
        variance = h2 * self.values + (1.0 - h2)
        scale = np.mean(self.squares / variance)
        return float(-0.5 * (len(self.values) * np.log(scale) + np.log(variance).sum()))

    def best(self) -> float:
        """Heritability with the largest likelihood."""
        grid = np.linspace(0.0, _MOST, _GRID)
        at = int(np.argmax([self.log_likelihood(h2) for h2 in grid]))
        around = (grid[max(at - 1, 0)], grid[min(at + 1, _GRID - 1)])
        found = scipy.optimize.minimize_scalar(
            lambda h2: -self.log_likelihood(h2), bounds=around, method="bounded", options={"xatol": 1e-8}
        )
        return max((0.0, _MOST, float(found.x)), key=self.log_likelihood)

    def standard_error(self, h2: float) -> float:
        """From the expected information of heritability and scale."""
        slope = (self.values - 1.0) / (h2 * self.values + (1.0 - h2))
        information = 0.5 * (np.sum(slope**2) - slope.sum() ** 2 / len(slope))
        return float(1.0 / np.sqrt(information)) if information > 0 else float("nan")

    def haseman_elston(self) -> float:
        """Slope of squares on eigenvalues, as a share of slope and intercept."""
        spread = self.values - self.values.mean()
        if not np.any(spread):
            return float("nan")
        genetic = float(spread @ self.squares / (spread @ spread))
        total = genetic + float(self.squares.mean() - genetic * self.values.mean())
        return genetic / total


def mean_ceiling(h2: Float) -> Mean:
    """Mean over (G,) genes of the largest R that a linear prediction of new people can have: ``sqrt(h2)``."""
    return mean_interval(np.sqrt(np.clip(h2, 0.0, 1.0)))


def _mean_and_spread(dosage: NDArray[Any]) -> tuple[Float, Float]:
    """(V,) mean and standard deviation of each row (V, N), a block of people at a time."""
    mean = dosage.mean(axis=1, dtype=np.float64)
    squares = np.zeros(len(dosage))
    for people in blocks_of_people(*dosage.shape):
        centred = dosage[:, people] - mean[:, None]
        squares += np.einsum("vn,vn->v", centred, centred)
    return mean, np.sqrt(squares / dosage.shape[1])


def blocks_of_people(variants: int, people: int) -> Iterator[slice]:
    """Stretches of people whose dosages are looked at together, as numbers of 8 bytes: 32 MB."""
    size = max(1, _TOGETHER // max(variants, 1))
    return (slice(first, first + size) for first in range(0, people, size))


def cis_heritability(
    dosage: NDArray[Any], expression: Float, design: Design, distinct: DistinctRows | None = None
) -> Heritability | None:
    """Heritability of (N,) expression over (V, N) cis variants, covariates projected out (REML).

    Expression is normal with variance ``s_g relationship + s_e identity`` beside the covariates' effects,
    and h2 is ``s_g / (s_g + s_e)``. In the eigenvectors of the relationship of residuals the coordinates are
    independent, which leaves a likelihood in h2 alone. Where there are fewer distinct variants than people,
    these come from products of variants, and none of people is made.

    Parameters
    ----------
    distinct
        Which variants are copies of each other, where it is known.

    Returns
    -------
    ``None`` where no variant, or no residual expression, varies.
    """
    outcome = design.residuals(expression)
    distinct = distinct_rows(dosage) if distinct is None else distinct
    rows = dosage[distinct.first]
    mean, spread = _mean_and_spread(rows)
    vary = spread > 0
    num_var = int(distinct.copies[vary].sum())
    if not num_var or not outcome.any():
        return None
    scale = spread[vary] / np.sqrt(distinct.copies[vary] / num_var)  # as if each copy were there
    rotate = _rotate_variants if vary.sum() < len(outcome) else _rotate
    rotated = rotate(rows[vary], outcome, design, mean[vary], scale)
    h2 = rotated.best()
    ratio = 2.0 * (rotated.log_likelihood(h2) - rotated.log_likelihood(0.0))
    pval = 0.5 * float(scipy.special.chdtrc(1, ratio)) if h2 > 0 else 1.0
    return Heritability(h2, rotated.standard_error(h2), pval, rotated.haseman_elston(), num_var)


def _rotate(rows: NDArray[Any], outcome: Float, design: Design, mean: Float, scale: Float) -> _Rotated:
    """Of the relationship ``Z' Z`` of people, Z being ``(rows - mean) / scale`` (V, N)."""
    standard = (rows - mean[:, None]) / scale[:, None]
    kinship = standard.T @ standard
    left = design.residuals(design.residuals(kinship).T)  # of rows and columns, fewer than the variants
    along = Along.of(left, outcome)
    known = along.values > _RANK * max(float(along.values[-1]), 0.0)
    directions, whole = len(outcome) - design.rank, float(outcome @ outcome)
    return _Rotated(*_with_rest(along.values[known], along.coordinates[known] ** 2, whole, directions))


@dataclass(frozen=True, slots=True, eq=False)
class Along:
    """A vector along the eigenvectors of a symmetric kernel (K, K), which are not made.

    They are those of the tridiagonal form that Householder's reflections make of the kernel, turned back by
    these; the vector is turned instead, which saves K sums of K^2 each.

    Attributes
    ----------
    values
        (K,) eigenvalues, rising.
    coordinates
        (K,) of the vector.
    """

    values: Float
    coordinates: Float
    _vectors: Float
    _reflections: tuple[Float, Float]

    @classmethod
    def of(cls, kernel: Float, vector: Float) -> Self:
        """Of the kernel (K, K) and the vector (K,)."""
        size = len(kernel)
        reflected, diagonal, beside, tau, _ = scipy.linalg.lapack.dsytrd(kernel, lower=1, lwork=_PANEL * size)
        values, vectors = scipy.linalg.eigh_tridiagonal(diagonal, beside)
        reflections = (reflected[1:, :-1], tau)
        return cls(values, vectors.T @ _reflect(vector, reflections, "T"), vectors, reflections)

    def vector(self, coordinates: Float) -> Float:
        """(K,) the vector that has these coordinates (K,)."""
        return _reflect(self._vectors @ coordinates, self._reflections, "N")


def _reflect(vector: Float, reflections: tuple[Float, Float], turn: str) -> Float:
    """(K,) the vector in the tridiagonal form's coordinates ("T"), or back ("N")."""
    turned = vector.copy()
    if len(vector) > 1:
        below, tau = reflections
        rest = scipy.linalg.lapack.dormqr("L", turn, below, tau, vector[1:, None], _PANEL)
        turned[1:] = rest[0][:, 0]
    return turned


def _with_rest(values: Float, squares: Float, whole: float, directions: int) -> tuple[Float, Float]:
    """The (M,) values and squares of all directions; where the kernel is 0, all have equal parts of the rest.

    Parameters
    ----------
    values, squares
        Of the directions in which the kernel is not 0.
    whole
        Sum of squares of the outcome.
    """
    others = max(directions - len(values), 0)
    rest = max(whole - float(squares.sum()), 0.0) / max(others, 1)
    return np.append(values, np.zeros(others)), np.append(squares, np.full(others, rest))


def _rotate_variants(
    rows: NDArray[Any], outcome: Float, design: Design, mean: Float, scale: Float
) -> _Rotated:
    """The same where there are fewer rows than people, from products of variants.

    ``R R' = Z Z' - (Z Q) (Z Q)'`` of the residuals R of the rows Z beside the design's basis Q.
    """
    products = products_of_variants(rows, mean, scale, outcome, design.basis)
    kernel = products.kernel - products.explained @ products.explained.T
    gone = np.diag(kernel) <= _CANCELLED * np.diag(products.kernel)
    kernel[gone] = kernel[:, gone] = 0.0
    found = variant_coordinates(
        kernel, products.covariance, float(outcome @ outcome), len(outcome) - design.rank
    )
    return _Rotated(found.values, found.squares)


class VariantProducts(NamedTuple):
    """What standardised dosages Z (V, N) have to do with each other, with an outcome and with a basis."""

    kernel: Float  # (V, V) Z Z'
    covariance: Float  # (V,) Z outcome
    explained: Float  # (V, K) Z basis


def products_of_variants(
    dosage: NDArray[Any],
    mean: Float | float,
    spread: Float | float,
    outcome: Float,
    basis: Float | None = None,
) -> VariantProducts:
    """Products of ``(dosage - mean) / spread``, added up over blocks of people: all of it is never held.

    Parameters
    ----------
    dosage
        (V, N), of any type.
    mean, spread
        (V,) of each row, or one number for all.
    outcome
        (N,).
    basis
        (N, K).
    """
    variants, people = dosage.shape
    middle, scale = np.reshape(mean, (-1, 1)), np.reshape(spread, (-1, 1))
    basis = np.empty((people, 0)) if basis is None else basis
    found = VariantProducts(
        np.zeros((variants, variants)), np.zeros(variants), np.zeros((variants, basis.shape[1]))
    )
    for block in blocks_of_people(variants, people):
        rows = dosage[:, block] - middle
        rows /= scale
        found.kernel[:] += rows @ rows.T
        found.covariance[:] += rows @ outcome[block]
        found.explained[:] += rows @ basis[block]
    return found


class VariantCoordinates(NamedTuple):
    """An outcome along the M directions of people that a kernel of V variants, of rank r, tells apart.

    Attributes
    ----------
    values
        (M,) eigenvalues of the kernel, those that are 0 last.
    squares
        (M,) squared coordinates of the outcome. Where the kernel is 0 all directions are alike, and each has
        an equal part of what is left.
    rank
        r.
    along
        Covariances (V,) of variants with the outcome along the eigenvectors of their kernel (V, V), of which
        the last r eigenvalues are the first of `values`; squared coordinates are ``values squares``.
    """

    values: Float
    squares: Float
    rank: int
    along: Along


def variant_coordinates(
    kernel: Float, covariance: Float, squares: float, directions: int
) -> VariantCoordinates:
    """Eigenvalues of the kernel ``rows' rows`` of people and an outcome along its eigenvectors, without it.

    Parameters
    ----------
    kernel
        (V, V) products of the rows, less what is projected out of the outcome.
    covariance
        (V,) of these with the outcome.
    squares
        Sum of squares of the outcome.
    directions
        M, dimensions that are left to both.
    """
    along = Along.of(kernel, covariance)
    known = along.values > _RANK * max(float(along.values[-1]), 0.0)
    values = along.values[known]
    every = _with_rest(values, along.coordinates[known] ** 2 / values, squares, directions)
    return VariantCoordinates(*every, len(values), along)
