"""Covariates projected out: R's ``lm`` is the judge, LINPACK's ``dqrdc2`` line by line the slow twin."""

import numpy as np
import pytest

from hapsight.errors import InputError
from hapsight.least_squares import Design, independent, residualise, residuals

# Made by R 4.2.2: fit <- lm(y ~ ., x) with the columns below in this order; is.na(coef(fit)), fit$rank,
# resid(fit), and predict(fit, new), new being x[1:3, ] with pc1 of the first person 1 more, b2 of the second
# 1 more, and f1 .25 more in all three. f1 to f3 are fractions that sum to 1, printed with 10 digits.
X = {
    "pc1": [1.2373, -1.0054, 0.9421, 0.575, 0.976, 1.3992, 0.5247, -0.4849, 0.9297, -1.3308, -1.6443, 0.7829],
    "one": [1] * 12,
    "f1": [
        *(0.5319886629, 0.1547740375, 0.2945939795, 0.2182336934, 0.0117738839, 0.2355016062),
        *(0.0368058245, 0.252302813, 0.3823010503, 0.6640329378, 0.0886990054, 0.10333712),
    ],
    "f2": [
        *(0.3969353177, 0.3307062128, 0.1671075583, 0.4307765249, 0.7318202101, 0.4909365142),
        *(0.6155771492, 0.1822446627, 0.335456643, 0.2035434472, 0.5016946984, 0.4142366187),
    ],
    "f3": [
        *(0.0710760193, 0.5145197497, 0.5382984622, 0.3509897817, 0.256405906, 0.2735618797),
        *(0.3476170263, 0.5654525243, 0.2822423067, 0.132423615, 0.4096062962, 0.4824262613),
    ],
    "b0": [1, 0, 0] * 4,
    "b1": [0, 1, 0] * 4,
    "b2": [0, 0, 1] * 4,
    "pc1b": [
        *(0.5254, 5.0108, 1.1158, 1.85, 1.048, 0.2016, 1.9506, 3.9698, 1.1406, 5.6616, 6.2886, 1.4342),
    ],
    "near": [
        *(1.2373008, -1.0054013, 0.9420992, 0.5750027, 0.976001, 1.3991997),
        *(0.5247018, -0.4848958, 0.9296992, -1.3307999, -1.6443014, 0.7829001),
    ],
    "big": [
        *(-536000, -272000, -1264000, -892000, 2094000, 1124000),
        *(-1726000, 716000, -429000, -925000, 1012000, -2541000),
    ],
}
Y = [-0.164, 0.2422, -0.6787, 1.278, 0.5943, 0.3711, 0.5179, 0.2838, -1.402, 0.5137, -0.471, 0.8904]
RESIDUALS = [
    *(-0.18287094252655, 0.48418034564312, -0.16086072167412, 0.38643641364997),
    *(0.26963474158571, 0.57291362004331, -0.64662692246006, -0.22855522767074),
    *(-0.99033267981038, 0.44306145133665, -0.52525985955809, 0.57827978144119),
]
PREDICTED = [-223282.58797669, -0.42561299716234, -0.70147193015053]


def lm_pivots(columns, tolerance=1e-7):
    """Columns that LINPACK's ``dqrdc2`` keeps: reflections one by one, dependent columns to the end."""
    x, n = columns.copy(), len(columns)
    order = list(range(x.shape[1]))
    original = np.linalg.norm(x, axis=0)
    original[original == 0] = 1
    step, end = 0, len(order)
    while step < min(n, end):
        j = order[step]
        if np.linalg.norm(x[step:, j]) < original[j] * tolerance:
            order.append(order.pop(step))
            end -= 1
            continue
        v = x[step:, j].copy()
        v[0] += np.copysign(np.linalg.norm(v), v[0])
        x[step:] -= np.outer(v, 2 * (v @ x[step:]) / (v @ v))
        step += 1
    return np.isin(np.arange(len(order)), order[: min(n, end)])


def test_r_is_the_judge():
    x, y = np.column_stack(list(X.values())).astype(float), np.array(Y)
    assert [name for name, used in zip(X, independent(x), strict=True) if not used] == [
        "one",
        "f3",
        "b2",
        "pc1b",
    ]
    assert Design.of(12, x).rank == 8
    np.testing.assert_allclose(residuals(y, x), RESIDUALS, atol=2e-9)
    new, names = x[:3].copy(), list(X)
    new[0, names.index("pc1")] += 1
    new[1, names.index("b2")] += 1
    new[:, names.index("f1")] += 0.25
    train, test = residualise(y, x, np.zeros(3), new)
    np.testing.assert_allclose(train, RESIDUALS, atol=2e-9)
    np.testing.assert_allclose(-test, PREDICTED, rtol=2e-9, atol=2e-9)


