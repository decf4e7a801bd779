"""Weights with the published layout and random numbers, and the network in plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.verify.keras_oracle import synthetic_weights, write_published_layout

Floats = NDArray[np.float64]


def synthetic_h5(path: Path, seed: int = 1) -> Path:
    """Write a file of random weights in the published layout; returns its path."""
    write_published_layout(path, synthetic_weights(seed))
    return path


def predict_slowly(
    weights: dict[str, tuple[np.ndarray, np.ndarray]], codes: NDArray[np.uint8], half_life: list[float]
) -> float:
    """Xpresso of one sequence (10500,) in float64 from the Keras kernels, convolutions written out."""
    x = np.eye(5, 4)[codes]
    x = _pool(_relu(_convolve_same(x, *weights["conv1d_1"])), 30)
    x = _pool(_relu(_convolve_same(x, *weights["conv1d_2"])), 10)
    x = np.concatenate([x.ravel(), half_life])
    x = _relu(x @ weights["dense_1"][0] + weights["dense_1"][1])
    x = _relu(x @ weights["dense_2"][0] + weights["dense_2"][1])
    return float((x @ weights["dense_3"][0] + weights["dense_3"][1])[0])


def _convolve_same(x: Floats, kernel: np.ndarray, bias: np.ndarray) -> Floats:
    width = len(kernel)
    left = (width - 1) // 2
    padded = np.pad(x, ((left, width - 1 - left), (0, 0)))
    terms = (padded[j : j + len(x)] @ kernel[j].astype(float) for j in range(width))
    return sum(terms, start=bias.astype(float))


def _pool(x: Floats, size: int) -> Floats:
    return np.array([x[i : i + size].max(axis=0) for i in range(0, len(x), size)])


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0.0)
