"""Where on a contig a file's records lie, from its index alone: about, and without reading a record.

Whether the index is of the file as it is now.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import pysam
from numpy.typing import NDArray

from hapsight.cohort.nouns import Interval
from hapsight.cohort.tables import is_bgzip, require_end, require_file, unpacked_head
from hapsight.errors import InputError, in_shell

__all__ = [
    "Density",
    "index_densities",
    "index_of",
    "require_indexed",
    "require_own_index",
    "unreadable_index",
]

_Read = TypeVar("_Read")

_TABIX_SHIFT: Final = 14
"""Each window of a tabix index has 2 ** 14 bases."""
_TABIX_DEPTH: Final = 5
_MOST_SHIFT: Final = 32
_MOST_DEPTH: Final = 9
"""What a ``.csi`` may say; 14 and 5 are usual."""
_OFFSET_BITS: Final = 16
"""Of a virtual offset, the place within an unpacked block; the block's own place is above them."""
_UNPACKED: Final = 1 << _OFFSET_BITS
"""Bytes of an unpacked block, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """Records of one contig before each of some places.

    Attributes
    ----------
    position
        (n,) ascending.
    before
        (n,) records, not descending; between two places they are taken to lie evenly.
    """

    position: NDArray[np.float64]
    before: NDArray[np.float64]

    def within(self, interval: Interval) -> float:
        """About how many records lie in an interval; its contig is not looked at."""
        start, end = np.interp((interval.start, interval.end), self.position, self.before)
        return float(end - start)


def index_densities(path: Path, contigs: Sequence[str]) -> dict[str, Density]:
    """Density of each contig of an indexed VCF or BCF, by the packed bytes between places of its index.

    Parameters
    ----------
    contigs
        Of the file's header, in its order: the index of a BCF does not name them.

    Returns
    -------
    By contig, where the index says how many records it has (those of htslib do); formats: SAM/BCF
    specification, ``tabix.pdf`` and ``CSIv1.pdf``.

    Raises
    ------
    InputError
        The index cannot be read.
    """
    return _read(path, lambda data: dict(_tabix(data) if _is_tabix(data) else _csi(data, contigs)))


def index_of(path: Path) -> Path:
    """The index beside a VCF or BCF that is read, the ``.tbi`` where there are two; there must be one."""
    return next(Path(f"{path}{suffix}") for suffix in (".tbi", ".csi") if Path(f"{path}{suffix}").is_file())


def require_indexed(path: Path) -> None:
    """Refuse genotypes that are not bgzipped, are cut off, or have no index.

    Raises
    ------
    InputError
        They are.
    """
    require_file(path, "genotype")
    _require_variants(path)
    if not is_bgzip(path):
        new = path.with_name(f"{path.name.removesuffix('.gz').removesuffix('.vcf')}.bgzipped.vcf.gz")
        raise InputError(
            "The genotype file is not bgzipped, so it cannot be indexed.",
            where=path,
            fix=f"bcftools view -Oz -o {in_shell(new, path)} "
            f"&& bcftools index -t {in_shell(new)}; then give that file",
        )
    require_end(path)
    if not any(Path(f"{path}{suffix}").is_file() for suffix in (".tbi", ".csi")):
        raise InputError(
            "The genotype file has no index.",
            where=path,
            expected=f"{path}.tbi or {path}.csi",
            fix=f"bcftools index {in_shell(path)} (or tabix -p vcf {in_shell(path)}); if it is not sorted, "
            "index and give what this writes: bcftools sort -Oz -o NEW.vcf.gz FILE; "
            "if it is a BCF with END beyond the contig, which cannot be indexed: "
            "bcftools view -Oz -o NEW.vcf.gz FILE && bcftools index NEW.vcf.gz, and give NEW.vcf.gz",
        )


def _require_variants(path: Path) -> None:
    """Refuse what does not begin as a VCF or BCF does; a damaged file is told later."""
    head = unpacked_head(path, len(_VCF))
    if head and not head.startswith((_VCF, b"BCF")):
        raise InputError(
            "The genotype file is no VCF or BCF.",
            where=path,
            expected=f"a phased VCF or BCF with its index, or a .pgen; a VCF begins with {_VCF.decode()}",
            got=f"{head.decode(errors='replace')} ..." if head.isascii() else "other bytes",
            fix="plink2 --make-pgen makes a PGEN of phased .bgen (--bgen FILE and ref-first or ref-last) "
            "and .haps (--haps); PLINK 1's .bed has no phase",
        )


_VCF: Final = b"##fileformat=VCF"


def require_own_index(path: Path) -> None:
    """Refuse an index that was made of other content: records would be missed without a word.

    Raises
    ------
    InputError
        By the index, records do not end where those of the file do; or it cannot be read.
    """
    index = index_of(path)
    stamps = [(stat.st_mtime_ns, stat.st_size) for stat in (path.stat(), index.stat())]
    if not _ends_with_file(path, *stamps):
        renew = "tabix -f -p vcf" if index.suffix == ".tbi" else "bcftools index -f"
        raise InputError(
            "The index is not of this file as it is now.",
            where=index,
            expected=f"an index whose last record is the last one of {path}",
            got="another end: the file was changed after it was indexed, or it is cut off or damaged",
            fix=f"make the index again: {renew} {in_shell(path)}; if that fails, copy the file again",
        )


@lru_cache(maxsize=256)
def _ends_with_file(path: Path, *_stamps: tuple[int, int]) -> bool:
    """Whether nothing but comments follows the last record of the index; looked at once a process."""
    end = _read(path, _last_offset)
    if end >> _OFFSET_BITS > path.stat().st_size:
        return False
    try:
        with pysam.BGZFile(str(path), "r", None) as file:
            file.seek(end)
            rest = file.read(_UNPACKED) if end else b""
    except (OSError, ValueError):
        return False
    return all(not line.strip() or line.startswith(b"#") for line in rest.split(b"\n"))


def _last_offset(data: _Bytes) -> int:
    """Virtual offset behind the last record of any contig; 0 where there is none."""
    is_tabix, depth, last = _is_tabix(data), _TABIX_DEPTH, 0
    if is_tabix:
        count, *_, length = data.ints("8i")
        data.take(length)
    else:
        _, depth, length = data.ints("3i")
        data.take(length)
        (count,) = data.ints("i")
    for _ in range(count):
        parts = [part for number, (_, part) in _bins(data, not is_tabix) if number < _bins_before(depth + 1)]
        last = max([last, *(int(part.max()) for part in parts if part.size)])
        if is_tabix:
            data.offsets(*data.ints("i"))
    return last


def _read(path: Path, read: Callable[[_Bytes], _Read]) -> _Read:
    """What is read of a file's index, unpacked."""
    try:
        return read(_Bytes(gzip.decompress(index_of(path).read_bytes())))
    except (OSError, EOFError, ValueError, IndexError, struct.error, zlib.error) as error:
        raise unreadable_index(path, error) from error


