"""Random numbers by purpose, so that one more gene or person does not move all others' numbers."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["stream"]


def stream(seed: int, *purpose: str) -> np.random.Generator:
    """The generator of one purpose, such as ``stream(1, "mosaic", "chr22")``; equal for equal words."""
    digest = hashlib.sha256("\n".join(purpose).encode()).digest()
    return np.random.default_rng((seed, int.from_bytes(digest[:8], "little")))
