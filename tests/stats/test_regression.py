import numpy as np
import pytest
from scipy import stats

from hapsight.stats.direction_factors import linear, logistic

linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")


def planted(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((n, 4))
    columns[:, 1] += 0.7 * columns[:, 0]
    eta = 0.5 + columns @ [1.0, -0.5, 0.0, 2.0]
    return columns, rng.random(n) < 1 / (1 + np.exp(-eta))


@pytest.mark.parametrize("seed", range(5))
def test_logistic_equals_scikit_learn_without_penalty(seed):
    columns, outcome = planted(seed)
    twin = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(columns, outcome)
    found = logistic(columns, outcome)
    np.testing.assert_allclose(found.coefficient, twin.coef_[0], rtol=1e-4)
    likelihood = np.where(outcome, *twin.predict_proba(columns).T[::-1])
    assert found.deviance == pytest.approx(-2 * np.log(likelihood).sum(), rel=1e-6)
    rate = outcome.mean()
    null = -2 * (outcome.sum() * np.log(rate) + (~outcome).sum() * np.log(1 - rate))
    assert found.null_deviance == pytest.approx(null)
    assert found.explained == pytest.approx(1 - found.deviance / null)


def test_logistic_interval_is_of_the_curvature_of_the_likelihood():
    columns, outcome = planted(1)
    found = logistic(columns, outcome)
    design = np.column_stack([np.ones(len(outcome)), columns])
    best = linear_model.LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(columns, outcome)
    beta = np.concatenate([best.intercept_, best.coef_[0]])

    def log_likelihood(b):
        eta = design @ b
        return np.sum(outcome * eta - np.logaddexp(0, eta))

    step = 1e-3 * np.eye(5)
    curvature = [
        [
            (
                log_likelihood(beta + a + b)
                - log_likelihood(beta + a - b)
                - log_likelihood(beta - a + b)
                + log_likelihood(beta - a - b)
            )
            / 4e-6
            for a in step
        ]
        for b in step
    ]
    se = np.sqrt(np.diagonal(np.linalg.inv(-np.array(curvature))))[1:]
    half = stats.norm.ppf(0.975) * se
    np.testing.assert_allclose(found.ci_high - found.coefficient, half, rtol=1e-3)
    np.testing.assert_allclose(found.pval, 2 * stats.norm.sf(np.abs(found.coefficient) / se), rtol=0.05)


def test_logistic_without_a_maximum_is_none():
    x = np.linspace(-1, 1, 40)
    assert logistic(x[:, None], x > 0) is None
    assert logistic(np.column_stack([x, 2 * x]), np.arange(40) % 2 == 0) is None


def test_linear_equals_scipy_with_one_column_and_numpy_with_many():
    rng = np.random.default_rng(0)
    columns, noise = rng.standard_normal((50, 3)), rng.standard_normal(50)
    y = columns @ [1.0, 0.0, -2.0] + noise
    one, twin = linear(columns[:, [0]], y), stats.linregress(columns[:, 0], y)
    assert one.coefficient[0] == pytest.approx(twin.slope)
    assert one.pval[0] == pytest.approx(twin.pvalue)
    assert one.ci_high[0] - one.coefficient[0] == pytest.approx(stats.t.ppf(0.975, 48) * twin.stderr)
    assert one.explained == pytest.approx(twin.rvalue**2)
    many = linear_model.LinearRegression().fit(columns, y)
    found = linear(columns, y)
    np.testing.assert_allclose(found.coefficient, many.coef_)
    assert found.explained == pytest.approx(many.score(columns, y))


def test_linear_without_a_solution_is_none():
    x = np.arange(4.0)
    assert linear(np.column_stack([x, 2 * x]), np.array([1.0, 0, 2, 5])) is None
    assert linear(np.eye(4)[:, :3], x) is None