def unreadable_index(path: Path, error: object) -> InputError:
    """The error of a file whose index is none."""
    return InputError(
        "The index of the genotypes cannot be read.",
        where=index_of(path),
        got=error,
        fix=f"delete it and make it again: bcftools index {in_shell(path)}",
    )


def _is_tabix(data: _Bytes) -> bool:
    return data.take(4) == b"TBI\1"


class _Bytes:
    """A buffer that is read from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self._data) - self._place:
            raise ValueError(f"{count:,} bytes cannot follow byte {self._place:,} of {len(self._data):,}")
        self._place += count
        return self._data[self._place - count : self._place]

    def ints(self, form: str) -> tuple[int, ...]:
        """Little-endian numbers, by a format of `struct`."""
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))

    def offsets(self, count: int) -> NDArray[np.uint64]:
        return np.frombuffer(self.take(8 * count), "<u8")


def _tabix(data: _Bytes) -> Iterator[tuple[str, Density]]:
    """Of a ``.tbi``: the first offset of each window."""
    count, *_, length = data.ints("8i")
    names = _names(data.take(length))
    for name in names[:count]:
        bins = dict(_bins(data, with_first=False))
        (windows,) = data.ints("i")
        first = data.offsets(windows)
        position = np.arange(windows + 1) << _TABIX_SHIFT
        yield from _contig(name, bins, _TABIX_DEPTH, position, first)


def _csi(data: _Bytes, contigs: Sequence[str]) -> Iterator[tuple[str, Density]]:
    """Of a ``.csi``: the first offset of each bin, however long the bin is."""
    shift, depth, length = data.ints("3i")
    if not (0 <= shift <= _MOST_SHIFT and 0 <= depth <= _MOST_DEPTH):
        raise ValueError(f"bins of 2 ** {shift} bases in {depth} levels")
    aux = data.take(length)
    names = _names(aux[28:]) if length >= 28 else list(contigs)
    (count,) = data.ints("i")
    for name in names[:count]:
        bins = dict(_bins(data, with_first=True))
        real = {place: first for number, (first, _) in bins.items() if (place := _span(number, shift, depth))}
        starts = dict(sorted((start, first) for (start, _), first in real.items()))
        last = max(real, default=(0, 0))[1]
        first = np.fromiter(starts.values(), np.uint64)
        yield from _contig(name, bins, depth, np.array([*starts, last]), first)


def _names(text: bytes) -> list[str]:
    return [name.decode() for name in text.rstrip(b"\0").split(b"\0")]


def _bins(data: _Bytes, with_first: bool) -> Iterator[tuple[int, tuple[int, NDArray[np.uint64]]]]:
    """Each bin's number, first offset (of a CSI) and chunks, (n, 2)."""
    (count,) = data.ints("i")
    for _ in range(count):
        (number,) = data.ints("I")
        (first,) = data.ints("Q") if with_first else (0,)
        (chunks,) = data.ints("i")
        yield number, (first, data.offsets(2 * chunks).reshape(-1, 2))


