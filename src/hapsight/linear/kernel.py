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

Loops over the people of one row, for compiled code.

Numba keeps compiled callers in ``__pycache__`` and does not see that something changed here: remove it then.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["MAX_SWEEPS", "Pieces", "dot", "lockstep_paths", "subtract"]

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True, fastmath=True)
def dot(a: Floats, b: Floats) -> float:
    """Inner product of two vectors of one length."""
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, fastmath=True)
def subtract(vector: Floats, factor: float, other: Floats) -> None:
    """Take `factor` times `other` from `vector`."""
    for i in range(len(vector)):
        vector[i] -= factor * other[i]


Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MAX_SWEEPS: Final = 100_000
"""Sweeps allowed for one descent."""

_ROOM: Final = 128  # active predictors to begin with
_SLACK: Final = 1e-9  # of the penalty, by which a left-out predictor may exceed it: rounding
_MIN_STEPS: Final = 5  # glmnet.control: mnlam
_MAX_EXPLAINED: Final = 0.999  # devmax
_MIN_GAIN: Final = 1e-5  # fdev
_CANCELLED: Final = 1e-3  # of a sum of squares: what is less than this after a subtraction is added up anew


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


class _Data(NamedTuple):
    """What stays the same along the paths; Q problems, P predictors, n people."""

    rows: Floats  # (P, n)
    pieces: Pieces
    left_out: Flags  # (Q, n)
    kept: Floats  # (Q, n) 0 where left out, else 1
    mean: Floats  # (Q, P) of each row over the people of each problem
    norm: Floats  # (Q, P) of the centred row; 0 where it is constant
    target: Floats  # (Q, n) centred outcome of unit norm, 0 for those left out


class _Active(NamedTuple):
    """Predictors that ever entered each problem, in order of entry, with room for R of them."""

    size: Ints  # (Q,) how many there are
    member: Flags  # (Q, P)
    which: Ints  # (Q, R) row of the predictor
    beta: Floats  # (Q, R) coefficients
    gradient: Floats  # (Q, R) column . residual
    columns: Floats  # (Q, R, n) centred, unit norm, 0 for people left out
    gram: Floats  # (Q, R, R) column . column


class _Screen(NamedTuple):
    """What is known of every predictor's gradient without computing it at each solution.

    A gradient is no larger than ``least + path``.
    """

    gradient: Floats  # (Q, P) when it was last computed
    least: Floats  # (Q, P) its size then, less the path up to then
    path: Floats  # (Q,) length of the way that the residual has gone
    residual: Floats  # (Q, n) where it is


@njit(cache=True, nogil=True)
def _allocate(size: Ints, member: Flags, room: int, n_people: int) -> _Active:
    problems = len(size)
    return _Active(
        size,
        member,
        np.empty((problems, room), np.int64),
        np.empty((problems, room)),
        np.empty((problems, room)),
        np.empty((problems, room, n_people)),
        np.empty((problems, room, room)),
    )


@njit(cache=True, nogil=True)
def _doubled(active: _Active) -> _Active:
    room, n_people = active.columns.shape[1:]
    larger = _allocate(active.size, active.member, 2 * room, n_people)
    larger.which[:, :room] = active.which
    larger.beta[:, :room] = active.beta
    larger.gradient[:, :room] = active.gradient
    larger.columns[:, :room] = active.columns
    larger.gram[:, :room, :room] = active.gram
    return larger


@njit(cache=True, nogil=True)
def _enter(data: _Data, active: _Active, q: int, predictor: int, gradient: float) -> _Active:
    """Let a predictor into problem q: its column, and its products with those already there."""
    place = active.size[q]
    if place == active.which.shape[1]:
        active = _doubled(active)
    row, mean, norm = data.rows[predictor], data.mean[q, predictor], data.norm[q, predictor]
    columns, gram = active.columns[q], active.gram[q]
    for i in range(len(row)):
        columns[place, i] = (row[i] - mean) / norm * data.kept[q, i]
    for other in range(place + 1):
        product = dot(columns[other], columns[place])
        gram[place, other] = product
        gram[other, place] = product
    active.which[q, place] = predictor
    active.beta[q, place] = 0.0
    active.gradient[q, place] = gradient
    active.member[q, predictor] = True
    active.size[q] = place + 1
    return active


