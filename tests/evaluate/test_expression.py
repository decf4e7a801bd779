import numpy as np
import pytest
from scipy import stats

from hapsight.errors import ConfigError, InputError
from hapsight.evaluate.expression import normal_scores, residuals, transform


def test_transform():
    assert transform(np.array([0.9, 9.9]), "log10").tolist() == pytest.approx([0, 1])
    assert transform(np.array([1.0, 100.0]), "log10", pseudocount=0.0).tolist() == [0, 2]
    assert transform(np.array([-3.0]), "none").tolist() == [-3]
    with pytest.raises(InputError, match=r"logarithm[\s\S]*minimum -3[\s\S]*transform = \"none\""):
        transform(np.array([-3.0]), "log10")
    with pytest.raises(ConfigError, match="Unknown transform"):
        transform(np.array([1.0]), "sqrt")


def test_residuals_equal_least_squares_and_are_orthogonal():
    rng = np.random.default_rng(0)
    covariates, values = rng.standard_normal((30, 3)), rng.standard_normal((2, 30))
    found = residuals(values, covariates)
    design = np.column_stack([np.ones(30), covariates])
    for row, expected in zip(found, values, strict=True):
        coefficients = np.linalg.lstsq(design, expected, rcond=None)[0]
        np.testing.assert_allclose(row, expected - design @ coefficients, atol=1e-12)
    np.testing.assert_allclose(residuals(values, None).mean(axis=1), 0, atol=1e-15)


def test_too_many_covariates():
    with pytest.raises(InputError, match=r"As many covariates[\s\S]*fewer than 9"):
        residuals(np.zeros(10), np.zeros((10, 9)))


def test_normal_scores_keep_the_order_and_lose_the_outlier():
    found = normal_scores(np.array([[3.0, 1.0, 1e6, 2.0], [1.0, 1.0, 0.0, 5.0]]))
    quantiles = stats.norm.ppf([0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(found[0], quantiles[[2, 0, 3, 1]])
    assert found[1, 0] == found[1, 1]