def spoilt(rng):
    """(N, C) covariates of which some are constant, repeated, dummies, or sums of others, in any order."""
    n = int(rng.integers(8, 40))
    some = rng.standard_normal((n, int(rng.integers(1, 6)))) * 10.0 ** rng.integers(-6, 7)
    dummies = np.eye(3)[rng.integers(0, 3, n)]
    fractions = rng.dirichlet(np.ones(3), n).round(10)
    sums = some @ rng.standard_normal((some.shape[1], 2))
    near = some[:, :1] * (1 + 10.0 ** -rng.uniform(4, 12) * rng.standard_normal((n, 1)))
    x = np.hstack([some, np.full((n, 2), [0.0, 7.0]), some[:, :1], dummies, fractions, sums, near])
    return x[:, rng.permutation(x.shape[1])]


@pytest.mark.parametrize("seed", range(40))
def test_the_same_columns_as_dqrdc2(seed):
    x = spoilt(np.random.default_rng(seed))
    with_intercept = np.column_stack([np.ones(len(x)), x])
    assert independent(x).tolist() == lm_pivots(with_intercept)[1:].tolist()


@pytest.mark.parametrize("seed", range(10))
def test_equals_least_squares_on_the_columns_that_are_left(seed):
    rng = np.random.default_rng(seed)
    c = rng.standard_normal((30, 4))
    x = np.column_stack([c, c[:, 0] - 2 * c[:, 1], np.full(30, 3.0), c[:, 2]])[:, rng.permutation(7)]
    y = rng.standard_normal((3, 30))
    plain = np.column_stack([np.ones(30), c])
    expected = y - (plain @ np.linalg.lstsq(plain, y.T, rcond=None)[0]).T
    np.testing.assert_allclose(residuals(y, x), expected, atol=1e-12)
    train, test = residualise(y[:, :20], x[:20], y[:, 20:], x[20:])
    b = np.linalg.lstsq(plain[:20], y[:, :20].T, rcond=None)[0]
    np.testing.assert_allclose(np.hstack([train, test]), y - (plain @ b).T, atol=1e-11)


def test_rank_is_decided_among_the_training_people():
    """A batch of which the training people know nothing has no coefficient; elsewhere its dummy is needed."""
    batch = np.eye(3)[[0, 1, 0, 1, 0, 1, 0, 1, 2, 2]]
    y = np.array([1.0, 5.0, 1.2, 5.2, 0.8, 4.8, 1.0, 5.0, 9.0, 9.0])
    assert independent(batch).tolist() == [True, True, False]
    assert independent(batch[:8]).tolist() == [True, False, False]
    _, test = residualise(y[:8], batch[:8], y[8:], batch[8:])
    assert test == pytest.approx([4.0, 4.0])  # as R's predict: intercept (batch 1's mean), and nothing else


def test_more_covariates_than_people_are_fine_if_they_are_few_in_truth():
    rng = np.random.default_rng(0)
    c, y = rng.standard_normal((12, 2)), rng.standard_normal(12)
    many = c @ rng.standard_normal((2, 40))
    assert Design.of(12, many).rank == 3
    np.testing.assert_allclose(residuals(y, many), residuals(y, c), atol=1e-12)
    with pytest.raises(InputError, match=r"leave nothing[\s\S]*at most 9 covariates for 12[\s\S]*got: 11"):
        residuals(y, rng.standard_normal((12, 40)))


def test_what_covariates_explain_leaves_exactly_nothing():
    c = np.random.default_rng(1).standard_normal((20, 3))
    assert not residuals(np.array([np.full(20, 3.3), c @ [1.0, 2.0, -1.0] + 5]), c).any()
    assert not np.ptp(residuals(np.full(20, 0.1), None))
    assert residuals(np.array([1.0, 3.0]), None).tolist() == [-1.0, 1.0]  # of two people too


def test_leverage_is_the_diagonal_of_the_hat_matrix():
    columns = np.random.default_rng(2).standard_normal((9, 3))
    columns[4] *= 50
    design = np.column_stack([np.ones(9), columns])
    hat = design @ np.linalg.solve(design.T @ design, design.T)
    np.testing.assert_allclose(Design.of(9, columns).leverage, np.diag(hat), rtol=1e-10)
