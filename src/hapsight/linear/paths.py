"""Elastic-net paths by coordinate descent: all the paths of a cross-validation in lockstep over lambda.

The problem and its conventions are glmnet's (Friedman, Hastie and Tibshirani, J. Stat. Softw. 33(1), 2010):
minimise ``1/(2n) |y - b0 - Xb|^2 + lambda (alpha |b|_1 + (1 - alpha)/2 |b|_2^2)`` with predictors *and*
outcome scaled to unit variance (1/n) on the people of that fit. Inside, columns and outcome have unit norm,
so that a gradient is a correlation.

Problem 0 is the fit on all people; the others leave some out. All follow one sequence of lambdas, that of
problem 0, as ``cv.glmnet`` does when it is given lambdas. So one pass over the predictors screens them for
all problems. The descent itself runs on the predictors that ever entered a problem, with their Gram matrix;
the sequential strong rule (Tibshirani et al., J. R. Stat. Soc. B 74(2), 2012) says which others to look at,
and every solution is checked against every predictor.

Predictors may differ in their penalty (glmnet's ``penalty.factor``); see `hapsight.linear.elastic_net`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapsight.files import compiled_by_one

__all__ = ["MAX_SWEEPS", "Active", "Data", "Outcome", "Pieces", "Screen", "lockstep_paths"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MAX_SWEEPS: Final = 100_000
"""Sweeps allowed for one descent."""


class Pieces(NamedTuple):
    """The penalties of P predictors, as chains of S pieces in all.

    A coefficient of size b is penalised as ``factor b alpha + ridge b^2 (1 - alpha) / 2``, up to a constant,
    by the first piece of its chain whose `end` is not below it.
    """

    start: Ints  # (P + 1,) first piece of each predictor, and S
    factor: Floats  # (S,) of the absolute penalty, ascending in a chain
    ridge: Floats  # (S,) of the squared penalty
    end: Floats  # (S,) ascending; infinite in the last piece of a chain
    least: Floats  # (P,) factor of the first piece


class Data(NamedTuple):
    """What stays the same along the paths; Q problems, P predictors, n people."""

    rows: Floats  # (P, n)
    pieces: Pieces
    left_out: Flags  # (Q, n)
    kept: Floats  # (Q, n) 0 where left out, else 1
    mean: Floats  # (Q, P) of each row over the people of each problem
    norm: Floats  # (Q, P) of the centred row; 0 where it is constant
    target: Floats  # (Q, n) centred outcome of unit norm, 0 for those left out


class Outcome(NamedTuple):
    """What is predicted, of n people in Q problems."""

    values: Floats  # (n,)
    mean: Floats  # (Q,)
    norm: Floats  # (Q,) once centred


class Active(NamedTuple):
    """Predictors that ever entered each problem, in order of entry, with room for R of them."""

    size: Ints  # (Q,) how many there are
    member: Flags  # (Q, P)
    which: Ints  # (Q, R) row of the predictor
    beta: Floats  # (Q, R) coefficients
    gradient: Floats  # (Q, R) column . residual
    columns: Floats  # (Q, R, n) centred, unit norm, 0 for people left out
    gram: Floats  # (Q, R, R) column . column


class Screen(NamedTuple):
    """What is known of every predictor's gradient without computing it at each solution.

    A gradient is no larger than ``least + path``.
    """

    gradient: Floats  # (Q, P) when it was last computed
    least: Floats  # (Q, P) its size then, less the path up to then
    path: Floats  # (Q,) length of the way that the residual has gone
    residual: Floats  # (Q, n) where it is


def lockstep_paths(
    rows: Floats,
    pieces: Pieces,
    outcome: Floats,
    left_out: Flags,
    ladder: Floats,
    alpha: float,
    thresh: float,
    patience: int,
) -> tuple[Floats, Floats, Floats, bool]:
    """Fit the path of problem 0 and, at the same lambdas, those of the other problems.

    Parameters
    ----------
    rows
        (P, n) predictors, one a row, C-contiguous and centred.
    pieces
        The predictors' penalties, as from `hapsight.linear.elastic_net.shared_penalty`; factors above 0.
    outcome
        (n,) not constant in any problem.
    left_out
        (Q, n) people that each problem leaves out; row 0 all false.
    ladder
        (L,) lambdas as shares of the largest, decreasing from 1.
    alpha
        Share of the absolute penalty, above 0.
    thresh
        A descent ends when no squared change of a coefficient in a sweep reaches this (glmnet's ``thresh``).
    patience
        The path ends when the squared error of `held_out` was least this many lambdas ago.

    Returns
    -------
    lambdas
        (M,) in units of the outcome; M <= L, as glmnet ends a path that gains no more.
    slopes
        (M, P) of problem 0 per unit of `rows`, summed over the copies.
    held_out
        (M, n) outcome of each person as predicted by the last problem that left the person out, or NaN.
    converged
        False where a descent took more than `MAX_SWEEPS`; the path then ends before it.
    """
    from hapsight.linear.kernel import follow

    with compiled_by_one(follow):
        return _paths(rows, pieces, outcome, left_out, ladder, alpha, thresh, patience)


def _paths(
    rows: Floats,
    pieces: Pieces,
    outcome: Floats,
    left_out: Flags,
    ladder: Floats,
    alpha: float,
    thresh: float,
    patience: int,
) -> tuple[Floats, Floats, Floats, bool]:
    from hapsight.linear.kernel import follow, moments, write_gradients

    n_people, problems = len(outcome), len(left_out)
    mean, norm = moments(rows, left_out)
    y_mean, y_norm = moments(outcome.reshape(1, -1), left_out)
    target = np.where(left_out, 0.0, (outcome - y_mean) / y_norm)
    deviation = y_norm[:, 0] / np.sqrt(n_people - left_out.sum(axis=1))
    residual = target.copy()
    gradient = np.empty((problems, len(rows)))
    write_gradients(rows, np.arange(len(rows)), residual, norm, gradient)
    lambdas = (np.abs(gradient[0]) / pieces.least).max() / alpha * deviation[0] * ladder
    strong = alpha * (2.0 * lambdas - np.append(lambdas[:1], lambdas[:-1]))  # the strong rule
    slopes, held_out = np.zeros((len(lambdas), len(rows))), np.full((len(lambdas), n_people), np.nan)
    steps, converged = follow(
        Data(rows, pieces, left_out, np.where(left_out, 0.0, 1.0), mean, norm, target),
        Screen(gradient, np.abs(gradient), np.zeros(problems), target.copy()),
        residual,
        np.divide.outer(lambdas, deviation),
        np.divide.outer(strong, deviation),
        Outcome(outcome, y_mean[:, 0], y_norm[:, 0]),
        alpha,
        thresh,
        patience,
        slopes,
        held_out,
    )
    return lambdas[:steps], slopes[:steps], held_out[:steps], converged
