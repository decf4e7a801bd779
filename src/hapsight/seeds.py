"""Random numbers by purpose: no two purposes share any, and one more gene or person moves nobody else's.

Numbers alone do not keep streams apart: ``default_rng(1)``, ``default_rng((1, 0))`` and
``default_rng((1, 0, 0))`` are one. Words do. Three streams are older than this and stay as they are, so that
results stay comparable: outer folds (the bare seed), halves of people (seed, 1), and what linear methods draw
(a gene's own seed, fold).
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["stream", "torch_seed"]


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """The generator of one purpose, such as ``stream(1, "mosaic", "chr22")``; equal for equal words."""
    return np.random.default_rng((seed, _number(purpose)))


def torch_seed(seed: int, *purpose: str | int) -> int:
    """A seed of torch's generator for one purpose, below 2^64."""
    return int(np.random.SeedSequence((seed, _number(purpose))).generate_state(1, np.uint64)[0])


def _number(purpose: tuple[str | int, ...]) -> int:
    words = "\n".join(str(part) for part in purpose)
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "little")
