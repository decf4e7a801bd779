"""Which local work the haplotypes of a window share: distinct stretches of sequence, found by their bytes.

Nothing here depends on coordinates: two stretches are one when their bases are the same and they lie alike at
the window's edges, so indels that move everything behind them need no care.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.errors import ConfigError
from hapsight.models.protocol import Grid
from hapsight.predict.hashing import all_equal, hash_stretches

__all__ = ["Chunks", "DistinctChunks", "best_core", "cut_chunks", "distinct_chunks", "distinct_stretches"]

Index = NDArray[np.intp]

CORES = (4, 8, 16, 32, 64, 128, 256, 512)
"""Core lengths, in embedding positions, that `best_core` chooses from."""


_JUDGED_WHOLE = 4_000_000
"""Bases up to which `best_core` looks at all haplotypes' whole span."""

_LEAST_JUDGED = 256
"""Positions that it looks at, at least."""

_TRIES = 3
"""Hash functions that are tried; the second is hardly ever needed."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """A span of embedding positions cut into K chunks of one length.

    Every chunk is computed from a stretch of `length` bases; its wanted positions lie behind `skip` others
    that the halo makes. At a window's edge the stretch ends where the window does.

    Attributes
    ----------
    first, last
        The span, in embedding positions of the window.
    core
        Positions a chunk keeps; the last chunk may overlap the one before it.
    start
        (K,) first base of each stretch.
    skip
        (K,) positions before the wanted ones.
    edge
        (K,) 1 where the stretch begins at the window's start, plus 2 where it ends at its end.
    """

    first: int
    last: int
    core: int
    length: int
    start: Index
    skip: Index
    edge: Index

    def __len__(self) -> int:
        return len(self.start)

    @property
    def repeated(self) -> int:
        """Positions of the last chunk that the one before it has too."""
        return len(self) * self.core - (self.last - self.first)


def cut_chunks(grid: Grid, window_length: int, span: tuple[int, int], core: int) -> Chunks:
    """Cut a span of a window into chunks of `core` positions, each with its halo.

    Raises
    ------
    ConfigError
        The window is not a whole number of positions long.
    """
    if window_length % grid.stride:
        raise ConfigError(
            "A window must be a multiple of the model's stride.",
            expected=f"a multiple of {grid.stride}",
            got=window_length,
        )
    first, last = span
    core = min(core, last - first)
    length = min(core * grid.stride + grid.before + grid.after, window_length)
    position = np.minimum(np.arange(first, last, core), last - core)
    start = np.clip(position * grid.stride - grid.before, 0, window_length - length)
    edge = (start == 0) + 2 * (start + length == window_length)
    return Chunks(first, last, core, length, start, position - start // grid.stride, edge)


@dataclass(frozen=True, slots=True, eq=False)
class DistinctChunks:
    """U distinct chunks among R haplotypes.

    Attributes
    ----------
    index
        (R, K) which distinct chunk each haplotype has in each place.
    row, place
        (U,) a haplotype and a place where each distinct one occurs.
    """

    index: Index
    row: Index
    place: Index


def distinct_chunks(codes: Codes, chunks: Chunks) -> DistinctChunks:
    """Find the distinct chunks of (R, L) codes."""
    return distinct_stretches(codes, chunks.start, chunks.length, 4 * chunks.skip + chunks.edge)


def distinct_stretches(codes: Codes, start: Index, length: int, kind: Index | None = None) -> DistinctChunks:
    """Find the distinct stretches of `length` bases at (K,) `start` in (R, L) codes.

    Stretches are grouped by a 64-bit hash, and then compared with the one that stands for their group, so
    that what is called equal is equal.

    Parameters
    ----------
    kind
        (K,) stretches of different kinds are different, whatever their bases.
    """
    codes = np.ascontiguousarray(codes)
    for seed in range(_TRIES):
        rng = np.random.default_rng(seed)
        weights = rng.integers(0, 2**64, length + 1, dtype=np.uint64)
        hashes = hash_stretches(codes, start, weights[:length])
        if kind is not None:
            hashes = hashes + kind.astype(np.uint64) * weights[length]
        _, first, index = np.unique(hashes, return_index=True, return_inverse=True)
        row, place = np.divmod(first, len(start))
        found = DistinctChunks(index.reshape(hashes.shape), row, place)
        if all_equal(codes, start, length, found.index, row, place) and _same_kind(found, kind):
            return found
    raise AssertionError("a 64-bit hash collided again and again")


def _same_kind(found: DistinctChunks, kind: Index | None) -> bool:
    return kind is None or bool(np.all(kind[found.place][found.index] == kind))


def best_core(codes: Codes, grid: Grid, window_length: int, span: tuple[int, int]) -> int:
    """The core length whose distinct chunks are the fewest bases to compute, halo included.

    Where there is much to compare, judged on the middle of the span, a quarter of it.
    """
    positions = span[1] - span[0]
    part = positions if codes.size <= _JUDGED_WHOLE else max(positions // 4, min(positions, _LEAST_JUDGED))
    first = span[0] + (positions - part) // 2
    middle = (first, first + part)

    def bases(core: int) -> int:
        chunks = cut_chunks(grid, window_length, middle, core)
        return len(distinct_chunks(codes, chunks).row) * chunks.length

    fitting = [core for core in CORES if core <= part] or [positions]
    return min(fitting, key=bases)
