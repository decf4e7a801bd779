"""Windows of a chromosome to train on: drawn at random, or laid side by side over a block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Interval
from hapsight.dna import N_CODE, Codes
from hapsight.errors import ConfigError
from hapsight.train.tracks import CELL

__all__ = ["Frame", "WindowSampler", "tiles"]


@dataclass(frozen=True, slots=True)
class Frame:
    """Geometry of a window: `bins` bins of `width` bases, of which `crop` on either side are context only."""

    bins: int
    width: int
    crop: int

    @property
    def length(self) -> int:
        """Bases of a window."""
        return self.bins * self.width

    @property
    def kept(self) -> int:
        """Bins that are compared with measurements."""
        return self.bins - 2 * self.crop


class WindowSampler:
    """Draws window starts inside blocks, some anywhere and some where there is something to see.

    Parameters
    ----------
    codes
        (L,) codes of the contig.
    blocks
        Where windows, moved by up to `shift` bases, must lie wholly.
    active
        Indices of bins (of the contig, in units of the frame's width) with signal.
    active_share
        Share of windows that hold such a bin among their kept ones.
    most_n
        Share of a window's bases that may be unknown.

    Raises
    ------
    ConfigError
        No window fits into any block, or no active bin lies in one.
    """

    def __init__(
        self,
        codes: Codes,
        blocks: Iterable[Interval],
        frame: Frame,
        active: NDArray[np.intp],
        *,
        active_share: float,
        shift: int,
        most_n: float = 0.05,
    ) -> None:
        self.frame, self.active_share = frame, active_share
        self._fits = _fitting(codes, blocks, frame, shift, most_n)  # by start, in bins
        self._anywhere = np.flatnonzero(self._fits)
        if not len(self._anywhere):
            raise ConfigError(
                "No window to train on fits into the blocks.", expected=f"blocks of over {frame.length:,} bp"
            )
        reached = active[self._reachable(active)]
        if active_share and not len(reached):
            raise ConfigError("No bin with signal lies in the blocks to train on.", got=f"{len(active)} bins")
        self._active = reached

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """(count,) starts of windows, 0-based, each a multiple of 8."""
        return np.array([self._one(rng) for _ in range(count)], np.int64)

    def _one(self, rng: np.random.Generator) -> int:
        start = int(rng.choice(self._anywhere))
        if rng.random() < self.active_share:
            centre = int(rng.choice(self._active))
            nearby = centre - np.arange(self.frame.crop, self.frame.crop + self.frame.kept)
            start = int(rng.choice(nearby[self._at(nearby)]))
        return start * self.frame.width + CELL * int(rng.integers(self.frame.width // CELL))

    def _reachable(self, active: NDArray[np.intp]) -> NDArray[np.bool_]:
        offsets = np.arange(self.frame.crop, self.frame.crop + self.frame.kept)
        reachable = np.zeros(len(active), bool)
        for offset in offsets:
            reachable |= self._at(active - offset)
        return reachable

    def _at(self, starts: NDArray[np.intp]) -> NDArray[np.bool_]:
        inside = (starts >= 0) & (starts < len(self._fits))
        return inside & self._fits[np.where(inside, starts, 0)]


def tiles(blocks: Iterable[Interval], frame: Frame) -> Iterator[int]:
    """Starts of windows whose kept bins cover the blocks side by side, each window wholly in its block."""
    step = frame.kept * frame.width
    for block in blocks:
        first = -(-block.start // frame.width) * frame.width
        yield from range(first, block.end - frame.length + 1, step)


def _fitting(
    codes: Codes, blocks: Iterable[Interval], frame: Frame, shift: int, most_n: float
) -> NDArray[np.bool_]:
    """For each start, in bins, whether windows there and up to a bin further on are good to train on."""
    unknown = np.concatenate([[0], np.cumsum(codes == N_CODE)])
    starts = np.arange(max(0, (len(codes) - frame.length) // frame.width + 1)) * frame.width
    fits = unknown[starts + frame.length] - unknown[starts] <= most_n * frame.length
    inside = np.zeros(len(starts), bool)
    for block in blocks:
        last = block.end - frame.length - frame.width - shift
        inside |= (starts >= block.start + shift) & (starts <= last)
    fits &= inside
    return np.asarray(fits, np.bool_)
