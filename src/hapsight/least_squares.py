"""Covariates projected out of an outcome: least squares of the rank that R's ``lm`` finds.

A covariate that follows from the intercept and the covariates before it adds nothing and is left out. It must
be: what is left of it is rounding, of which a plain QR decomposition makes a direction that is then taken out
of the outcome too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import InputError

__all__ = [
    "Design",
    "DistinctRows",
    "distinct_rows",
    "independent",
    "nearly_dependent",
    "residualise",
    "residuals",
    "row_means",
]

Floats = NDArray[np.float64]

_TOLERANCE: Final = 1e-7
"""Share of its norm that a covariate must keep beside those before it: ``tol`` of R's ``lm``."""

_BY_ROUNDING: Final = 0.01
"""Share of its spread that a covariate of its own keeps beside those before it: R-squared of .9999."""

_ROUNDING: Final = 1e-10
"""Share of an outcome's norm below which a residual is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """What is projected out of outcomes and dosages: the intercept and covariates of N people.

    Attributes
    ----------
    basis
        (N, K) orthonormal columns that span the intercept and the covariates.
    used
        (1 + C,) the intercept, and the covariates that add a dimension; coefficients of the others are 0.
    triangle
        (K, K) upper: ``basis @ triangle`` is the intercept and the covariates that are used.
    """

    basis: Floats
    used: NDArray[np.bool_]
    triangle: Floats

    @classmethod
    def of(cls, n: int, covariates: Floats | None) -> Design:
        """Intercept and (N, C) covariates.

        Raises
        ------
        InputError
            Nothing is left to test an effect with.
        """
        design = cls(*_decomposed(_columns(n, covariates)))
        if design.dof < 1:
            raise InputError(
                "The covariates leave nothing to test an effect with.",
                where="covariates",
                expected=f"at most {n - 3} covariates for {n} people",
                got=design.rank - 1,
                fix="use fewer covariates, or more people",
            )
        return design

    @property
    def rank(self) -> int:
        """Dimensions of the intercept and the covariates."""
        return int(self.basis.shape[1])

    @property
    def leverage(self) -> Floats:
        """(N,) share of a person's own value in what is fitted for that person; 1: nothing is left."""
        found: Floats = np.square(self.basis).sum(axis=1)
        return found

    @property
    def dof(self) -> int:
        """Degrees of freedom of a slope beside them: ``N - 1 - rank``."""
        return len(self.basis) - 1 - self.rank

    def residuals(self, values: Floats) -> Floats:
        """(..., N) values less what the intercept and the covariates explain; exactly 0 where that is all."""
        left = values - (values @ self.basis) @ self.basis.T
        size, whole = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (left, values))
        return np.asarray(np.where(size > _ROUNDING * whole, left, 0.0), dtype=np.float64)

    def explained(self, values: Floats, covariates: Floats | None, n: int) -> Floats:
        """(..., M) what the fit to (..., N) values says of `n` other people with (M, C) covariates."""
        from scipy import linalg

        coefficients = linalg.solve_triangular(self.triangle, self.basis.T @ values.T)
        return np.asarray((_columns(n, covariates)[:, self.used] @ coefficients).T, dtype=np.float64)


def residuals(values: Floats, covariates: Floats | None) -> Floats:
    """Residuals of (..., N) values on (N, C) covariates and an intercept.

    For evaluation only: where something is trained, covariates are fitted inside its training folds.

    Raises
    ------
    InputError
        The covariates leave nothing.
    """
    if covariates is None:
        return np.asarray(values - values.mean(axis=-1, keepdims=True), dtype=np.float64)
    return Design.of(values.shape[-1], covariates).residuals(values)


def residualise(
    y_train: Floats, c_train: Floats | None, y_test: Floats, c_test: Floats | None
) -> tuple[Floats, Floats]:
    """Subtract from both outcomes what the covariates explain among the training people only.

    Which covariates follow from others is decided among the training people too.

    Parameters
    ----------
    y_train, y_test
        (..., N), (..., M) outcomes.
    c_train, c_test
        (N, C), (M, C) covariates, without an intercept (one is added); None: only the mean is subtracted.

    Raises
    ------
    InputError
        The covariates leave nothing of the training people.
    """
    if c_train is None:
        mean = y_train.mean(axis=-1, keepdims=True)
        return y_train - mean, y_test - mean
    design = Design.of(y_train.shape[-1], c_train)
    return design.residuals(y_train), y_test - design.explained(y_train, c_test, y_test.shape[-1])


