"""Measured tracks along a contig: bigWigs, read once into a file that is mapped into memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.bigwig import BigWig
from hapsight.cohort.contigs import resolve_contig
from hapsight.cohort.digest import file_digest
from hapsight.disk import temporary_name
from hapsight.errors import InputError
from hapsight.models.protocol import Track

__all__ = ["CELL", "Signal", "TrackFile", "read_signal"]

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
