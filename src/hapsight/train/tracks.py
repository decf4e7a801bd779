"""Measured tracks along a contig: bigWigs, read once into a file that is mapped into memory.

Windows of a chromosome to train on: drawn at random, or laid side by side over a block.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.bigwig import BigWig
from hapsight.cohort.contigs import resolve_contig
from hapsight.cohort.nouns import Interval
from hapsight.dna import N_CODE, Codes
from hapsight.errors import ConfigError, InputError
from hapsight.files import file_digest, temporary_name
from hapsight.models.protocol import Track

__all__ = ["CELL", "Frame", "Signal", "TrackFile", "WindowSampler", "read_signal", "tiles"]

CELL: Final = 8
"""Bases whose sum is stored; windows start at multiples of it."""

_PIECE: Final = 2**20
"""Bases that are read at a time; a multiple of `CELL`."""

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class TrackFile:
    """A track and where it was measured.

    Attributes
    ----------
    reduce
        What a bin is: the ``sum`` of its bases (reads at single bases), or their ``mean`` (coverage).
    clip
        Bins above it count ``clip + sqrt(value - clip)``, as very high ones say more of the assay
        than of the sequence.
    """

    track: Track
    path: Path
    reduce: Literal["sum", "mean"]
    clip: float


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """T tracks of one contig from its start on.

    Attributes
    ----------
    cells
        (T, C) float32, sums over `CELL` bases, not negative; C whole cells.
    """

    files: tuple[TrackFile, ...]
    cells: NDArray[np.float32]

    def bins(self, start: int, count: int, width: int) -> NDArray[np.float32]:
        """(count, T) values of `count` bins of `width` bases from `start` on, clipped; see `TrackFile`.

        `start` and `width` are multiples of `CELL`, and the bins lie on the contig.
        """
        raw = self.raw(start, count, width)
        clip = np.array([file.clip for file in self.files], np.float32)
        return np.where(raw > clip, clip + np.sqrt(np.maximum(raw - clip, 0)), raw)

    def raw(self, start: int, count: int, width: int) -> NDArray[np.float32]:
        """The same without clipping."""
        first, per_bin = start // CELL, width // CELL
        part = self.cells[:, first : first + count * per_bin]
        sums = part.reshape(len(part), count, per_bin).sum(axis=2).T  # (count, T)
        share = np.array([1.0 / width if file.reduce == "mean" else 1.0 for file in self.files])
        values: NDArray[np.float32] = (sums * share).astype(np.float32)
        return values


def read_signal(files: Sequence[TrackFile], contig: str, length: int, cache: Path) -> Signal:
    """Read tracks of one contig of `length` bases; from `cache` where they were read before.

    Strands are often told apart by sign: a file whose values are all negative counts by their size.
    Bases without a value count as 0.

    Raises
    ------
    InputError
        A file is missing, no bigWig, lacks the contig or has another length of it, or mixes signs.
    """
    digests = [file_digest(file.path) for file in files]
    key = hashlib.sha256(json.dumps([_VERSION, CELL, contig, length, digests]).encode()).hexdigest()
    path = cache / f"signal-{key[:16]}.npy"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        part = temporary_name(path)
        try:
            _write(files, contig, length, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return Signal(tuple(files), np.load(path, mmap_mode="r"))


def _write(files: Sequence[TrackFile], contig: str, length: int, path: Path) -> None:
    shape = (len(files), length // CELL)
    made = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=shape)
    for row, file in zip(made, files, strict=True):
        _read(file.path, contig, length, row)
    made.flush()


def _read(path: Path, contig: str, length: int, row: NDArray[np.float32]) -> None:
    """Fill (C,) cells from one bigWig, a piece at a time."""
    with BigWig(path) as file:
        lengths = file.lengths
        name = resolve_contig(contig, lengths, path)
        if lengths[name] != length:
            raise InputError(
                "A track is of another build than the reference.",
                where=f"{path}, {name}",
                expected=f"{length:,} bp",
                got=f"{lengths[name]:,} bp",
            )
        for start in range(0, len(row) * CELL, _PIECE):
            end = min(start + _PIECE, len(row) * CELL)
            values = np.nan_to_num(file.values(name, start, end), copy=False)
            row[start // CELL : end // CELL] = values.astype(np.float64).reshape(-1, CELL).sum(axis=1)
    if row.min() < 0 < row.max():
        raise InputError(
            "A track has values of both signs.",
            where=path,
            expected="values of one sign, such as reads of one strand",
            got=f"{row.min():g} to {row.max():g}, over {CELL} bp",
        )
    np.abs(row, out=row)


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
