import numpy as np

from hapsight.stats.eqtl import ld_with
from tests.stats.eqtl_naive import simulated


def test_ld_is_the_correlation_of_dosages():
    dosage, _ = simulated(20, 50, 0, np.random.default_rng(0))
    found = ld_with(dosage, 7)
    np.testing.assert_allclose(found, np.corrcoef(dosage)[7], atol=1e-12)
    assert found[7] == 1.0


def test_ld_keeps_its_sign_and_is_unknown_without_variation():
    dosage = np.array([[0, 1, 2, 1], [2, 1, 0, 1], [1, 1, 1, 1]], np.uint8)
    np.testing.assert_allclose(ld_with(dosage, 0), [1.0, -1.0, np.nan], rtol=1e-12)
    assert np.isnan(ld_with(dosage, 2)).all()