@njit(cache=True, nogil=True)
def _shrunk(pull: float, pieces: Pieces, predictor: int, l1: float, l2: float) -> float:
    """The coefficient at which this predictor's pull and its penalty are in balance."""
    size = 0.0
    for piece in range(pieces.start[predictor], pieces.start[predictor + 1]):
        excess = abs(pull) - l1 * pieces.factor[piece]
        size = excess / (1.0 + l2 * pieces.ridge[piece]) if excess > 0.0 else 0.0
        if size <= pieces.end[piece]:
            break
    return float(np.copysign(size, pull))


@njit(cache=True, nogil=True)
def _descend(active: _Active, pieces: Pieces, q: int, l1: float, l2: float, thresh: float) -> bool:
    """Cycle through the active predictors until none changes much; false if that never comes."""
    size = active.size[q]
    beta, which, gram = active.beta[q], active.which[q, :size], active.gram[q]
    gradient = active.gradient[q, :size]
    first = pieces.start[which]
    absolute, squared, end = l1 * pieces.factor[first], 1.0 + l2 * pieces.ridge[first], pieces.end[first]
    for _ in range(MAX_SWEEPS):
        largest = 0.0
        for place in range(size):
            pull = gradient[place] + beta[place]
            excess = abs(pull) - absolute[place]
            new = np.copysign(excess, pull) / squared[place] if excess > 0.0 else 0.0
            if abs(new) > end[place]:
                new = _shrunk(pull, pieces, which[place], l1, l2)
            change = new - beta[place]
            if change != 0.0:
                beta[place] = new
                subtract(gradient, change, gram[place, :size])
                largest = max(largest, change * change)
        if largest < thresh:
            return True
    return False


@njit(cache=True, nogil=True)
def _write_residual(data: _Data, active: _Active, q: int, residual: Floats) -> None:
    residual[:] = data.target[q]
    for place in range(active.size[q]):
        if active.beta[q, place] != 0.0:
            subtract(residual, active.beta[q, place], active.columns[q, place])


@njit(cache=True, nogil=True)
def _solve(
    data: _Data,
    active: _Active,
    q: int,
    gradient: Floats,
    residual: Floats,
    cut: float,
    l1: float,
    l2: float,
    thresh: float,
) -> tuple[_Active, bool]:
    """Solve problem q among its active predictors and those whose `gradient` exceeds `cut` and their factor.

    Leaves the solution's residual in `residual` (n,) and the candidates' gradients in `gradient` (P,).
    """
    least = data.pieces.least
    candidates = np.flatnonzero((np.abs(gradient) > cut * least) & ~active.member[q])
    converged = True
    while True:
        for j in candidates:
            if abs(gradient[j]) > l1 * least[j] and not active.member[q, j]:
                active = _enter(data, active, q, int(j), gradient[j])
        converged &= _descend(active, data.pieces, q, l1, l2, thresh)
        _write_residual(data, active, q, residual)
        missing = False
        for j in candidates:
            if not active.member[q, j]:
                gradient[j] = dot(data.rows[j], residual) / data.norm[q, j]
                missing |= abs(gradient[j]) > l1 * least[j]
        if not missing:
            return active, converged


@njit(cache=True, nogil=True)
def _solve_all(
    data: _Data,
    active: _Active,
    screen: _Screen,
    residual: Floats,
    penalty: Floats,
    cut: Floats,
    following: Floats,
    alpha: float,
    thresh: float,
) -> tuple[_Active, bool]:
    """Solve every problem at its `penalty` (Q,), and again where the strong rule missed a predictor.

    `residual` (Q, n) and the screen go from the last solution's to this one's. `cut` (Q,) is what the strong
    rule says here, `following` at the next penalties.
    """
    converged = True
    pending = np.ones(len(penalty), np.bool_)
    gradient = screen.gradient
    exceeded = alpha * penalty * (1.0 + _SLACK)
    while pending.any():
        for q in range(len(penalty)):
            if not pending[q]:
                continue
            size = active.size[q]
            active.gradient[q, :size] = gradient[q][active.which[q, :size]]
            l1, l2 = alpha * penalty[q], (1.0 - alpha) * penalty[q]
            active, done = _solve(data, active, q, gradient[q], residual[q], cut[q], l1, l2, thresh)
            converged &= done
        _look(data, active, screen, residual, np.minimum(exceeded, following))
        for q in range(len(penalty)):
            cut[q] = exceeded[q]
            pending[q] = np.any((np.abs(gradient[q]) > cut[q] * data.pieces.least) & ~active.member[q])
    return active, converged


