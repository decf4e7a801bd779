"""How much of a gene's expression its cis variants explain together: the ceiling of any linear predictor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.least_squares import Design, DistinctRows, distinct_rows, row_means
from hapsight.stats.summary import Mean, mean_interval

__all__ = [
    "Heritability",
    "Likelihood",
    "VariantProducts",
    "cis_heritability",
    "mean_ceiling",
    "products_of_variants",
]

Float = NDArray[np.float64]

_MOST = 1.0 - 1e-6
"""Largest share that is tried: at 1 no noise at all is left, and the likelihood need not exist."""

_CANCELLED = 1e-12
"""Share of a variant's variance below which what the covariates leave of it is rounding."""

_EPSILON = float(np.finfo(np.float64).eps)

_TOGETHER = 1_000_000
"""Dosages that are looked at together, as numbers of 8 bytes."""

_PANEL = 64
"""Columns that LAPACK works on together."""

_FLAT = 1e-9
"""Difference of two log-likelihoods that is rounding."""

_NARROW = 4.0 * _EPSILON
"""Share of a share to which the best is sought."""

_GRID = 33
"""Shares among which the best is refined, since a likelihood may have two peaks."""


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
class Likelihood:
    """Restricted likelihood of an outcome of variance ``share kernel + (1 - share) identity``, times a scale.

    Householder's reflections make the kernel tridiagonal, and a share is then tried in as many steps as the
    kernel has rows: no eigenvectors are made. The kernel is of people, or of variants, from which the same
    comes by Woodbury's identity.

    Attributes
    ----------
    diagonal, beside
        (K,), (K - 1,) the tridiagonal form.
    coordinates
        (K,) the outcome, or the products of variants with it, in the form's coordinates.
    squares
        Sum of squares of the outcome.
    directions
        M, the dimensions that are left to the outcome.
    of_variants
        Whether the kernel is of variants.
    """

    diagonal: Float
    beside: Float
    coordinates: Float
    squares: float
    directions: int
    of_variants: bool
    _reflections: tuple[Float, Float]

    @classmethod
    def of(cls, kernel: Float, vector: Float, squares: float, directions: int, of_variants: bool) -> Self:
        """Of a kernel (K, K): of people and their outcome, or of variants and their products with it (K,).

        Only the kernel's lower triangle is looked at. It is written over where its columns lie together
        (Fortran's order), and copied where they do not.
        """
        size = len(kernel)
        reflected, diagonal, beside, tau, _ = scipy.linalg.lapack.dsytrd(
            kernel, lower=1, lwork=_PANEL * size, overwrite_a=1
        )
        below = reflected.ravel(order="K")[1:][: size * (size - 1)]  # columns a row on; nothing is copied
        reflections = (below.reshape((size, size - 1), order="F"), tau)
        turned = _reflect(vector, reflections, "T")
        return cls(diagonal, beside, turned, squares, directions, of_variants, reflections)

    def best(self) -> float:
        """Share with the largest likelihood; 0 where none does better.

        Where the likelihood is flat its values are the same to rounding, over some 1e-7: so the root of its
        slope is sought among the shares beside the grid's best.
        """
        grid = np.linspace(0.0, _MOST, _GRID)
        at = int(np.argmax([self.log_likelihood(share) for share in grid]))
        around = (float(grid[max(at - 1, 0)]), float(grid[min(at + 1, _GRID - 1)]))
        tried = [_MOST, float(grid[at])]
        if self.slope(around[0]) > 0.0 > self.slope(around[1]):
            # SciPy's wrapper holds itself, and what it is given, until garbage is sought: not the reflections
            bare = replace(self, _reflections=(np.empty((0, 0)), np.empty(0)))
            tried.append(float(scipy.optimize.brentq(bare.slope, *around, xtol=_NARROW, rtol=_NARROW)))
        best = max(tried, key=self.log_likelihood)
        return best if self.log_likelihood(best) > self.log_likelihood(0.0) + _FLAT else 0.0

    def log_likelihood(self, share: float) -> float:
        """At its best scale, up to a constant."""
        solved, pivots = self._solved(share)
        along = float(self.coordinates @ solved)
        if self.of_variants:
            along = self._left(share, along)
        others = (self.directions - len(pivots)) * np.log(1.0 - share)
        scale = np.log(along / self.directions)
        return float(-0.5 * (self.directions * scale + np.log(pivots).sum() + others))

    def slope(self, share: float) -> float:
        """Of `log_likelihood` at a share."""
        solved, pivots = self._solved(share)
        along, slope = float(self.coordinates @ solved), -self._along_form(solved) + float(solved @ solved)
        if self.of_variants:
            along, slope = self._left(share, along), -along - share * slope
            slope = (slope + along) / (1.0 - share)
        others = (self.directions - len(pivots)) / (1.0 - share)
        return -0.5 * (self.directions * slope / along + self._trace(share, pivots) - others)

    def _left(self, share: float, along: float) -> float:
        """What variants leave of the outcome by Woodbury's identity, which is more than rounding."""
        return max(self.squares - share * along, _EPSILON * self.squares) / (1.0 - share)

    def _trace(self, share: float, pivots: Float) -> float:
        """Of ``(share form + 1 - share)^-1 (form - 1)``: the slope of the logarithm of its determinant.

        The diagonal of an inverse comes from pivots from above and from below.
        """
        diagonal = share * self.diagonal + (1.0 - share)
        below = _factors(diagonal[::-1], share * self.beside[::-1])[::-1]
        inverse = 1.0 / (pivots + below - diagonal)
        besides = -share * self.beside / pivots[:-1] * inverse[1:]
        return float((self.diagonal - 1.0) @ inverse + 2.0 * self.beside @ besides)

    def effects(self, share: float) -> Float:
        """(K,) ``(kernel + (1 - share) / share)^-1`` times the outcome, or variants' products with it."""
        return _reflect(share * self._solved(share)[0], self._reflections, "N")

    def _solved(self, share: float) -> tuple[Float, Float]:
        """The coordinates divided by ``share form + 1 - share``, and the pivots of its LDL' factors."""
        beside = share * self.beside if len(self.beside) else np.zeros(1)  # which SciPy asks for
        pivots, _, solved, _ = scipy.linalg.lapack.dptsv(
            share * self.diagonal + (1.0 - share), beside, self.coordinates
        )
        return solved, pivots

    def eigenvalues(self) -> Float:
        """(M,) of the kernel, rising; what is left out or added beside its own is 0."""
        values = scipy.linalg.eigvalsh_tridiagonal(self.diagonal, self.beside)
        others = self.directions - len(values)
        return np.append(np.zeros(others), values) if others > 0 else values[-others:]

    def standard_error(self, share: float) -> float:
        """From the expected information of share and scale."""
        values = self.eigenvalues()
        slope = (values - 1.0) / (share * values + (1.0 - share))
        information = 0.5 * (np.sum(slope**2) - slope.sum() ** 2 / len(slope))
        return float(1.0 / np.sqrt(information)) if information > 0 else float("nan")

    def haseman_elston(self) -> float:
        """Slope of squared coordinates along eigenvectors on eigenvalues, as share of slope and intercept."""
        mean = float(self.diagonal.sum()) / self.directions
        whole = float(self.diagonal @ self.diagonal + 2.0 * self.beside @ self.beside)  # squared eigenvalues
        spread = whole - self.directions * mean**2
        if spread <= len(self.diagonal) * _EPSILON * whole:
            return float("nan")
        slope = (self._along_kernel() - mean * self.squares) / spread
        return slope / (slope + self.squares / self.directions - slope * mean)

    def _along_kernel(self) -> float:
        """The outcome times the kernel of people times the outcome."""
        z = self.coordinates
        return float(z @ z) if self.of_variants else self._along_form(z)

    def _along_form(self, vector: Float) -> float:
        """A vector in the form's coordinates times the form times the vector."""
        return float(self.diagonal @ vector**2 + 2.0 * (self.beside * vector[1:]) @ vector[:-1])


