"""Values of a bigWig, read here and not by a C library: those end the process at many a damaged file.

The layout is that of Kent et al. 2010 (Bioinformatics 26, 2204), supplement: a header, a B+ tree of contigs,
an R tree over the data, and blocks of data, compressed each by itself.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.tables import require_file
from hapsight.errors import InputError

__all__ = ["BigWig", "accessible_elements"]

_FILE: Final = 0x888FFC26
_CONTIGS: Final = 0x78CA8C91
_INDEX: Final = 0x2468ACE0
_BLOCK_HEAD: Final = 24
_LARGEST_BLOCK: Final = _BLOCK_HEAD + 65_535 * 12
"""Bytes: a block has up to 65,535 items."""

_FIELDS: Final = {
    1: {"start": "u4", "end": "u4", "value": "f4"},  # bedGraph
    2: {"start": "u4", "value": "f4"},  # variable step
    3: {"value": "f4"},  # fixed step
}
"""Of an item, by the kind of its block."""

Ints = NDArray[np.int64]


class BigWig:
    """A bigWig that is open for reading; a context manager that closes it.

    Attributes
    ----------
    lengths
        Bases of each contig, by the file's own names.

    Raises
    ------
    InputError
        The file is missing, no bigWig, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        require_file(path, "bigWig")
        with path.open("rb") as file:
            try:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise self._damaged("an empty file") from None
        self._order = "<" if self._bytes[:4] == struct.pack("<I", _FILE) else ">"
        try:
            magic, *_, contigs, _, index, _, _, _, _, largest, _ = self._unpack("IHHQQQHHQQIQ", 0)
            if magic != _FILE:
                raise self._damaged("another kind of file")
            self._compressed = largest > 0
            self.lengths: dict[str, int] = {}
            self._number: dict[str, int] = {}
            for name, number, length in self._contigs(contigs):
                self.lengths[name], self._number[name] = length, number
            if self._unpack("I", index)[0] != _INDEX:
                raise self._damaged("no index of the data")
            self._root = index + 48
        except InputError:
            self._bytes.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bytes.close()

    def values(self, contig: str, start: int, end: int) -> NDArray[np.float32]:
        """(end - start,) value of each base, NaN where the file has none.

        Parameters
        ----------
        contig
            One of `lengths`.

        Raises
        ------
        InputError
            A block that is wanted, or the index on the way to it, is damaged.
        """
        out = np.full(end - start, np.nan, np.float32)
        number = self._number[contig]
        for offset, size in self._blocks(number, start, end):
            found, first, last, value = self._items(self._block(offset, size), offset)
            if found != number:
                raise self._damaged(f"a block of another contig at byte {offset:,}")
            _fill(out, np.maximum(first - start, 0), np.minimum(last - start, len(out)), value)
        return out

    def _contigs(self, tree: int) -> Iterator[tuple[str, int, int]]:
        """Name, number and bases of every contig."""
        magic, _, key, value = self._unpack("IIII", tree)
        if magic != _CONTIGS or value != 8 or not 0 < key < 2**16:
            raise self._damaged("no list of contigs")
        for items, is_leaf in self._nodes(tree + 32, f"{key}sII", f"{key}sQ"):
            for name, *rest in items if is_leaf else ():
                yield name.rstrip(b"\0").decode(errors="replace"), *rest

    def _blocks(self, number: int, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Place and size of every block of data that overlaps a stretch of a contig."""

        def reaches(item: tuple[Any, ...]) -> bool:
            return item[:2] < (number, end) and item[2:4] > (number, start)

        for items, is_leaf in self._nodes(self._root, "IIIIQQ", "IIIIQ", reaches):
            if is_leaf:
                yield from (item[4:6] for item in items)

    def _nodes(
        self, root: int, leaf: str, inner: str, wanted: Any = None
    ) -> Iterator[tuple[list[tuple[Any, ...]], bool]]:
        """Wanted items of every node of a tree that wanted items lead to, and whether it is a leaf."""
        waiting, seen = [root], set[int]()
        while waiting:
            place = waiting.pop()
            if place in seen:
                raise self._damaged(f"an index that leads in circles, at byte {place:,}")
            seen.add(place)
            is_leaf, _, count = self._unpack("BBH", place)
            item = struct.Struct(self._order + (leaf if is_leaf else inner))
            part = self._bytes[place + 4 : place + 4 + count * item.size]
            if len(part) < count * item.size:
                raise self._damaged(f"an index that ends at byte {len(self._bytes):,}")
            items = [one for one in item.iter_unpack(part) if wanted is None or wanted(one)]
            if not is_leaf:
                waiting.extend(one[-1] for one in reversed(items))
            yield items, bool(is_leaf)

    def _block(self, offset: int, size: int) -> bytes:
        packed = self._bytes[offset : offset + size]
        if len(packed) < size:
            raise self._damaged(f"a block of data that ends at byte {len(self._bytes):,}")
        if not self._compressed:
            return packed
        try:
            return zlib.decompressobj().decompress(packed, _LARGEST_BLOCK)
        except zlib.error as error:
            raise self._damaged(f"a block at byte {offset:,}: {error}") from None

    def _items(self, block: bytes, offset: int) -> tuple[int, Ints, Ints, NDArray[np.float32]]:
        """The contig's number; and (n,) starts, ends and values of a block's items, in order."""
        head = struct.Struct(self._order + "IIIIIBBH")
        if len(block) < head.size:
            raise self._damaged(f"a short block at byte {offset:,}")
        contig, start, _, step, span, kind, _, count = head.unpack_from(block)
        form = np.dtype([(name, self._order + code) for name, code in _FIELDS.get(kind, {}).items()])
        if kind not in _FIELDS or len(block) < head.size + count * form.itemsize:
            raise self._damaged(f"a block of unknown kind or length at byte {offset:,}")
        items = np.frombuffer(block, form, count, head.size)
        fixed = start + step * np.arange(count, dtype=np.int64)
        first = items["start"].astype(np.int64) if "start" in _FIELDS[kind] else fixed
        last = items["end"].astype(np.int64) if "end" in _FIELDS[kind] else first + span
        if (last <= first).any() or (first[1:] < last[:-1]).any():
            raise self._damaged(f"items that overlap or are empty, in the block at byte {offset:,}")
        return contig, first, last, items["value"].astype(np.float32)

    def _unpack(self, form: str, offset: int) -> tuple[Any, ...]:
        try:
            return struct.unpack_from(self._order + form, self._bytes, offset)
        except (struct.error, OverflowError):
            raise self._damaged(f"an end at byte {len(self._bytes):,}") from None

    def _damaged(self, got: str) -> InputError:
        return InputError(
            "A track cannot be read: it is no bigWig, or a damaged one.",
            where=self.path,
            expected="a bigWig",
            got=got,
            fix="copy the file again",
        )


def _fill(out: NDArray[np.float32], first: Ints, last: Ints, value: NDArray[np.float32]) -> None:
    """Set ``out[first[i]:last[i]]`` to ``value[i]``; stretches do not overlap, and may be empty."""
    size = np.maximum(last - first, 0)
    before = np.cumsum(size) - size
    place = np.repeat(first - before, size) + np.arange(size.sum())
    out[place] = np.repeat(value, size)


_STRETCH: Final = 4_000_000
"""Bases whose values are held at once."""


def accessible_elements(
    path: Path, contigs: Sequence[str] = (), width: int = 256, times: float = 5.0
) -> Iterator[tuple[str, int, int]]:
    """Elements (contig, start, end), each `width` bases, from a track of accessibility.

    Their mean signal is at least `times` the mean of the contig's every base, and none overlaps a stronger
    one: the strongest is taken first, of two alike the first on the contig. A base without value counts as 0.

    Parameters
    ----------
    contigs
        Names of the file; all where empty. Contigs without signal have no element.

    Raises
    ------
    InputError
        The file cannot be read, or has no contig of that name.
    """
    with BigWig(path) as file:
        if unknown := [name for name in contigs if name not in file.lengths]:
            raise InputError(
                "The track has no contig of that name.",
                where=path,
                expected=", ".join(sorted(file.lengths)[:12]),
                got=", ".join(unknown),
            )
        for contig in contigs or sorted(file.lengths):
            length = file.lengths[contig]
            mean = sum(float(part.sum()) for _, part in _parts(file, contig, 0)) / max(length, 1)
            places, means = list[Ints](), list[NDArray[np.float64]]()
            for first, part in _parts(file, contig, width - 1) if mean > 0 else ():
                running = np.append(0.0, np.cumsum(part))
                here = (running[width:] - running[:-width]) / width
                high = np.flatnonzero(here >= times * mean)
                places.append(first + high)
                means.append(here[high])
            if places:
                for start in _apart_from_higher(
                    np.concatenate(places), np.concatenate(means), width
                ).tolist():
                    yield contig, start, start + width


def _parts(file: BigWig, contig: str, beyond: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Start and values, 0 where there is none, of stretches that overlap by `beyond` bases."""
    length = file.lengths[contig]
    for first in range(0, length, _STRETCH):
        values = file.values(contig, first, min(first + _STRETCH + beyond, length))
        yield first, np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)


def _apart_from_higher(places: Ints, heights: NDArray[np.float64], apart: int) -> Ints:
    """Of distinct, ascending `places` the highest, and then every next one `apart` from all before it."""
    taken, kept = np.zeros(len(places), np.bool_), list[int]()
    first = np.searchsorted(places, places - apart, side="right")
    last = np.searchsorted(places, places + apart, side="left")
    for one in np.argsort(-heights, kind="stable").tolist():
        if not taken[one]:
            kept.append(one)
            taken[first[one] : last[one]] = True
    return places[np.sort(np.array(kept, np.int64))]
