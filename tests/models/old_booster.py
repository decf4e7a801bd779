"""Writes linear boosters in xgboost's old binary format, byte for byte and apart from the reader."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def old_booster(
    weights: NDArray[np.float32],
    bias: float,
    *,
    base_score: float = 2.0,
    prefix: bytes = b"binf",
    objective: bytes = b"reg:linear",
    booster: bytes = b"gblinear",
    num_feature: int | None = None,
    count: int | None = None,
) -> bytes:
    """The bytes of a ``.save`` file; `num_feature` and `count` let a file lie about itself."""
    features = len(weights) if num_feature is None else num_feature
    learner = struct.pack("<f", base_score) + struct.pack("<I", features) + struct.pack("<i", 0)
    linear = struct.pack("<I", features) + struct.pack("<i", 1)
    names = b"".join(struct.pack("<Q", len(name)) + name for name in (objective, booster))
    size = struct.pack("<Q", len(weights) + 1 if count is None else count)
    numbers = b"".join(struct.pack("<f", number) for number in [*weights, bias])
    return prefix + learner.ljust(136, b"\0") + names + linear.ljust(136, b"\0") + size + numbers


def write_head(folder: Path, tissue: str, seed: int, pseudocount: str = "0.0001") -> NDArray[np.float32]:
    """Write a random head of ExPecto under a name like the published ones; its 20,031 numbers, bias last."""
    rng = np.random.default_rng(seed)
    numbers = (rng.standard_normal(20_031) * 1e-3).astype(np.float32)
    name = f"allhistones2000.1.fixed.all.pseudocount{pseudocount}.lambda100.round100.basescore2.{tissue}.save"
    (folder / name).write_bytes(old_booster(numbers[:-1], float(numbers[-1])))
    return numbers
