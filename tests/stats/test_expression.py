import numpy as np
import pytest
from scipy import stats

from hapsight.cohort.expression import transform
from hapsight.errors import ConfigError, InputError
from hapsight.stats.correlation import normal_scores


def test_transform():
    assert transform(np.array([0.9, 9.9]), "log10").tolist() == pytest.approx([0, 1])
    assert transform(np.array([1.0, 100.0]), "log10", pseudocount=0.0).tolist() == [0, 2]
    assert transform(np.array([-3.0]), "none").tolist() == [-3]
    with pytest.raises(InputError, match=r"logarithm[\s\S]*minimum -3[\s\S]*transform = \"none\""):
        transform(np.array([-3.0]), "log10")
    with pytest.raises(ConfigError, match="Unknown transform"):
        transform(np.array([1.0]), "sqrt")


def test_normal_scores_keep_the_order_and_lose_the_outlier():
    found = normal_scores(np.array([[3.0, 1.0, 1e6, 2.0], [1.0, 1.0, 0.0, 5.0]]))
    quantiles = stats.norm.ppf([0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(found[0], quantiles[[2, 0, 3, 1]])
    assert found[1, 0] == found[1, 1]
