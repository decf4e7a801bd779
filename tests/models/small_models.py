"""Files of the small models' published layouts with random numbers, and their networks in NumPy, slowly."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[np.float32]]

CHANNELS = (256, 128, 64, 64, 128)


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if name.endswith(("running_var", "moving_variance", "gamma")):
        return rng.uniform(0.5, 2.0, shape).astype(np.float32)
    fan_in = np.prod(shape[1:]) if len(shape) > 1 else 4.0
    return (rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)


def encoder_arrays(seed: int = 1) -> Arrays:
    """Random values under the names and shapes of EPInformer's published checkpoints, counters left out."""
    rng, shapes = np.random.default_rng(seed), dict[str, tuple[int, ...]]()
    shapes |= {"encoder.stem_conv.0.weight": (256, 4, 1, 8), "encoder.stem_conv.0.bias": (256,)}
    for block, (i, o) in enumerate(pairwise(CHANNELS)):
        tower = f"encoder.conv_tower.{2 * block}"
        shapes |= {f"{tower}.0.weight": (o, i, 1, 3), f"{tower}.0.bias": (o,)}
        for kind in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{tower}.1.{kind}"] = (o,)
        narrow = f"encoder.conv_tower.{2 * block + 1}.0"
        shapes |= {f"{narrow}.weight": (o, o, 1, 1), f"{narrow}.bias": (o,)}
    for layer, i in ((1, 2_048), (5, 256)):
        shapes |= {f"embedToAct.{layer}.weight": (256, i), f"embedToAct.{layer}.bias": (256,)}
        for kind in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"embedToAct.{layer + 1}.{kind}"] = (256,)
    shapes |= {"embedToAct.9.weight": (1, 256), "embedToAct.9.bias": (1,)}
    return {name: _draw(rng, name, shape) for name, shape in shapes.items()}


def write_checkpoint(path: Path, arrays: Arrays, loss: object = np.float64(-0.5)) -> Path:
    """The published layout: epoch, state dict with counters of batches, and a NumPy scalar."""
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    norms = [name.removesuffix("running_var") for name in arrays if name.endswith("running_var")]
    state |= {f"{norm}num_batches_tracked": torch.tensor(7) for norm in norms}
    torch.save({"epoch": 4, "model_state_dict": state, "loss": loss}, path)
    return path


def encode_slowly(arrays: Arrays, codes: NDArray[np.uint8]) -> float:
    """EPInformer's encoder of one sequence (256,) in float64."""
    x = np.concatenate([np.eye(4), np.full((1, 4), 0.25)])[codes].T  # (4, 256)
    x = _elu(_convolve(x, arrays["encoder.stem_conv.0.weight"], arrays["encoder.stem_conv.0.bias"], (3, 4)))
    for block in range(4):
        wide, narrow = f"encoder.conv_tower.{2 * block}", f"encoder.conv_tower.{2 * block + 1}.0"
        x = _convolve(x, arrays[f"{wide}.0.weight"], arrays[f"{wide}.0.bias"], (1, 1))
        x = _elu(_normed(x, arrays, f"{wide}.1"))
        x = np.maximum(x[:, 0::2], x[:, 1::2])
        x = x + _elu(_convolve(x, arrays[f"{narrow}.weight"], arrays[f"{narrow}.bias"], (0, 0)))
    flat = x.reshape(-1)
    for layer in (1, 5):
        flat = arrays[f"embedToAct.{layer}.weight"].astype(float) @ flat + arrays[f"embedToAct.{layer}.bias"]
        flat = np.maximum(_normed(flat[:, None], arrays, f"embedToAct.{layer + 1}")[:, 0], 0.0)
    return float(arrays["embedToAct.9.weight"][0].astype(float) @ flat + arrays["embedToAct.9.bias"][0])


def _convolve(x: Floats, kernel: np.ndarray, bias: np.ndarray, pad: tuple[int, int]) -> Floats:
    kernel = kernel.astype(float).reshape(len(kernel), kernel.shape[1], -1)
    padded = np.pad(x, ((0, 0), pad))
    length = padded.shape[1] - kernel.shape[2] + 1
    terms = (kernel[:, :, j] @ padded[:, j : j + length] for j in range(kernel.shape[2]))
    return sum(terms, start=np.tile(bias.astype(float)[:, None], length))


def _elu(x: Floats) -> Floats:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