@njit(cache=True, nogil=True)
def _look(data: _Data, active: _Active, screen: _Screen, residual: Floats, limit: Floats) -> None:
    """Bring up to date the gradients of active predictors, and of those that may exceed `limit` (Q,).

    Columns have unit norm, so that a gradient changes by no more than the residual does. Others keep theirs,
    which are not above the limit either.
    """
    problems, n_people = residual.shape
    wanted = np.zeros(len(data.rows), np.bool_)
    for q in range(problems):
        moved = 0.0
        for i in range(n_people):
            moved += (residual[q, i] - screen.residual[q, i]) ** 2
        screen.residual[q] = residual[q]
        screen.path[q] += np.sqrt(moved) * (1.0 + _SLACK) + _SLACK * limit[q]
        path = screen.path[q]
        for j in range(len(wanted)):
            wanted[j] |= active.member[q, j] | (screen.least[q, j] + path > limit[q] * data.pieces.least[j])
    which = np.flatnonzero(wanted)
    _write_gradients(data.rows, which, residual, data.norm, screen.gradient)
    for q in range(problems):
        for j in which:
            screen.least[q, j] = abs(screen.gradient[q, j]) - screen.path[q]


@njit(cache=True, nogil=True, fastmath=True)
def _write_gradients(rows: Floats, which: Ints, residuals: Floats, norm: Floats, out: Floats) -> None:
    """Gradients of these predictors in all problems, (Q, P); 0 for one that is constant in a problem."""
    problems, n_people = residuals.shape
    for j in which:
        row = rows[j]
        for q in range(0, problems - 3, 4):
            a, b, c, d = residuals[q], residuals[q + 1], residuals[q + 2], residuals[q + 3]
            sa = sb = sc = sd = 0.0
            for i in range(n_people):
                value = row[i]
                sa += value * a[i]
                sb += value * b[i]
                sc += value * c[i]
                sd += value * d[i]
            out[q, j], out[q + 1, j], out[q + 2, j], out[q + 3, j] = sa, sb, sc, sd
        for q in range(problems - problems % 4, problems):
            out[q, j] = dot(row, residuals[q])
    for q in range(problems):
        for j in which:
            out[q, j] = out[q, j] / norm[q, j] if norm[q, j] > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _moments(rows: Floats, left_out: Flags) -> tuple[Floats, Floats]:
    """Mean and centred norm (Q, P) of each row over the people of each problem; norm 0 where constant.

    Sums over all people, less those left out; where that cancels, over the people of the problem.
    """
    problems = len(left_out)
    mean, norm = np.empty((problems, len(rows))), np.zeros((problems, len(rows)))
    kept = ~left_out
    for j in range(len(rows)):
        mean[0, j], norm[0, j] = _moments_of(rows[j], kept[0])
    for q in range(1, problems):
        people, n = np.flatnonzero(left_out[q]), kept[q].sum()
        for j in range(len(rows)):
            middle, squares = mean[0, j], norm[0, j] ** 2
            total = left = 0.0
            for i in people:
                value = rows[j, i] - middle
                total -= value
                left += value * value
            own = squares - left - total * total / n
            mean[q, j] = middle + total / n
            if own > _CANCELLED * squares:
                norm[q, j] = np.sqrt(own)
            else:
                mean[q, j], norm[q, j] = _moments_of(rows[j], kept[q])
    return mean, norm


