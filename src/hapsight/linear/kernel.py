"""Compiled loops of the elastic net's paths; see `hapsight.linear.paths`.

All is compiled at the first call, which takes longer than many fits. So here are loops, which compile fast:
products of whole arrays bring messages about shapes along. What has one caller is compiled as part of it
(``inline``), what is done once is left to NumPy.

Numba is imported with this module, so who calls these loops imports it where it calls them. Numba keeps
compiled callers in ``__pycache__`` and does not see that something changed here: remove it then.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.files import compiled
from hapsight.linear.fits import MAX_SWEEPS, Active, Data, Outcome, Pieces, Screen

__all__ = ["dot", "follow", "moments", "subtract", "write_gradients"]

Floats = NDArray[np.float64]


@compiled(fastmath=True)
def dot(a: Floats, b: Floats) -> float:
    """Inner product of two vectors of one length."""
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@compiled(fastmath=True)
def subtract(vector: Floats, factor: float, other: Floats) -> None:
    """Take `factor` times `other` from `vector`."""
    for i in range(len(vector)):
        vector[i] -= factor * other[i]


Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_ROOM: Final = 128  # active predictors to begin with
_SLACK: Final = 1e-9  # of the penalty, by which a left-out predictor may exceed it: rounding
_MIN_STEPS: Final = 5  # glmnet.control: mnlam
_MAX_EXPLAINED: Final = 0.999  # devmax
_MIN_GAIN: Final = 1e-5  # fdev
_CANCELLED: Final = 1e-3  # of a sum of squares: what is less than this after a subtraction is added up anew


@compiled()
def _allocate(size: Ints, member: Flags, room: int, n_people: int) -> Active:
    problems = len(size)
    return Active(
        size,
        member,
        np.empty((problems, room), np.int64),
        np.empty((problems, room)),
        np.empty((problems, room)),
        np.empty((problems, room, n_people)),
        np.empty((problems, room, room)),
    )


@compiled(inline="always")
def _with_room(active: Active, wanted: int) -> Active:
    """The same with room for so many predictors of each problem, if there is less."""
    room, n_people = active.which.shape[1], active.columns.shape[2]
    if wanted <= room:
        return active
    while room < wanted:
        room *= 2
    larger = _allocate(active.size, active.member, room, n_people)
    for q in range(len(active.size)):
        for place in range(active.size[q]):
            larger.which[q, place] = active.which[q, place]
            larger.beta[q, place] = active.beta[q, place]
            larger.gradient[q, place] = active.gradient[q, place]
            for i in range(n_people):
                larger.columns[q, place, i] = active.columns[q, place, i]
            for other in range(active.size[q]):
                larger.gram[q, place, other] = active.gram[q, place, other]
    return larger


@compiled(fastmath=True)
def _write_products(columns: Floats, place: int, out: Floats) -> None:
    """Inner products of the column at this place with itself and those before it."""
    own = columns[place]
    for a in range(0, place + 1, 4):
        b, c, d = min(a + 1, place), min(a + 2, place), min(a + 3, place)
        one, two, three, four = columns[a], columns[b], columns[c], columns[d]
        first = second = third = fourth = 0.0
        for i in range(len(own)):
            first += own[i] * one[i]
            second += own[i] * two[i]
            third += own[i] * three[i]
            fourth += own[i] * four[i]
        out[a], out[b], out[c], out[d] = first, second, third, fourth


@compiled(inline="always")
def _enter(data: Data, active: Active, q: int, predictor: int, gradient: float) -> None:
    """Let a predictor into problem q, which has room: its column, and its products with those there."""
    place = active.size[q]
    row, mean, norm = data.rows[predictor], data.mean[q, predictor], data.norm[q, predictor]
    columns, gram = active.columns[q], active.gram[q]
    for i in range(len(row)):
        columns[place, i] = (row[i] - mean) / norm * data.kept[q, i]
    _write_products(columns, place, gram[place])
    for other in range(place):
        gram[other, place] = gram[place, other]
    active.which[q, place] = predictor
    active.beta[q, place] = 0.0
    active.gradient[q, place] = gradient
    active.member[q, predictor] = True
    active.size[q] = place + 1


@compiled(inline="always")
def _shrunk(pull: float, pieces: Pieces, predictor: int, l1: float, l2: float) -> float:
    """The coefficient at which this predictor's pull and its penalty are in balance."""
    size = 0.0
    for piece in range(pieces.start[predictor], pieces.start[predictor + 1]):
        excess = abs(pull) - l1 * pieces.factor[piece]
        size = excess / (1.0 + l2 * pieces.ridge[piece]) if excess > 0.0 else 0.0
        if size <= pieces.end[piece]:
            break
    return float(np.copysign(size, pull))


