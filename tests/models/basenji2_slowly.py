"""Basenji2 in plain numpy loops, and its weights in the published Keras layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf, expit

Floats = NDArray[np.float64]
Weights = dict[str, Floats]

GELU: dict[str, Callable[[Floats], Floats]] = {
    "sigmoid": lambda x: x * expit(1.702 * x),
    "erf": lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2))),
    "tanh": lambda x: x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
}
DILATIONS = (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72)


def predict_slowly(state: dict[str, torch.Tensor], codes: NDArray[np.uint8], activation: str) -> Floats:
    """All tracks in all bins, (896, 5313), of one sequence (131072,)."""
    weights = {name: tensor.double().numpy() for name, tensor in state.items()}
    gelu = GELU[activation]
    x = np.eye(5, 4)[codes]
    for block in ("stem", *(f"tower.{i}" for i in range(6))):
        x = _block(weights, block, x, 1, gelu)
        x = np.maximum(x[0::2], x[1::2])
    for i, dilation in enumerate(DILATIONS):
        inner = _block(weights, f"dilated.{i}.wide", x, dilation, gelu)
        x = x + _block(weights, f"dilated.{i}.back", inner, 1, gelu)
    x = gelu(_block(weights, "last", x[64:-64], 1, gelu))
    return np.logaddexp(0, x @ weights["head.weight"].T + weights["head.bias"])


def _block(weights: Weights, name: str, x: Floats, dilation: int, gelu: Callable[[Floats], Floats]) -> Floats:
    kernel = weights[f"{name}.conv.weight"]  # (out, in, width)
    reach = kernel.shape[2] // 2 * dilation
    padded = np.pad(gelu(x), ((reach, reach), (0, 0)))
    y = sum(padded[k * dilation : k * dilation + len(x)] @ kernel[:, :, k].T for k in range(kernel.shape[2]))
    gamma, beta, mean, variance = (
        weights[f"{name}.norm.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (y - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def write_keras(path: Path, state: dict[str, torch.Tensor], first: int = 0, *, whole: bool = True) -> None:
    """Write a state dict as Keras 2 does, the first layer of each kind numbered `first`.

    `whole`: as a model saved whole (under ``model_weights``), else as its weights only.
    """
    blocks = ["stem", *(f"tower.{i}" for i in range(6))]
    blocks += [f"dilated.{i}.{part}" for i in range(11) for part in ("wide", "back")] + ["last"]
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if whole else file
        layers: list[str] = ["sequence"]
        group.create_group("sequence").attrs["weight_names"] = np.array([], dtype="S1")
        for number, block in enumerate(blocks, start=first):
            norm = {name: state[f"{block}.norm.{ours}"] for name, ours in _NORM.items()}
            kernel = {"kernel": state[f"{block}.conv.weight"].permute(2, 1, 0)}
            layers += [
                _write(group, "conv1d", number, kernel),
                _write(group, "batch_normalization", number, norm),
            ]
        head = {"kernel": state["head.weight"].T, "bias": state["head.bias"]}
        layers.append(_write(group, "dense", first, head))
        group.attrs["layer_names"] = np.array(layers, dtype="S")


_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def _write(group: h5py.Group, kind: str, number: int, weights: dict[str, torch.Tensor]) -> str:
    name = f"{kind}_{number}" if number else kind
    layer = group.create_group(name)
    layer.attrs["weight_names"] = np.array([f"{name}/{leaf}:0" for leaf in weights], dtype="S")
    for leaf, tensor in weights.items():
        layer[f"{name}/{leaf}:0"] = tensor.contiguous().numpy()
    return name
