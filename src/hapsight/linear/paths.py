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

import numpy as np
from numpy.typing import NDArray

from hapsight.files import compiled_by_one
from hapsight.linear.fits import Data, Outcome, Pieces, Screen

__all__ = ["lockstep_paths"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


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
    from hapsight.linear.kernel import follow, moments, write_gradients

    with compiled_by_one(follow):
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
