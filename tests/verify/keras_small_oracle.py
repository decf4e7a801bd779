"""What Keras says of MPRA-DragoNN and Framepool, built anew around the stored arrays: the judge of our ports.

Run by an interpreter that has keras and h5py (tests/verify/keras_venv.sh makes it):

    KERAS_BACKEND=torch python keras_small_oracle.py <model> <weights.h5> <inputs.npz> <outputs.npz>

Both published files are of Keras 2.2.4. Keras itself reads their arrays; the layers come from the published
lists, and what Framepool's Lambda layers do from their bytecode, which is not run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from keras import Input, Model, layers, ops


class Masked(layers.Layer):
    """Nothing where a base is padding, or not known."""

    def call(self, x, sequence):
        return x * ops.expand_dims(ops.sum(sequence, axis=2), 2)


class Frames(layers.Layer):
    """Every third position from the end on: from the last one, the last but one, and the one before."""

    def call(self, x):
        return [ops.flip(x, axis=1)[:, frame::3] for frame in range(3)]


class MeanOverKnown(layers.Layer):
    """Sum of a frame, divided by the sum of the mask of all frames."""

    def call(self, x, sequence):
        return ops.sum(x, axis=1) / ops.expand_dims(ops.sum(sequence, axis=(1, 2)), 1)


def mpra_dragonn() -> Model:
    """Codes of 145 bases in, 12 activities out."""
    sequence = x = Input((145, 4))
    for _ in range(3):
        x = layers.Conv1D(120, 5, activation="relu")(x)
        x = layers.Dropout(0.1)(layers.BatchNormalization()(x))
    return Model(sequence, layers.Dense(12)(layers.Flatten()(x)))


def framepool() -> Model:
    """A padded 5' UTR and the library's one-hot in, the ribosome load out."""
    sequence, library = Input((None, 4)), Input((2,))
    x = Masked()(layers.Conv1D(128, 7, padding="same", activation="relu")(sequence), sequence)
    for _ in range(2):
        after = layers.Conv1D(128, 7, padding="same", activation="relu")(x)
        x = layers.Add()([Masked()(after, sequence), x])
    frames = Frames()(x)
    pooled = [layers.GlobalMaxPooling1D()(frame) for frame in frames]
    pooled += [MeanOverKnown()(frame, sequence) for frame in frames]
    x = layers.Dense(64, activation="relu")(layers.Concatenate()(pooled))
    unscaled = layers.Dense(1)(layers.Dropout(0.2)(x))
    regression = layers.Concatenate()([layers.Multiply()([unscaled, library]), library])
    return Model([sequence, library], layers.Dense(1, use_bias=False)(regression))


def one_hot(codes: np.ndarray) -> np.ndarray:
    """(B, L, 4) float32; N, 4, and padding, 5, are zero in all four."""
    return np.eye(6, 4, dtype=np.float32)[codes]


def main(model: str, weights: Path, inputs: Path, outputs: Path) -> None:
    given = np.load(inputs)
    built = {"mpra_dragonn": mpra_dragonn, "framepool": framepool}[model]()
    built.load_weights(weights)
    x = [one_hot(given["codes"])] + ([given["library"]] if model == "framepool" else [])
    np.savez(outputs, outputs=built.predict(x if len(x) > 1 else x[0], verbose=0))


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