def independent(covariates: Floats) -> NDArray[np.bool_]:
    """(C,) which of (N, C) covariates add a dimension to the intercept and those before them."""
    return _decomposed(_columns(len(covariates), covariates))[1][1:]


def nearly_dependent(covariates: Floats) -> NDArray[np.bool_]:
    """(C,) which of (N, C) covariates only rounding makes independent of the intercept and those before.

    Shares that sum to 1, printed with a few digits: R's ``lm`` takes what rounding leaves for a covariate.
    """
    _, used, triangle = _decomposed(_columns(len(covariates), covariates))
    found = np.zeros(covariates.shape[1], np.bool_)
    spread = np.linalg.norm(covariates - covariates.mean(axis=0), axis=0)[used[1:]]
    found[used[1:]] = np.abs(np.diagonal(triangle))[1:] < _BY_ROUNDING * spread
    return found


def _columns(n: int, covariates: Floats | None) -> Floats:
    """(N, 1 + C) the intercept first."""
    intercept = np.ones((n, 1))
    return intercept if covariates is None else np.hstack([intercept, covariates])


def _decomposed(columns: Floats) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Q, which columns are independent, and R of these columns."""
    basis, triangle = np.linalg.qr(columns)
    used = _independent(columns, triangle)
    if not used.all():
        basis, triangle = np.linalg.qr(columns[:, used])
    return basis, used, triangle


def _independent(columns: Floats, triangle: Floats) -> NDArray[np.bool_]:
    """(C,) columns that keep `_TOLERANCE` of their norm beside the independent ones before them.

    As LINPACK's ``dqrdc2`` decides it for ``lm``. `triangle` is of a plain QR of all columns, where a
    dependent one has taken a direction from those behind it: they may be called dependent wrongly, never
    independent. So each that seems dependent is looked at again beside the independent ones only.
    """
    norm = np.linalg.norm(columns, axis=0)
    least = _TOLERANCE * np.where(norm > 0, norm, 1.0)
    pivots = np.zeros(len(norm))
    pivots[: len(triangle)] = np.abs(np.diagonal(triangle))
    found: NDArray[np.bool_] = pivots >= least
    doubtful = np.flatnonzero(~found)
    while len(doubtful):
        basis = np.linalg.qr(columns[:, found])[0]
        again = [k for k in doubtful if _left(columns[:, k], basis[:, : found[:k].sum()]) >= least[k]]
        found[again[:1]] = True
        doubtful = doubtful[doubtful > again[0]] if again else doubtful[:0]
    return found


def _left(column: Floats, basis: Floats) -> float:
    """Norm of what orthonormal columns leave of a column; taken out twice, since once leaves rounding."""
    for _ in range(2):
        column = column - basis @ (basis.T @ column)
    return float(np.linalg.norm(column))


def row_means(rows: NDArray[Any]) -> Floats:
    """(V,) means of rows (V, N); bytes are added up as whole numbers: the same, in half the time."""
    if rows.dtype == np.uint8:
        return np.asarray(rows.sum(axis=1, dtype=np.uint32) / rows.shape[1])
    return np.asarray(rows.mean(axis=1, dtype=np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class DistinctRows:
    """Distinct rows of a dosage matrix, where a row and its complement ``2 - row`` count as the same.

    Attributes
    ----------
    first
        (P,) index of the first of the V rows of each group, ascending.
    copies
        (P,) rows in the group.
    group
        (V,) group of each row.
    sign
        (V,) 1 where the row equals the group's first row, -1 where it is its complement.
    """

    first: NDArray[np.int64]
    copies: NDArray[np.int64]
    group: NDArray[np.int64]
    sign: Floats


def distinct_rows(dosage: NDArray[np.uint8] | Floats) -> DistinctRows:
    """Group equal and complementary rows of a dosage matrix (V, n), n > 0."""
    flipped = dosage[np.arange(len(dosage)), np.argmax(dosage != 1, axis=1)] > 1
    canonical = dosage + 0  # no -0.0
    canonical[flipped] = 2 - canonical[flipped]
    number: dict[bytes, int] = {}
    group = np.array([number.setdefault(row.tobytes(), len(number)) for row in canonical], np.int64)
    _, first = np.unique(group, return_index=True)
    side = np.where(flipped, -1.0, 1.0)
    sign = side * side[first[group]]
    return DistinctRows(first, np.bincount(group), group, sign)
