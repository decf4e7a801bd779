"""Large arrays that go to a temporary file when they would not fit."""

from __future__ import annotations

import math
import tempfile

import torch

__all__ = ["allocate"]


def allocate(shape: tuple[int, ...], dtype: torch.dtype, budget: int) -> torch.Tensor:
    """An uninitialised CPU tensor; beyond `budget` bytes it lies in a file that goes away with it."""
    count = math.prod(shape)
    if count * dtype.itemsize <= budget:
        return torch.empty(shape, dtype=dtype)
    with tempfile.NamedTemporaryFile(prefix="hapsight-") as file:
        # The mapping keeps the file's space until the tensor is gone, whatever becomes of its name.
        return torch.from_file(file.name, shared=True, size=count, dtype=dtype).view(shape)
