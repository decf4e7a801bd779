"""The bases around a driver, and the export of attributions, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hapsight.dna import encode
from hapsight.errors import InputError
from hapsight.explain.driver_summary import importance, neighbourhood
from hapsight.explain.modisco import hypothetical, write_modisco


def test_importance_is_less_the_mean_of_the_others():
    saturation = np.array([[0.0, -3.0, -3.0, -3.0], [1.0, 99.0, 1.0, 4.0], [5.0, 5.0, 5.0, 5.0]])
    assert importance(saturation, encode("ACN")).tolist() == [3.0, -2.0, 0.0]


def test_runs_and_share_by_hand():
    near = np.array([0.0, 0.6, 1.2, 3.0, 1.0, 0.4, -5.0, 8.0])
    found = neighbourhood(near, 3, np.array([-10.0, 2.0]), reach=3)
    assert found.share_of_max == 0.5
    # 5 %: 0.5, 10 %: 1, 20 %: 2, 50 %: 5 (the driver's 3 is below)
    assert found.runs == (4, 3, 1, 0)


def test_a_negative_driver_is_measured_alike():
    near = np.array([0.0, 0.6, 1.2, 3.0, 1.0, 0.4, -5.0, 8.0])
    tss = np.array([-10.0, 2.0])
    assert neighbourhood(-near, 3, tss) == neighbourhood(near, 3, tss)


def test_nothing_at_the_tss_is_refused():
    with pytest.raises(InputError, match="cannot be measured") as error:
        neighbourhood(np.ones(5), 2, np.zeros(10))
    assert "largest importance near the TSS 0" in str(error.value)
    with pytest.raises(InputError, match="cannot be measured"):
        neighbourhood(np.ones(5), 5, np.ones(10))


def test_modisco_gets_length_last(tmp_path):
    sequences = np.stack([encode("ACGTN"), encode("TTTTA")])
    contributions = hypothetical(np.random.default_rng(0).standard_normal((2, 5, 4)))
    np.testing.assert_allclose(contributions.sum(axis=-1), 0, atol=1e-12)
    paths = write_modisco(tmp_path, sequences, contributions)
    one_hot, attributions = (np.load(path)["arr_0"] for path in paths)
    assert one_hot.shape == attributions.shape == (2, 4, 5)
    assert (one_hot.dtype, attributions.dtype) == (np.int8, np.float32)
    assert one_hot.sum(axis=1).tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert one_hot[0, 2, 2] == 1
    np.testing.assert_allclose(attributions[1, 3], contributions[1, :, 3], rtol=1e-6)


def test_modisco_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(InputError, match="do not fit") as error:
        write_modisco(tmp_path, np.zeros((2, 5), np.uint8), np.zeros((2, 4, 5)))
    assert "(2, 5) and (2, 4, 5)" in str(error.value)
    with pytest.raises(InputError, match="not a finite"):
        write_modisco(tmp_path, np.zeros((1, 2), np.uint8), np.full((1, 2, 4), np.nan))
