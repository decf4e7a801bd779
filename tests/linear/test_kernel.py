"""The paths against a slow twin, against scikit-learn, and against their own optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet

from hapsight.least_squares import distinct_rows
from hapsight.linear.fits import Active, Data, Pieces, Screen
from hapsight.linear.kernel import _SLACK, _look, moments
from hapsight.linear.paths import lockstep_paths
from tests.linear.cohort import simulated_gene
from tests.linear.naive import elastic_net, largest_lambda

LADDER = 0.01 ** np.linspace(0.0, 1.0, 8)


def centred(dosage: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(dosage - dosage.mean(axis=1, keepdims=True))


def equal_penalties(count: int) -> Pieces:
    ones = np.ones(count)
    return Pieces(np.arange(count + 1), ones, ones, np.full(count, np.inf), ones)


def paths(
    dosage: np.ndarray,
    outcome: np.ndarray,
    fold: np.ndarray,
    alpha: float = 0.5,
    thresh: float = 1e-16,
    ladder: np.ndarray = LADDER,
    patience: int = 100,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    left_out = np.vstack([np.zeros(len(fold), np.bool_), fold == np.arange(fold.max() + 1)[:, None]])
    rows, pieces = centred(dosage.astype(float)), equal_penalties(len(dosage))
    return lockstep_paths(rows, pieces, outcome, left_out, ladder, alpha, thresh, patience)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
def test_every_problem_equals_the_slow_twin(alpha: float) -> None:
    dosage, outcome, fold = simulated_gene(25, 40, seed=3)
    dosage = dosage[distinct_rows(dosage.astype(float)).first]
    fold %= 3
    lambdas, slopes, held_out, converged = paths(dosage, outcome, fold, alpha)
    assert converged
    assert lambdas[0] == pytest.approx(largest_lambda(dosage, outcome, alpha))
    for step in (0, 3, 6):
        weights, _ = elastic_net(dosage, outcome, lambdas[step], alpha)
        np.testing.assert_allclose(slopes[step], weights, atol=2e-6)
        for k in range(3):
            test = fold == k
            weights, intercept = elastic_net(dosage[:, ~test], outcome[~test], lambdas[step], alpha)
            np.testing.assert_allclose(held_out[step, test], intercept + weights @ dosage[:, test], atol=5e-6)


def test_scikit_learn_agrees_when_its_outcome_has_unit_variance() -> None:
    dosage, outcome, fold = simulated_gene(300, 60, seed=4)
    lambdas, slopes, _, _ = paths(dosage, outcome, fold)
    size = dosage.std(axis=1)
    x = np.divide(centred(dosage), size[:, None], out=np.zeros(dosage.shape), where=size[:, None] > 0)
    y = (outcome - outcome.mean()) / outcome.std()
    for step in (1, 4, 7):
        judge = ElasticNet(alpha=lambdas[step] / outcome.std(), l1_ratio=0.5, tol=1e-12, max_iter=100_000)
        fitted = judge.fit(x.T, y).predict(x.T)
        np.testing.assert_allclose(slopes[step] @ centred(dosage) / outcome.std(), fitted, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n_variants=st.integers(3, 300), alpha=st.floats(0.1, 0.9))
def test_solutions_meet_the_optimality_conditions(seed: int, n_variants: int, alpha: float) -> None:
    dosage, outcome, fold = simulated_gene(n_variants, 50, seed)
    dosage = dosage[distinct_rows(dosage.astype(float)).first]
    lambdas, slopes, _, converged = paths(dosage, outcome, fold, alpha, 1e-14)
    size = np.where(dosage.std(axis=1) > 0, dosage.std(axis=1), 1.0)
    x, lam = centred(dosage) / size[:, None], lambdas / outcome.std()
    y = (outcome - outcome.mean()) / outcome.std()
    assert converged
    for step in range(len(lambdas)):
        b = slopes[step] * size / outcome.std()
        gradient = x @ (y - b @ x) / len(y) - lam[step] * (1 - alpha) * b
        np.testing.assert_allclose(gradient[b != 0], alpha * lam[step] * np.sign(b[b != 0]), atol=1e-5)
        assert np.all(np.abs(gradient[b == 0]) <= alpha * lam[step] + 1e-5)


def test_a_predictor_constant_in_a_fold_takes_no_part_there() -> None:
    dosage, outcome, fold = simulated_gene(10, 40, seed=5)
    fold %= 2
    dosage[4] = np.where(fold == 0, dosage[4], 1)
    _, slopes, held_out, _ = paths(dosage, outcome, fold)
    without = np.delete(dosage, 4, axis=0)
    lambdas, *_ = paths(dosage, outcome, fold)
    weights, intercept = elastic_net(without[:, fold == 1], outcome[fold == 1], lambdas[5], 0.5)
    np.testing.assert_allclose(held_out[5, fold == 0], intercept + weights @ without[:, fold == 0], atol=1e-5)
    assert np.isfinite(slopes).all()


def test_a_path_ends_when_nothing_is_left_to_explain() -> None:
    dosage, _, fold = simulated_gene(10, 40, seed=6)
    ladder = 1e-4 ** np.linspace(0, 1, 100)
    left_out = np.vstack([np.zeros(len(fold), np.bool_), fold == np.arange(10)[:, None]])
    lambdas, slopes, held_out, _ = lockstep_paths(
        centred(dosage), equal_penalties(10), dosage[2].astype(float), left_out, ladder, 0.5, 1e-9, 100
    )
    explained = 1 - np.var(dosage[2] - slopes @ centred(dosage), axis=1) / dosage[2].var()
    assert 5 <= len(lambdas) == len(held_out) < 100
    assert explained[-1] > 0.999
    assert np.all(explained[:-1] <= 0.999)


@pytest.mark.parametrize("patience", [1, 5, 12])
def test_a_path_ends_when_the_error_was_least_long_ago(patience: int) -> None:
    dosage, outcome, fold = simulated_gene(120, 60, seed=9, noise=3.0)
    ladder = 0.01 ** np.linspace(0.0, 1.0, 40)
    whole = paths(dosage, outcome, fold, thresh=1e-8, ladder=ladder)
    short = paths(dosage, outcome, fold, thresh=1e-8, ladder=ladder, patience=patience)
    errors = np.mean((whole[2] - outcome) ** 2, axis=1)
    ago = [step - int(np.argmin(errors[: step + 1])) for step in range(len(errors))]
    steps = ago.index(patience) + 1
    assert len(short[0]) == steps < len(whole[0])
    for mine, twin in zip(short[:3], whole[:3], strict=True):
        np.testing.assert_array_equal(mine, twin[:steps])


def test_moments_of_a_fold_are_those_of_its_people() -> None:
    """Also of a row that varies only among those left out, or hardly without them."""
    rng = np.random.default_rng(1)
    rows, fold = centred(rng.integers(0, 3, (6, 40)).astype(float)), np.arange(40) % 4
    rows[1] = np.where(fold == 2, rows[0], 0.3)
    rows[2] = np.where(fold == 2, 1e4 * rows[0], rows[0])
    left_out = np.vstack([np.zeros(40, np.bool_), fold == np.arange(4)[:, None]])
    mean, norm = moments(rows, left_out)
    for q, out in enumerate(left_out):
        own = rows[:, ~out]
        np.testing.assert_allclose(mean[q], own.mean(axis=1), atol=1e-12)
        expected = np.sqrt(np.square(own - own.mean(axis=1, keepdims=True)).sum(axis=1))
        np.testing.assert_allclose(norm[q], expected, rtol=1e-10, atol=1e-12)
    assert norm[3, 1] == 0.0


def test_what_is_not_looked_at_is_not_above_the_limit() -> None:
    """Residuals walk at random; each time, gradients are those of all rows, or are below the limit."""
    rng = np.random.default_rng(2)
    rows, fold = centred(rng.integers(0, 3, (80, 60)).astype(float)), np.arange(60) % 4
    left_out = np.vstack([np.zeros(60, np.bool_), fold == np.arange(4)[:, None]])
    mean, norm = moments(rows, left_out)
    kept, penalties = np.where(left_out, 0.0, 1.0), equal_penalties(80)
    start = rng.normal(size=(5, 60)) * kept
    start -= start.sum(axis=1, keepdims=True) / kept.sum(axis=1, keepdims=True) * kept
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    data = Data(rows, penalties, left_out, kept, mean, norm, start)
    member = np.zeros((5, 80), np.bool_)
    member[1, 7] = True
    room = np.zeros((5, 1))
    active = Active(
        np.zeros(5, np.int64), member, room.astype(np.int64), room, room, room[..., None], room[..., None]
    )
    first = start @ rows.T / norm
    screen = Screen(first.copy(), np.abs(first), np.zeros(5), start.copy())
    residual, skipped = start.copy(), 0
    for step in range(30):
        residual += rng.normal(size=(5, 60)) * 0.003 * kept
        limit = np.full(5, 0.35 - 0.005 * step)
        before = screen.gradient.copy()
        _look(data, active, screen, residual, limit)
        whole = residual @ rows.T / norm
        looked_at = screen.gradient != before
        np.testing.assert_allclose(screen.gradient[looked_at], whole[looked_at], atol=1e-12)
        assert np.all(np.abs(whole[~looked_at]) <= limit[0])
        assert np.all(np.abs(whole) <= (screen.least + screen.path[:, None]) * (1.0 + _SLACK) + 1e-12)
        assert looked_at[1, 7]
        skipped += int((~looked_at).sum())
    assert 0.2 < skipped / (30 * 400) < 0.95