@njit(cache=True, nogil=True)
def _moments_of(row: Floats, kept: Flags) -> tuple[float, float]:
    """Mean and centred norm of a row over these people; norm 0 where it is constant."""
    total = squares = 0.0
    n = 0
    for i in range(len(row)):
        if kept[i]:
            total += row[i]
            n += 1
    mean = total / n
    for i in range(len(row)):
        if kept[i]:
            squares += (row[i] - mean) ** 2
    return mean, np.sqrt(squares) if squares > 1e-20 * (squares + n * mean**2) else 0.0


@njit(cache=True, nogil=True)
def _write_held_out(data: _Data, active: _Active, q: int, mean: float, norm: float, out: Floats) -> None:
    """Predict the outcome, of this `mean` and `norm`, of the people that problem q left out."""
    people = np.flatnonzero(data.left_out[q])
    total = np.zeros(len(people))
    for place in range(active.size[q]):
        j = active.which[q, place]
        slope = active.beta[q, place] / data.norm[q, j]
        if slope != 0.0:
            for k, i in enumerate(people):
                total[k] += slope * (data.rows[j, i] - data.mean[q, j])
    out[people] = mean + norm * total


@njit(cache=True, nogil=True)
def _ends(step: int, explained: float, before: float) -> bool:
    """Whether glmnet ends a path after this step: no longer a gain, or nothing left to explain."""
    return step + 1 >= _MIN_STEPS and (
        explained - before < _MIN_GAIN * explained or explained > _MAX_EXPLAINED
    )


@njit(cache=True, nogil=True)
def _mean_square(a: Floats, b: Floats) -> float:
    total = 0.0
    for i in range(len(a)):
        total += (a[i] - b[i]) ** 2
    return total / len(a)


@njit(cache=True, nogil=True)
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
    n_people, problems = len(outcome), len(left_out)
    mean, norm = _moments(rows, left_out)
    y_mean, y_norm = _moments(outcome.reshape(1, -1), left_out)
    target = np.where(left_out, 0.0, (outcome - y_mean) / y_norm)
    deviation = y_norm[:, 0] / np.sqrt(n_people - left_out.sum(axis=1))
    data = _Data(rows, pieces, left_out, np.where(left_out, 0.0, 1.0), mean, norm, target)
    member = np.zeros((problems, len(rows)), np.bool_)
    active = _allocate(np.zeros(problems, np.int64), member, _ROOM, n_people)

    residual = target.copy()
    gradient = np.empty((problems, len(rows)))
    _write_gradients(rows, np.arange(len(rows)), residual, norm, gradient)
    screen = _Screen(gradient, np.abs(gradient), np.zeros(problems), target.copy())
    lambdas = (np.abs(gradient[0]) / pieces.least).max() / alpha * deviation[0] * ladder
    strong = alpha * (2.0 * lambdas - np.append(lambdas[:1], lambdas[:-1]))  # the strong rule
    slopes = np.zeros((len(lambdas), len(rows)))
    held_out = np.full((len(lambdas), n_people), np.nan)
    explained, best, least = 0.0, 0, np.inf
    for step in range(len(lambdas)):
        active, done = _solve_all(
            data,
            active,
            screen,
            residual,
            lambdas[step] / deviation,
            strong[step] / deviation,
            strong[min(step + 1, len(lambdas) - 1)] / deviation,
            alpha,
            thresh,
        )
        if not done:
            return lambdas[:step], slopes[:step], held_out[:step], False
        for place in range(active.size[0]):
            j = active.which[0, place]
            slopes[step, j] = active.beta[0, place] * y_norm[0, 0] / norm[0, j]
        for q in range(1, problems):
            _write_held_out(data, active, q, y_mean[q, 0], y_norm[q, 0], held_out[step])
        before, explained = explained, 1.0 - dot(residual[0], residual[0])
        error = _mean_square(held_out[step], outcome)
        if error < least:
            best, least = step, error
        if _ends(step, explained, before) or step - best >= patience:
            return lambdas[: step + 1], slopes[: step + 1], held_out[: step + 1], True
    return lambdas, slopes, held_out, True