def _normed(x: Floats, arrays: Arrays, layer: str, eps: float = 1e-5) -> Floats:
    gain, shift, mean, var = (
        arrays[f"{layer}.{kind}"].astype(float)[:, None]
        for kind in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(var + eps) * gain + shift


def keras_file(path: Path, arrays: Arrays, suffix: str = "", *, whole: bool = False) -> Path:
    """A Keras 2.2 file of "layer/weight" arrays in the order of layers, whole model or weights only."""
    layers = list(dict.fromkeys(name.partition("/")[0] for name in arrays))
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = np.array([*layers, "dropout_1"], dtype="S")
        root.create_group("dropout_1").attrs["weight_names"] = np.array([], dtype=float)
        for layer in layers:
            group, scope = root.create_group(layer), layer + suffix
            kinds = [name.partition("/")[2] for name in arrays if name.partition("/")[0] == layer]
            group.attrs["weight_names"] = np.array([f"{scope}/{kind}:0" for kind in kinds], dtype="S")
            for kind in kinds:
                group[f"{scope}/{kind}:0"] = arrays[f"{layer}/{kind}"]
    return path


def dragonn_arrays(seed: int = 1) -> Arrays:
    """Random values of MPRA-DragoNN's layers, as Keras names them."""
    rng, shapes = np.random.default_rng(seed), dict[str, tuple[int, ...]]()
    for layer in (1, 2, 3):
        inputs = 4 if layer == 1 else 120
        shapes |= {f"conv1d_{layer}/kernel": (5, inputs, 120), f"conv1d_{layer}/bias": (120,)}
        for kind in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"batch_normalization_{layer}/{kind}"] = (120,)
    shapes |= {"dense_1/kernel": (15_960, 12), "dense_1/bias": (12,)}
    return {name: _draw_keras(rng, name, shape) for name, shape in shapes.items()}


def _draw_keras(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if len(shape) == 1:
        return _draw(rng, name, shape)
    return (rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))).astype(np.float32)


def dragonn_slowly(arrays: Arrays, codes: NDArray[np.uint8]) -> Floats:
    """MPRA-DragoNN of one sequence (145,) in float64: (12,)."""
    x = np.eye(5, 4)[codes]  # (145, 4)
    for layer in (1, 2, 3):
        kernel = arrays[f"conv1d_{layer}/kernel"].astype(float)
        windows = np.stack([x[j : j + len(x) - 4] for j in range(5)], axis=1)  # (P, 5, in)
        x = np.maximum(np.tensordot(windows, kernel, 2) + arrays[f"conv1d_{layer}/bias"], 0.0)
        gamma, beta, mean, var = (
            arrays[f"batch_normalization_{layer}/{kind}"].astype(float)
            for kind in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        x = gamma * (x - mean) / np.sqrt(var + 1e-3) + beta
    return x.reshape(-1) @ arrays["dense_1/kernel"].astype(float) + arrays["dense_1/bias"]


def framepool_arrays(seed: int = 1) -> Arrays:
    """Random values of Framepool's layers, as its file names them."""
    rng, shapes = np.random.default_rng(seed), dict[str, tuple[int, ...]]()
    for layer in range(3):
        inputs = 128 if layer else 4
        shapes |= {f"convolution_{layer}/kernel": (7, inputs, 128), f"convolution_{layer}/bias": (128,)}
    shapes |= {"fully_connected_0/kernel": (768, 64), "fully_connected_0/bias": (64,)}
    shapes |= {"mrl_output_unscaled/kernel": (64, 1), "mrl_output_unscaled/bias": (1,)}
    shapes |= {"scaling_regression/kernel": (4, 1)}
    return {name: _draw_keras(rng, name, shape) for name, shape in shapes.items()}


def framepool_slowly(arrays: Arrays, utr: NDArray[np.uint8], library: int) -> float:
    """Framepool of one 5' UTR in float64, base by base where it matters."""
    x = np.eye(5, 4)[utr]  # (L, 4)
    known = x.sum(axis=1, keepdims=True)
    x = known * _same(x, arrays, 0)
    for layer in (1, 2):
        x = x + known * _same(x, arrays, layer)
    maxima, sums = [], []
    for frame in range(3):
        places = [place for place in range(len(x)) if (len(x) - 1 - place) % 3 == frame]
        maxima.append(x[places].max(axis=0))
        sums.append(x[places].sum(axis=0) / max(known.sum(), 1))
    pooled = np.concatenate([*maxima, *sums])
    dense = pooled @ arrays["fully_connected_0/kernel"].astype(float) + arrays["fully_connected_0/bias"]
    m = np.maximum(dense, 0.0) @ arrays["mrl_output_unscaled/kernel"].astype(float)[:, 0]
    m += arrays["mrl_output_unscaled/bias"][0]
    chosen = np.eye(2)[library]
    return float(
        np.concatenate([m * chosen, chosen]) @ arrays["scaling_regression/kernel"].astype(float)[:, 0]
    )


def _same(x: Floats, arrays: Arrays, layer: int) -> Floats:
    kernel = arrays[f"convolution_{layer}/kernel"].astype(float)
    padded = np.pad(x, ((3, 3), (0, 0)))
    terms = (padded[j : j + len(x)] @ kernel[j] for j in range(7))
    return np.maximum(sum(terms, start=np.tile(arrays[f"convolution_{layer}/bias"], (len(x), 1))), 0.0)