def _factors(diagonal: Float, beside: Float) -> Float:
    """Pivots of a tridiagonal matrix's LDL' factors, from above."""
    return np.asarray(scipy.linalg.lapack.dpttrf(diagonal, beside if len(beside) else np.zeros(1))[0])


def _reflect(vector: Float, reflections: tuple[Float, Float], turn: str) -> Float:
    """(K,) the vector in the tridiagonal form's coordinates ("T"), or back ("N")."""
    turned = vector.copy()
    if len(vector) > 1:
        below, tau = reflections
        rest = scipy.linalg.lapack.dormqr("L", turn, below, tau, vector[1:, None], _PANEL)
        turned[1:] = rest[0][:, 0]
    return turned


def mean_ceiling(h2: Float) -> Mean:
    """Mean over (G,) genes of the largest R that a linear prediction of new people can have: ``sqrt(h2)``."""
    return mean_interval(np.sqrt(np.clip(h2, 0.0, 1.0)))


def _mean_and_spread(dosage: NDArray[Any]) -> tuple[Float, Float]:
    """(V,) mean and standard deviation of each row (V, N), a block of people at a time."""
    mean = row_means(dosage)
    squares = np.zeros(len(dosage))
    for people in blocks_of_people(*dosage.shape):
        centred = dosage[:, people] - mean[:, None]
        squares += np.einsum("vn,vn->v", centred, centred)
    return mean, np.sqrt(squares / dosage.shape[1])


