"""Elastic net of one outcome on dosages, at the ``lambda.min`` of ``cv.glmnet``.

Penalty factors: each variant's share of the elastic net's penalty, and what merged variants pay together.

Variant j of V pays ``lambda f_j (alpha |b_j| + (1 - alpha)/2 b_j^2)``, where the factors f have mean 1
(glmnet's ``penalty.factor``; Friedman, Hastie and Tibshirani, J. Stat. Softw. 33(1), 2010).

Identical columns with factors f_1 <= ... <= f_m carry a coefficient B > 0 together, in the shares that cost
least: those with ``f_i alpha < u`` take part, each with ``b_i = (u / f_i - alpha) / (1 - alpha)``, at the
same marginal cost u. With k of them taking part and ``S = sum 1/f_i`` over these, ``u = alpha k / S +
(1 - alpha) B / S``: as of one column with factor ``k / S`` and ridge ``1 / S``, until u reaches
``alpha f_{k+1}``. So the cheapest columns take all of a small coefficient, and of any in the LASSO; columns
with equal factors have equal shares (which the LASSO leaves open).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.ploidy import OneCopy
from hapsight.errors import ConfigError, InputError
from hapsight.least_squares import DistinctRows
from hapsight.linear.fits import MAX_SWEEPS, Dosage, Pieces, Predictors, varies, weighted_sum
from hapsight.linear.paths import lockstep_paths
from hapsight.process import not_interrupted

__all__ = [
    "LEAST_FACTOR",
    "CrossValidatedFit",
    "ElasticNetOptions",
    "SharedPenalty",
    "compiling_meanwhile",
    "cross_validated",
    "fit_cross_validated",
    "lambda_ladder",
    "rescaled_factors",
    "shared_penalty",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_FACTOR: Final = 1e-8
"""Factors below this share of their mean are refused: their lambdas would be far above all others'."""


def rescaled_factors(factors: Floats) -> Floats:
    """Factors (V,) with mean 1, as glmnet has them.

    Raises
    ------
    InputError
        A factor is not a finite number, or less than `LEAST_FACTOR` of their mean (such as 0: not penalised).
    """
    finite = np.isfinite(factors) & (factors > 0.0)
    mean = factors[finite].mean() if finite.any() else 1.0
    fine = finite & (factors >= LEAST_FACTOR * mean)
    if not fine.all():
        place = int(np.flatnonzero(~fine)[0])
        raise InputError(
            "A penalty factor is too small, or not a number.",
            where=f"factors[{place}] (and {int((~fine).sum()) - 1} more)",
            expected=f"finite, and at least {LEAST_FACTOR:g} of their mean",
            got=factors[place],
            fix="raise the smallest factors: every variant must be penalised",
        )
    rescaled: Floats = factors / mean
    return rescaled


@dataclass(frozen=True, slots=True, eq=False)
class SharedPenalty:
    """What P groups of identical columns pay together, as chains of S pieces.

    Attributes
    ----------
    distinct
        The groups of V rows.
    factors
        (V,) of the rows.
    pieces
        As the kernel reads them.
    members
        (S,) columns that take part in each piece.
    inverse
        (S,) sum of their inverse factors.
    last
        (S,) the largest of their factors.
    """

    distinct: DistinctRows
    factors: Floats
    pieces: Pieces
    members: Floats
    inverse: Floats
    last: Floats
    alpha: float

    def spread(self, slopes: Floats, scale: Floats) -> Floats:
        """Share the slope of each group (P,) among its rows at the least cost: (V,) slopes.

        Parameters
        ----------
        scale
            (P,) standard deviation of each group's row over that of the outcome.
        """
        group = self.distinct.group
        piece = self._piece(np.abs(slopes) * scale)[group]
        weight = self.inverse[piece] * self.factors
        shared: Floats = slopes[group] / weight
        if self.alpha < 1.0:
            uneven = self.alpha / (1.0 - self.alpha) * (self.members[piece] / weight - 1.0)
            shared += np.sign(slopes[group]) * uneven / scale[group]
        taking_part = (self.factors <= self.last[piece]) & (slopes[group] != 0.0)
        return np.where(taking_part, shared, 0.0) * self.distinct.sign

    def _piece(self, size: Floats) -> Ints:
        """(P,) the piece that each group's coefficient of this size is on."""
        piece = self.pieces.start[:-1].copy()
        while (beyond := size > self.pieces.end[piece]).any():
            piece[beyond] += 1
        return piece


def shared_penalty(distinct: DistinctRows, factors: Floats, alpha: float) -> SharedPenalty:
    """The penalties of groups of identical rows whose factors are (V,)."""
    order = np.lexsort((factors, distinct.group))
    group, factor = distinct.group[order], factors[order]
    members, inverse = _running(group, factor, distinct.copies)
    new_group = group[1:] != group[:-1]
    ends_piece = np.append(new_group | (factor[1:] != factor[:-1]), True)
    piece = np.flatnonzero(ends_piece)
    last_of_chain = np.append(new_group, True)[piece]
    members, inverse, last = members[piece], inverse[piece], factor[piece]
    end = np.full(len(piece), np.inf)
    if alpha < 1.0:
        following = np.append(last[1:], np.inf)
        end = np.where(last_of_chain, np.inf, alpha / (1.0 - alpha) * (following * inverse - members))
    start = np.append(0, np.flatnonzero(last_of_chain) + 1).astype(np.int64)
    pieces = Pieces(start, members / inverse, 1.0 / inverse, end, (members / inverse)[start[:-1]])
    return SharedPenalty(distinct, factors, pieces, members, inverse, last, alpha)