@compiled(inline="always")
def _descend(active: Active, pieces: Pieces, q: int, l1: float, l2: float, thresh: float) -> bool:
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


@compiled(inline="always")
def _write_residual(data: Data, active: Active, q: int, residual: Floats) -> None:
    for i in range(len(residual)):
        residual[i] = data.target[q, i]
    for place in range(active.size[q]):
        if active.beta[q, place] != 0.0:
            subtract(residual, active.beta[q, place], active.columns[q, place])


@compiled()
def _count(data: Data, active: Active, q: int, gradient: Floats, cut: float) -> int:
    """How many candidates there are."""
    least, member = data.pieces.least, active.member[q]
    count = 0
    for j in range(len(gradient)):
        count += (abs(gradient[j]) > cut * least[j]) & ~member[j]
    return count


@compiled()
def _candidates(data: Data, active: Active, q: int, gradient: Floats, cut: float) -> Ints:
    """Predictors not yet in problem q whose gradient exceeds `cut` and their factor."""
    least, member = data.pieces.least, active.member[q]
    found, count = np.empty(_count(data, active, q, gradient, cut), np.int64), 0
    for j in range(len(gradient)):
        if abs(gradient[j]) > cut * least[j] and not member[j]:
            found[count] = j
            count += 1
    return found


@compiled(inline="always")
def _most(data: Data, active: Active, gradient: Floats, cut: Floats) -> int:
    """Most predictors that a problem has with its candidates."""
    most = 0
    for q in range(len(cut)):
        most = max(most, int(active.size[q]) + _count(data, active, q, gradient[q], cut[q]))
    return most


@compiled(inline="always")
def _solve(
    data: Data,
    active: Active,
    q: int,
    gradient: Floats,
    residual: Floats,
    cut: float,
    l1: float,
    l2: float,
    thresh: float,
) -> bool:
    """Solve problem q among its active predictors and those whose `gradient` exceeds `cut` and their factor.

    Leaves the solution's residual in `residual` (n,) and the candidates' gradients in `gradient` (P,).
    """
    least = data.pieces.least
    candidates = _candidates(data, active, q, gradient, cut)
    converged = True
    while True:
        for j in candidates:
            if abs(gradient[j]) > l1 * least[j] and not active.member[q, j]:
                _enter(data, active, q, int(j), gradient[j])
        converged &= _descend(active, data.pieces, q, l1, l2, thresh)
        _write_residual(data, active, q, residual)
        missing = False
        for j in candidates:
            if not active.member[q, j]:
                gradient[j] = dot(data.rows[j], residual) / data.norm[q, j]
                missing |= abs(gradient[j]) > l1 * least[j]
        if not missing:
            return converged


@compiled(inline="always")
def _solve_all(
    data: Data,
    active: Active,
    screen: Screen,
    residual: Floats,
    penalty: Floats,
    cut: Floats,
    following: Floats,
    alpha: float,
    thresh: float,
) -> tuple[Active, bool]:
    """Solve every problem at its `penalty` (Q,), and again where the strong rule missed a predictor.

    `residual` (Q, n) and the screen go from the last solution's to this one's. `cut` (Q,) is what the strong
    rule says here, `following` at the next penalties.
    """
    converged = True
    pending = np.ones(len(penalty), np.bool_)
    gradient = screen.gradient
    exceeded, limit = np.empty(len(penalty)), np.empty(len(penalty))
    for q in range(len(penalty)):
        exceeded[q] = alpha * penalty[q] * (1.0 + _SLACK)
        limit[q] = min(exceeded[q], following[q])
    while pending.any():
        active = _with_room(active, _most(data, active, gradient, cut))
        for q in range(len(penalty)):
            if not pending[q]:
                continue
            for place in range(active.size[q]):
                active.gradient[q, place] = gradient[q, active.which[q, place]]
            l1, l2 = alpha * penalty[q], (1.0 - alpha) * penalty[q]
            converged &= _solve(data, active, q, gradient[q], residual[q], cut[q], l1, l2, thresh)
        _look(data, active, screen, residual, limit)
        for q in range(len(penalty)):
            cut[q] = exceeded[q]
            pending[q] = _count(data, active, q, gradient[q], cut[q]) > 0
    return active, converged


@compiled(inline="always")
def _look(data: Data, active: Active, screen: Screen, residual: Floats, limit: Floats) -> None:
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
            screen.residual[q, i] = residual[q, i]
        screen.path[q] += np.sqrt(moved) * (1.0 + _SLACK) + _SLACK * limit[q]
        path = screen.path[q]
        for j in range(len(wanted)):
            wanted[j] |= active.member[q, j] | (screen.least[q, j] + path > limit[q] * data.pieces.least[j])
    which = np.flatnonzero(wanted)
    write_gradients(data.rows, which, residual, data.norm, screen.gradient)
    for q in range(problems):
        for seen in which:
            screen.least[q, seen] = abs(screen.gradient[q, seen]) - screen.path[q]


