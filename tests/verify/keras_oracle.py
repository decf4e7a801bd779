"""What Keras says of Xpresso: the judge of our port.

Run by an interpreter that has keras and h5py; writes one JSON file of inputs' seeds and outputs:

    KERAS_BACKEND=torch python tests/verify/keras_oracle.py <golden.json> [folder of published .h5 files]

The tests of our port import the functions above `main`, which need numpy and h5py only.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

LENGTH = 10_500
SHAPES = {
    "conv1d_1": (6, 4, 128),
    "conv1d_2": (9, 128, 32),
    "dense_1": (1126, 64),
    "dense_2": (64, 2),
    "dense_3": (2, 1),
}
LAYERS_WITHOUT_WEIGHTS = ("promoter", "max_pooling1d_1", "halflife")
REAL_FILES = ("GM12878_trainepoch.06-0.5062.h5", "humanMedian_trainepoch.11-0.426.h5")
HALF_LIVES = ([0.0] * 6, [1.5, -0.5, 0.25, -2.0, 0.75, 1.0])
SYNTHETIC_SEEDS = (1, 2)
INPUT_SEED = 7


def synthetic_codes(seed: int) -> np.ndarray:
    """(4, 10500) uint8 codes: random with a fifth N; runs of 70 of one base; only N; only the ends known."""
    rng = np.random.default_rng(seed)
    runs = rng.integers(0, 4, LENGTH // 70).repeat(70)
    nothing = np.full(LENGTH, 4)
    ends = nothing.copy()
    ends[:4], ends[-4:] = rng.integers(0, 4, (2, 4))
    return np.stack([rng.integers(0, 5, LENGTH), runs, nothing, ends]).astype(np.uint8)


def synthetic_weights(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias by layer; multiples of 2**-15, so equal everywhere, and no layer is dead."""
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        fan_in = max(1, int(np.prod(shape[:-1])))
        integers = rng.integers(-(2**15), 2**15, shape)
        return (integers * 2.0**-15 * 2.0 ** -np.floor(np.log2(fan_in) / 2)).astype(np.float32)

    weights = {layer: (draw(shape), draw(shape[-1:])) for layer, shape in SHAPES.items()}
    weights["dense_2"][1][:] = np.float32(2.0)
    return weights


def write_published_layout(path: Path, weights: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Write weights as Keras 2.0 saved them: groups, attributes and dataset names."""
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([*LAYERS_WITHOUT_WEIGHTS, *weights], dtype="S")
        group.attrs["backend"] = b"tensorflow"
        group.attrs["keras_version"] = b"2.0.5"
        for name in LAYERS_WITHOUT_WEIGHTS:
            group.create_group(name).attrs["weight_names"] = np.array([], dtype="S1")
        for name, (kernel, bias) in weights.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = np.array([f"{name}/kernel:0", f"{name}/bias:0"], dtype="S")
            layer[f"{name}/kernel:0"] = kernel
            layer[f"{name}/bias:0"] = bias


def build_in_keras(path: Path):
    """Xpresso in Keras, with the weights that Keras itself reads from the file."""
    from keras import Model, layers

    promoter = layers.Input((LENGTH, 4), name="promoter")
    x = layers.Conv1D(128, 6, padding="same", activation="relu", name="conv1d_1")(promoter)
    x = layers.MaxPooling1D(30)(x)
    x = layers.Conv1D(32, 9, padding="same", activation="relu", name="conv1d_2")(x)
    x = layers.MaxPooling1D(10)(x)
    x = layers.Flatten()(x)
    half_life = layers.Input((6,), name="halflife")
    x = layers.Concatenate()([x, half_life])
    x = layers.Dense(64, activation="relu", name="dense_1")(x)
    x = layers.Dense(2, activation="relu", name="dense_2")(x)
    model = Model([promoter, half_life], layers.Dense(1, name="dense_3")(x))
    model.load_weights(path)
    return model


def outputs_of(path: Path) -> list[dict[str, object]]:
    """One case for each half-life vector."""
    model = build_in_keras(path)
    codes = synthetic_codes(INPUT_SEED)
    one_hot = np.eye(5, 4, dtype=np.float32)[codes]
    cases = []
    for half_life in HALF_LIVES:
        features = np.tile(np.array(half_life, dtype=np.float32), (len(codes), 1))
        predicted = model.predict([one_hot, features], verbose=0)
        cases.append({"half_life": half_life, "outputs": np.asarray(predicted, float).ravel().tolist()})
    return cases


def main(target: Path, folder: Path | None) -> None:
    """Write the golden file; real weights are included where `folder` has them."""
    import keras

    weights = {}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in SYNTHETIC_SEEDS:
            path = Path(scratch) / f"{seed}.h5"
            write_published_layout(path, synthetic_weights(seed))
            weights[f"synthetic {seed}"] = outputs_of(path)
    for name in REAL_FILES:
        if folder is not None and (folder / name).is_file():
            weights[name] = outputs_of(folder / name)
    made_by = f"keras {keras.__version__}, {keras.backend.backend()} backend"
    target.write_text(
        json.dumps({"made_by": made_by, "input_seed": INPUT_SEED, "weights": weights}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