def _running(group: Ints, factor: Floats, copies: Ints) -> tuple[Floats, Floats]:
    """(V,) how many rows of the same group there are up to each one, and the sum of their inverse factors."""
    first = np.append(0, np.cumsum(copies)[:-1])
    rank = np.arange(len(group)) - first[group]
    inverse = 1.0 / factor
    for place in range(1, int(copies.max(initial=1))):
        here = np.flatnonzero(rank == place)
        inverse[here] += inverse[here - 1]
    return rank + 1.0, inverse


@dataclass(frozen=True, slots=True)
class ElasticNetOptions:
    """What the nested elastic net is asked to do; the defaults are PrediXcan's.

    Attributes
    ----------
    alpha
        glmnet's alpha, scikit-learn's ``l1_ratio``: 1 is the LASSO; above 0.
    n_lambdas
        Length of the path of penalties.
    outer, inner
        Folds over people that judge the predictions, and folds within the training people that choose lambda.
    min_maf
        Variants rarer than this among the training people of a fit take no part in that fit.
    thresh
        Convergence threshold, glmnet's ``thresh``.
    patience
        A path ends when the cross-validated error was least this many lambdas ago; `n_lambdas` follows it as
        far as glmnet does.
    """

    alpha: float = 0.5
    n_lambdas: int = 100
    outer: int = 5
    inner: int = 10
    min_maf: float = 0.01
    thresh: float = 1e-7
    patience: int = 15

    def __post_init__(self) -> None:
        _require(0.0 < self.alpha <= 1.0, "alpha", "above 0 and at most 1", self.alpha)
        _require(self.n_lambdas >= 2, "n_lambdas", "2 or more", self.n_lambdas)
        _require(self.outer >= 2, "outer", "2 or more folds", self.outer)
        _require(self.inner >= 3, "inner", "3 or more folds, as cv.glmnet does", self.inner)
        _require(0.0 <= self.min_maf < 0.5, "min_maf", "from 0 to below 0.5", self.min_maf)
        _require(0.0 < self.thresh <= 1e-3, "thresh", "above 0 and at most 0.001", self.thresh)
        _require(self.patience >= 1, "patience", "1 or more lambdas", self.patience)


def _require(fine: bool, name: str, expected: str, got: float) -> None:
    if not fine:
        raise ConfigError(
            f"The elastic net cannot work with this {name}.", where=name, expected=expected, got=got
        )


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidatedFit:
    """A linear predictor and the lambda it was chosen by.

    Attributes
    ----------
    weights
        (V,) change of the outcome per unit of dosage.
    intercept
        Outcome at dosage 0.
    lambda_min
        The largest lambda of the least cross-validated squared error; NaN where there was nothing to choose.
    lambdas, squared_error
        (M,) the path as far as it was followed, and the mean over people of the squared error on the fold
        that held each out.
    """

    weights: NDArray[np.float64]
    intercept: float
    lambda_min: float
    lambdas: NDArray[np.float64]
    squared_error: NDArray[np.float64]

    def predict(self, dosage: Dosage) -> NDArray[np.float64]:
        """Outcome (n,) of people with these dosages (V, n)."""
        predicted: NDArray[np.float64] = self.intercept + weighted_sum(self.weights, dosage)
        return predicted


def lambda_ladder(n_lambdas: int, n_people: int, n_predictors: int) -> NDArray[np.float64]:
    """Lambdas (L,) of glmnet as shares of the largest: to 0.01 if people < predictors, else to 0.0001."""
    least = 0.01 if n_people < n_predictors else 1e-4
    ladder: NDArray[np.float64] = least ** (np.arange(n_lambdas) / (n_lambdas - 1))
    return ladder


def fit_cross_validated(
    dosage: Dosage,
    outcome: NDArray[np.float64],
    fold: NDArray[np.int64],
    options: ElasticNetOptions,
    factors: NDArray[np.float64] | None = None,
    one_copy: OneCopy | None = None,
) -> CrossValidatedFit:
    """Fit the path, choose lambda by cross-validation over `fold`, keep the fit on all people at that lambda.

    Predictors are scaled to unit variance within each fit. Where the dosages or the outcome do not vary,
    or the outcome does not vary without one of the folds, the fit is the mean of the outcome.

    Parameters
    ----------
    dosage
        (V, n) dosages; rows that do not vary, or are rarer than `min_maf`, get weight 0.
    outcome
        (n,) values to predict.
    fold
        (n,) fold of each person, 0..K-1, none empty.
    factors
        (V,) share of the penalty that each variant pays, glmnet's ``penalty.factor``; only their ratios among
        the variants that take part matter. None: all pay the same.
    one_copy
        Which of these people have one copy of which variants; None: everybody has two of all.

    Raises
    ------
    InputError
        If a descent does not converge, or a factor is not a number or near 0 (see `rescaled_factors`).
    """
    return cross_validated(Predictors.of(dosage, options.min_maf, one_copy), outcome, fold, options, factors)