@compiled(fastmath=True)
def write_gradients(rows: Floats, which: Ints, residuals: Floats, norm: Floats, out: Floats) -> None:
    """Gradients of these predictors in all problems, (Q, P); 0 for one that is constant in a problem."""
    problems, n_people = residuals.shape
    for k in range(0, len(which), 2):
        j, other = which[k], which[min(k + 1, len(which) - 1)]
        one, two = rows[j], rows[other]
        for q in range(0, problems, 4):
            last = problems - 1
            qb, qc, qd = min(q + 1, last), min(q + 2, last), min(q + 3, last)
            a, b, c, d = residuals[q], residuals[qb], residuals[qc], residuals[qd]
            a1 = b1 = c1 = d1 = a2 = b2 = c2 = d2 = 0.0
            for i in range(n_people):
                first, second = one[i], two[i]
                a1 += first * a[i]
                a2 += second * a[i]
                b1 += first * b[i]
                b2 += second * b[i]
                c1 += first * c[i]
                c2 += second * c[i]
                d1 += first * d[i]
                d2 += second * d[i]
            out[q, j], out[qb, j], out[qc, j], out[qd, j] = a1, b1, c1, d1
            out[q, other], out[qb, other], out[qc, other], out[qd, other] = a2, b2, c2, d2
    for q in range(problems):
        for j in which:
            out[q, j] = out[q, j] / norm[q, j] if norm[q, j] > 0.0 else 0.0


@compiled()
def moments(rows: Floats, left_out: Flags) -> tuple[Floats, Floats]:
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


@compiled()
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


@compiled(inline="always")
def _write_held_out(data: Data, active: Active, q: int, mean: float, norm: float, out: Floats) -> None:
    """Predict the outcome, of this `mean` and `norm`, of the people that problem q left out."""
    people = np.flatnonzero(data.left_out[q])
    total = np.zeros(len(people))
    for place in range(active.size[q]):
        j = active.which[q, place]
        slope = active.beta[q, place] / data.norm[q, j]
        if slope != 0.0:
            for k, i in enumerate(people):
                total[k] += slope * (data.rows[j, i] - data.mean[q, j])
    for k, i in enumerate(people):
        out[i] = mean + norm * total[k]


@compiled(inline="always")
def _ends(step: int, explained: float, before: float) -> bool:
    """Whether glmnet ends a path after this step: no longer a gain, or nothing left to explain."""
    return step + 1 >= _MIN_STEPS and (
        explained - before < _MIN_GAIN * explained or explained > _MAX_EXPLAINED
    )


@compiled(inline="always")
def _mean_square(a: Floats, b: Floats) -> float:
    total = 0.0
    for i in range(len(a)):
        total += (a[i] - b[i]) ** 2
    return total / len(a)


@compiled()
def follow(
    data: Data,
    screen: Screen,
    residual: Floats,
    penalty: Floats,
    strong: Floats,
    outcome: Outcome,
    alpha: float,
    thresh: float,
    patience: int,
    slopes: Floats,
    held_out: Floats,
) -> tuple[int, bool]:
    """Solve for one row of `penalty` (L, Q) after the other; how many are solved, and whether all converged.

    `strong` (L, Q) are the strong rule's cuts; `slopes` (L, P) and `held_out` (L, n) are written.
    """
    problems, n_people = data.left_out.shape
    member = np.zeros((problems, len(data.rows)), np.bool_)
    active = _allocate(np.zeros(problems, np.int64), member, _ROOM, n_people)
    explained, best, least = 0.0, 0, np.inf
    for step in range(len(penalty)):
        following = strong[min(step + 1, len(penalty) - 1)]
        active, done = _solve_all(
            data, active, screen, residual, penalty[step], strong[step], following, alpha, thresh
        )
        if not done:
            return step, False
        for place in range(active.size[0]):
            j = active.which[0, place]
            slopes[step, j] = active.beta[0, place] * outcome.norm[0] / data.norm[0, j]
        for q in range(1, problems):
            _write_held_out(data, active, q, outcome.mean[q], outcome.norm[q], held_out[step])
        before, explained = explained, 1.0 - dot(residual[0], residual[0])
        error = _mean_square(held_out[step], outcome.values)
        if error < least:
            best, least = step, error
        if _ends(step, explained, before) or step - best >= patience:
            return step + 1, True
    return len(penalty), True
