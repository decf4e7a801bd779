"""What basenji2-pytorch and Keras say of Basenji2: the judges of our port.

Run by an interpreter that has both (tests/verify/basenji2_venv.sh makes it):

    python tests/verify/basenji2_oracle.py port <weights.pth> <answers.json>
    KERAS_BACKEND=torch python tests/verify/basenji2_oracle.py keras <width> <weights.h5> <answers.json>

`port` reads a state dict of the port's layout, of any width; `keras` draws weights of its own, and Keras
writes the file. Inputs are random codes from a seed that stands in the answers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

LENGTH = 131_072
CODES_SEED = 7
BINS = (0, 1, 443, 447, 448, 452, 894, 895)
TRACKS = (0, 4980, 5110, 5312)
DILATIONS = (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72)


def random_codes(seed: int) -> np.ndarray:
    """(131072,) uint8 codes; a twentieth is N, also at both ends."""
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random(LENGTH) < 0.05, 4, rng.integers(0, 4, LENGTH)).astype(np.uint8)
    codes[:3] = codes[-2:] = 4
    return codes


def channels(share: float) -> tuple[int, list[int], int, int]:
    """Stem, tower, dilated, last: the published numbers times `share`."""
    tower = [round(339 * share * 1.1776**block) for block in range(6)]
    return round(288 * share), tower, round(384 * share), round(1536 * share)


def answers_of_port(weights: Path) -> dict[str, object]:
    """Outputs in float64 for each form of GELU; the port's own is erf, the others are put in its place."""
    import torch

    state = torch.load(weights, weights_only=True)
    model = _port(len(state["model.trunk.1.tower.5.block.1.weight"]) / 768)
    model.load_state_dict(state, strict=True)
    model = model.double().eval()
    x = torch.from_numpy(np.eye(5, 4)[random_codes(CODES_SEED)].T[None])
    outputs = {}
    for name, function in _gelus().items():
        _replace_gelu(model, function)
        with torch.no_grad():
            y = model(x)[0].numpy()
        outputs[name] = y[np.ix_(BINS, TRACKS)].tolist()
    return _record(f"basenji2-pytorch 0.1.2, torch {torch.__version__}", outputs)


def _port(share: float):
    import copy

    from basenji2_pytorch import Basenji2, basenji2_params

    stem, _, dilated, last = channels(share)
    parameters = copy.deepcopy(basenji2_params["model"])
    trunk = parameters["trunk"]
    trunk[0]["filters"], trunk[2]["filters"], trunk[4]["filters"] = stem, dilated, last
    trunk[1]["filters_init"] = 339 * share
    return Basenji2(parameters)


def _gelus():
    import torch
    from torch.nn import functional

    return {
        "sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
        "erf": functional.gelu,
        "tanh": lambda x: functional.gelu(x, approximate="tanh"),
    }


def _replace_gelu(module, function) -> None:
    import torch

    class Gelu(torch.nn.Module):
        def forward(self, x):
            return function(x)

    for name, child in module.named_children():
        if type(child).__name__.lower() == "gelu":
            setattr(module, name, Gelu())
        else:
            _replace_gelu(child, function)


def answers_of_keras(width: int, target: Path) -> dict[str, object]:
    """Outputs in float32 with x sigmoid(1.702 x); Keras' own file of the weights goes to `target`."""
    import keras

    keras.layers.Conv1D(1, 1)  # as a session that built another model before: the layers' numbers move on
    model = _in_keras(width / 768)
    rng = np.random.default_rng(width)
    for weight in model.weights:
        weight.assign(_random(weight.path, tuple(weight.shape), rng))
    model.save(target)
    x = np.eye(5, 4, dtype=np.float32)[random_codes(CODES_SEED)][None]
    y = np.asarray(model.predict(x, verbose=0), float)[0]
    made_by = f"keras {keras.__version__}, {keras.backend.backend()} backend"
    return _record(made_by, {"sigmoid": y[np.ix_(BINS, TRACKS)].tolist()})


def _random(path: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if path.endswith(("gamma", "moving_variance")):
        return rng.uniform(0.5, 1.5, shape)
    return rng.standard_normal(shape) * (np.prod(shape[:-1]) ** -0.5 if len(shape) > 1 else 0.3)


def _in_keras(share: float):
    import keras
    from keras import layers

    @keras.saving.register_keras_serializable()
    def gelu(x):
        return x * keras.ops.sigmoid(1.702 * x)

    def block(x, filters, kernel, dilation=1):
        x = layers.Activation(gelu)(x)
        x = layers.Conv1D(filters, kernel, padding="same", use_bias=False, dilation_rate=dilation)(x)
        return layers.BatchNormalization()(x)

    stem, tower, dilated, last = channels(share)
    sequence = keras.Input((LENGTH, 4), name="sequence")
    x = layers.MaxPooling1D(2, padding="same")(block(sequence, stem, 15))
    for filters in tower:
        x = layers.MaxPooling1D(2, padding="same")(block(x, filters, 5))
    for dilation in DILATIONS:
        change = layers.Dropout(0.3)(block(block(x, dilated, 3, dilation), tower[-1], 1))
        x = layers.Add()([x, change])
    x = layers.Cropping1D(64)(x)
    x = layers.Activation(gelu)(layers.Dropout(0.05)(block(x, last, 1)))
    return keras.Model(sequence, layers.Dense(5313, activation="softplus")(x))


def _record(made_by: str, outputs: dict[str, object]) -> dict[str, object]:
    return {
        "made_by": made_by,
        "codes_seed": CODES_SEED,
        "bins": BINS,
        "tracks": TRACKS,
        "outputs": outputs,
    }


if __name__ == "__main__":
    if sys.argv[1] == "port":
        answers = answers_of_port(Path(sys.argv[2]))
    else:
        answers = answers_of_keras(int(sys.argv[2]), Path(sys.argv[3]))
    Path(sys.argv[-1]).write_text(json.dumps(answers, indent=1) + "\n")