def blocks_of_people(variants: int, people: int) -> Iterator[slice]:
    """Stretches of people whose dosages are looked at together, as numbers of 8 bytes: 8 MB."""
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
    of = _of_variants if vary.sum() < len(outcome) else _of_people
    likelihood = of(rows[vary], outcome, design, mean[vary], scale)
    h2 = likelihood.best()
    ratio = 2.0 * (likelihood.log_likelihood(h2) - likelihood.log_likelihood(0.0))
    pval = 0.5 * float(scipy.special.chdtrc(1, ratio)) if h2 > 0 else 1.0
    return Heritability(h2, likelihood.standard_error(h2), pval, likelihood.haseman_elston(), num_var)


def _of_people(rows: NDArray[Any], outcome: Float, design: Design, mean: Float, scale: Float) -> Likelihood:
    """Of the relationship ``R' R`` of people, R being the residuals of ``(rows - mean) / scale`` (V, N)."""
    kinship = np.zeros((len(outcome), len(outcome)), order="F")
    size = max(1, _TOGETHER // (2 * len(outcome)))
    for some in (slice(first, first + size) for first in range(0, len(rows), size)):
        left = (rows[some] - mean[some, None]) / scale[some, None]
        left -= (left @ design.basis) @ design.basis.T
        kinship = scipy.linalg.blas.dsyrk(1.0, left.T, beta=1.0, c=kinship, lower=1, overwrite_c=1)
    return Likelihood.of(kinship, outcome, float(outcome @ outcome), len(outcome) - design.rank, False)


def _of_variants(rows: NDArray[Any], outcome: Float, design: Design, mean: Float, scale: Float) -> Likelihood:
    """The same where there are fewer rows than people, from products of variants.

    ``R R' = Z Z' - (Z Q) (Z Q)'`` of the residuals R of the rows Z beside the design's basis Q.
    """
    products = products_of_variants(rows, mean, scale, outcome, design.basis)
    kernel, whole = products.kernel, np.diag(products.kernel).copy()
    scipy.linalg.blas.dsyrk(-1.0, products.explained, beta=1.0, c=kernel, lower=1, overwrite_c=1)
    gone = np.diag(kernel) <= _CANCELLED * whole
    kernel[gone] = kernel[:, gone] = 0.0
    covariance = np.where(gone, 0.0, products.covariance)
    return Likelihood.of(
        kernel, covariance, float(outcome @ outcome), len(outcome) - design.rank, of_variants=True
    )


class VariantProducts(NamedTuple):
    """What standardised dosages Z (V, N) have to do with each other, with an outcome and with a basis."""

    kernel: Float  # (V, V) Z Z': the lower triangle, in Fortran's order
    covariance: Float  # (V,) Z outcome
    explained: Float  # (V, K) Z basis


def products_of_variants(
    dosage: NDArray[Any],
    mean: Float,
    spread: Float | float,
    outcome: Float,
    basis: Float | None = None,
) -> VariantProducts:
    """Products of ``(dosage - mean) / spread``, added up over blocks of people: all of it is never held.

    Those of whole numbers add up without rounding in single precision, at twice the speed.

    Parameters
    ----------
    dosage
        (V, N), of any type.
    mean
        (V,) of each row.
    spread
        (V,) of each row, or one number for all.
    outcome
        (N,).
    basis
        (N, K).
    """
    variants, people = dosage.shape
    middle, scale = np.reshape(mean, (-1, 1)), np.reshape(spread, (-1, 1))
    basis = np.empty((people, 0)) if basis is None else basis
    whole = _adds_up_exactly(dosage)
    add = scipy.linalg.blas.ssyrk if whole else scipy.linalg.blas.dsyrk
    kernel = np.zeros((variants, variants), np.float32 if whole else np.float64, order="F")
    covariance, explained = np.zeros(variants), np.zeros((variants, basis.shape[1]))
    for block in blocks_of_people(variants, people):
        rows = (dosage[:, block] - middle) / scale
        covariance += rows @ outcome[block]
        explained += rows @ basis[block]
        counts = dosage[:, block].astype(np.float32) if whole else rows
        kernel = add(1.0, counts.T, trans=1, beta=1.0, c=kernel, lower=1, overwrite_c=1)
    if whole:
        kernel = scipy.linalg.blas.dsyr(-people, mean, lower=1, a=kernel.astype(np.float64), overwrite_a=1)
        kernel /= scale
        kernel /= scale.T
    return VariantProducts(kernel, covariance, explained)


def _adds_up_exactly(dosage: NDArray[Any]) -> bool:
    """Whether single precision has every sum of products of two rows: of whole numbers below 2^24."""
    whole = np.issubdtype(dosage.dtype, np.integer)
    return bool(whole) and float(dosage.max(initial=0)) ** 2 * dosage.shape[1] < 2**24
