"""People of one genotype have one prediction, to the last digit."""

import numpy as np
import pytest

from hapsight.linear.fits import LinearFit, weighted_sum


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_equal_genotypes_give_equal_predictions(dtype):
    rng = np.random.default_rng(1)
    kinds = rng.binomial(2, 0.3, (1300, 7)).astype(dtype)
    who = rng.integers(0, 7, 203)
    weights = rng.standard_normal(1300) * (rng.random(1300) < 0.9)
    predicted = LinearFit(weights, 0.3).predict(kinds[:, who])
    assert len(np.unique(predicted)) == 7
    np.testing.assert_allclose(predicted, 0.3 + weights @ kinds[:, who], rtol=1e-12)
    assert weighted_sum(np.zeros(1300), kinds[:, who]).tolist() == [0.0] * 203