def _bins_before(level: int) -> int:
    """Bins of all coarser levels."""
    return ((1 << 3 * level) - 1) // 7


def _span(number: int, shift: int, depth: int) -> tuple[int, int] | None:
    """Bases ``[start, end)`` of a bin; None of the one that holds counts."""
    for level in range(depth, -1, -1):
        if number >= _bins_before(depth + 1):
            return None
        if number >= _bins_before(level):
            length = 1 << (shift + 3 * (depth - level))
            start = (number - _bins_before(level)) * length
            return start, start + length
    return None


def _contig(
    name: str,
    bins: Mapping[int, tuple[int, NDArray[np.uint64]]],
    depth: int,
    position: NDArray[np.int64],
    first: NDArray[np.uint64],
) -> Iterator[tuple[str, Density]]:
    """The contig's density, where its records are counted: bytes in proportion."""
    counts = bins.get(_bins_before(depth + 1) + 1)
    chunks = [part for number, (_, part) in bins.items() if number < _bins_before(depth + 1)]
    if counts is None or not chunks or not len(first):
        return
    whole = np.concatenate(chunks)
    places = np.maximum.accumulate(np.append(np.maximum(first, whole.min()), whole.max()))
    packed = _packed(places)
    records = float(counts[1][1, 0])
    share = packed / packed[-1] if packed[-1] else np.linspace(0.0, 1.0, len(packed))
    yield name, Density(position.astype(np.float64), records * share)


def _packed(places: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Packed bytes from the first of some virtual offsets to each; within a block, in proportion."""
    block = (places >> np.uint64(_OFFSET_BITS)).astype(np.float64)
    steps = np.diff(block)
    typical = float(np.median(steps[steps > 0])) if steps.any() else 1.0
    inside = (places & np.uint64(_UNPACKED - 1)).astype(np.float64) / _UNPACKED
    packed = np.maximum.accumulate(block + inside * typical)
    return np.asarray(packed - packed[0])
