import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from hapsight.report.charts import CORRELATION_EDGES, grid, histogram, log_floor, round_edges

correlations = arrays(np.float64, st.integers(1, 50), elements=st.floats(-1, 1))


@given(correlations)
def test_histogram_equals_its_slow_twin(values) -> None:
    bins = histogram(values, CORRELATION_EDGES)
    slow = [
        sum(start <= v < end or (end == 1.0 and v == 1.0) for v in values)
        for start, end in zip(bins["start"], bins["end"], strict=True)
    ]
    assert bins["count"].to_list() == slow
    assert sum(slow) == len(values)


def test_edges_of_correlations_are_round_and_hold_zero() -> None:
    assert CORRELATION_EDGES[0] == -1
    assert CORRELATION_EDGES[-1] == 1
    assert 0.0 in CORRELATION_EDGES
    assert np.allclose(np.diff(CORRELATION_EDGES), 0.05)


@given(correlations)
def test_round_edges_hold_every_value(values) -> None:
    edges = round_edges(values)
    assert edges[0] <= values.min()
    assert values.max() <= edges[-1]
    assert len(edges) <= 43
    assert histogram(values, edges)["count"].sum() == len(values)


@given(correlations, st.integers(0, 2**31), st.booleans())
def test_grid_equals_its_slow_twin(x, seed, skewed) -> None:
    y = np.random.default_rng(seed).normal(size=len(x)) * 3
    y = np.exp(y) if skewed else y
    cells = grid(x, y, bins=5)
    for left, right, low, high, count in cells.iter_rows():
        inside = [
            left <= a
            and (a < right or a == right == x.max())
            and low <= b
            and (b < high or b == high == y.max())
            for a, b in zip(x, y, strict=True)
        ]
        assert sum(inside) == count
    assert cells["count"].sum() == len(x)


@pytest.mark.parametrize(
    "values",
    [
        [5e-324, 0.0],
        [1.0, np.nextafter(1.0, 2.0)],
        [1e20, 1e20],
        [-3e38, -3e38],
        [0.0, 5e-324, 5e-324, 1.0],
        [0.0, 1e-290, 1e-290, 1e290],
    ],
)
def test_values_that_hardly_differ_or_are_far_apart_have_cells(values) -> None:
    x = np.array(values)
    cells = grid(x, np.arange(float(len(x))))
    assert cells["count"].sum() == len(x)
    assert (cells["x"] < cells["x_end"]).all()
    assert cells["x"].min() <= x.min() <= x.max() <= cells["x_end"].max()


def test_cells_of_skewed_values_are_even_on_a_logarithmic_axis() -> None:
    y = np.array([0.0, 1.0, 1.0, 1.0, 1e4])
    cells = grid(np.arange(5.0), y, bins=100)
    heights = np.log1p(cells["y_end"].to_numpy() / 0.1) - np.log1p(cells["y"].to_numpy() / 0.1)
    assert np.allclose(heights, heights[0])


def test_only_skewed_positive_values_get_a_logarithmic_axis() -> None:
    assert log_floor(np.array([0.0, 1.0, 2.0, 1000.0])) == 0.15
    assert log_floor(np.array([0.0, 1.0, 2.0, 3.0])) is None
    assert log_floor(np.array([-1.0, 1.0, 2.0, 1000.0])) is None
    assert log_floor(np.zeros(3)) is None