def cross_validated(
    predictors: Predictors,
    outcome: NDArray[np.float64],
    fold: NDArray[np.int64],
    options: ElasticNetOptions,
    factors: NDArray[np.float64] | None = None,
) -> CrossValidatedFit:
    """`fit_cross_validated` of what a fit sees of dosages, whose frequency floor holds instead of `options`'.

    Raises
    ------
    InputError
        As `fit_cross_validated`.
    """
    left_out = np.vstack([np.zeros_like(fold, np.bool_), fold == np.arange(fold.max() + 1)[:, None]])
    if not len(predictors.usable) or not all(varies(outcome[None, ~out])[0] for out in left_out):
        return _mean_only(len(predictors.mean), float(outcome.mean()))
    problem = _Problem(predictors, predictors.centred(), outcome, left_out, options)
    return problem.fit(problem.penalty(factors))


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """A path as far as it was followed: M lambdas, P distinct predictors."""

    lambdas: NDArray[np.float64]
    slopes: NDArray[np.float64]
    squared_error: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """A cross-validation whose penalty factors are still open."""

    predictors: Predictors
    rows: NDArray[np.float64]  # (P, n), centred
    outcome: NDArray[np.float64]  # (n,)
    left_out: NDArray[np.bool_]  # (1 + K, n)
    options: ElasticNetOptions

    def penalty(self, factors: NDArray[np.float64] | None) -> SharedPenalty:
        """What the distinct rows pay, given the factors (V,) of all variants."""
        usable = np.ones(len(self.predictors.usable)) if factors is None else factors[self.predictors.usable]
        return shared_penalty(self.predictors.distinct, rescaled_factors(usable), self.options.alpha)

    def path(self, penalty: SharedPenalty) -> _Path:
        """The path of all people, and its cross-validated error."""
        options = self.options
        ladder = lambda_ladder(options.n_lambdas, len(self.outcome), len(self.predictors.usable))
        lambdas, slopes, held_out, converged = lockstep_paths(
            self.rows,
            penalty.pieces,
            self.outcome,
            self.left_out,
            ladder,
            options.alpha,
            options.thresh,
            options.patience,
        )
        if not converged:
            raise _did_not_converge(len(self.predictors.mean), len(self.outcome), options)
        return _Path(lambdas, slopes, np.mean((held_out - self.outcome) ** 2, axis=1))

    def fit(self, penalty: SharedPenalty) -> CrossValidatedFit:
        """The fit on all people at the lambda of the least error."""
        path = self.path(penalty)
        best = int(np.argmin(path.squared_error))
        weights = np.zeros(len(self.predictors.mean))
        if best:  # the first lambda is the least of which no slope differs from 0: what is there is rounding
            scale = self.rows.std(axis=1) / self.outcome.std()
            weights[self.predictors.usable] = penalty.spread(path.slopes[best], scale)
        intercept = float(self.outcome.mean() - weights @ self.predictors.mean)
        return CrossValidatedFit(
            weights, intercept, float(path.lambdas[best]), path.lambdas, path.squared_error
        )


def _did_not_converge(variants: int, people: int, options: ElasticNetOptions) -> InputError:
    return InputError(
        "The elastic net did not converge.",
        where=f"{variants} variants, {people} people",
        expected=f"squared changes below thresh = {options.thresh:g} within {MAX_SWEEPS} sweeps",
        fix="raise thresh",
    )


def _mean_only(n_variants: int, mean: float) -> CrossValidatedFit:
    return CrossValidatedFit(np.zeros(n_variants), mean, float("nan"), np.empty(0), np.empty(0))


@contextmanager
def compiling_meanwhile() -> Iterator[None]:
    """Have the loops of the paths compiled by a process of its own, if compiled code of them is not kept yet.

    Who needs them before it is done waits for it (`hapsight.files.compiled_by_one`). It ends with this.
    """
    if _is_kept():
        yield
        return
    process = get_context("spawn").Process(target=_compile, daemon=True)
    with not_interrupted():
        process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _is_kept() -> bool:
    """Whether there is compiled code that is newer than its source."""
    from hapsight.linear import kernel

    loop: Any = kernel.follow
    kept = loop.stats.cache_path
    if kept is None:
        return True  # by nobody: each process compiles for itself
    written = Path(kernel.__file__).stat().st_mtime
    return any(index.stat().st_mtime >= written for index in Path(kept).glob("kernel.follow-*.nbi"))


def _compile() -> None:
    """Fit the smallest problem."""
    dosage = np.array([[0, 1, 2, 0, 1, 2], [0, 0, 1, 1, 2, 2]], np.uint8)
    fit_cross_validated(dosage, np.arange(6.0) ** 2, np.arange(6) % 3, ElasticNetOptions(inner=3))
