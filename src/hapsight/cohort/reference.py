"""The reference genome: stretches of a FASTA as codes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pysam

from hapsight.cohort.contigs import resolve_contig
from hapsight.cohort.nouns import Interval
from hapsight.cohort.tables import is_bgzip, is_gzip, require_end, require_file, unpacked_head
from hapsight.dna import N_CODE, Codes, encode
from hapsight.errors import InputError, in_shell

__all__ = ["Reference", "ref_fits"]

_IUPAC: Final = {
    "M": "ACN",
    "R": "AGN",
    "W": "ATN",
    "S": "CGN",
    "Y": "CTN",
    "K": "GTN",
    "V": "ACGN",
    "H": "ACTN",
    "D": "AGTN",
    "B": "CGTN",
}
"""What a VCF may have as REF where the FASTA has an ambiguity code."""

_HEADER: Final = 4096
"""Bytes in which a contig's header ends."""

_BLOCK: Final = 1 << 16
"""Bytes of an unpacked block of bgzip, at most."""

_DIGITS: Final = 10
"""Of the longest contig's length."""


class Reference:
    """An indexed FASTA, plain or bgzipped; may be pickled, forked and shared by processes.

    Parameters
    ----------
    path
        The FASTA, with its ``.fai`` (and ``.gzi`` where bgzipped) beside it.

    Attributes
    ----------
    path
        The FASTA.
    contigs
        Length in bases of each contig, in the file's order.

    Raises
    ------
    InputError
        The file or its index is missing, it is gzipped but not bgzipped, it is cut off, or the index is of
        another file.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        _require_indexed(self.path)
        self.contigs: dict[str, int] = _contig_lengths(Path(f"{self.path}.fai"))
        _require_own_index(self.path)
        self._open: tuple[int, Any] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": None}

    def __repr__(self) -> str:
        return f"Reference({str(self.path)!r})"

    def resolve(self, contig: str) -> str:
        """The FASTA's own name of a contig (``22`` and ``chr22``, ``MT`` and ``chrM`` are one).

        Raises
        ------
        InputError
            The FASTA has no such contig; lists those it has.
        """
        return resolve_contig(contig, self.contigs, self.path)

    def fetch(self, interval: Interval) -> Codes:
        """Codes (L,) of `interval`, uint8; N on the side where it reaches over the contig's end.

        Raises
        ------
        InputError
            Unknown contig, or the file holds less than its index says.
        """
        contig = self.resolve(interval.contig)
        codes = np.full(len(interval), N_CODE, dtype=np.uint8)
        start, end = max(interval.start, 0), min(interval.end, self.contigs[contig])
        if start < end:
            offset = start - interval.start
            codes[offset : offset + end - start] = encode(self._fetch_inside(contig, start, end))
        return codes

    def letters(self, interval: Interval) -> str:
        """The FASTA's own letters of `interval`, upper-case, IUPAC codes among them; N beyond the contig.

        Raises
        ------
        InputError
            As `fetch`.
        """
        contig = self.resolve(interval.contig)
        start, end = max(interval.start, 0), min(interval.end, self.contigs[contig])
        if start >= end:
            return "N" * len(interval)
        inside = self._fetch_inside(contig, start, end).decode().upper()
        return "N" * (start - interval.start) + inside + "N" * (interval.end - end)

    def _fetch_inside(self, contig: str, start: int, end: int) -> bytes:
        try:
            letters: bytes = self._handle().fetch(contig, start, end).encode("ascii")
        except (OSError, ValueError, KeyError) as error:
            raise self._damaged(contig, start, end, error) from error
        if len(letters) != end - start:
            raise self._damaged(contig, start, end, f"{len(letters):,} bases")
        return letters

    def _damaged(self, contig: str, start: int, end: int, got: object) -> InputError:
        return InputError(
            "The FASTA does not hold what its index says.",
            where=f"{self.path}, {Interval(contig, start, end)}",
            expected=f"{end - start:,} bases",
            got=got,
            fix=f"copy the file again, or index it again: samtools faidx {in_shell(self.path)}",
        )

    def _handle(self) -> Any:
        """The open file of this process: a handle that came through a fork shares its position."""
        if self._open is None or self._open[0] != os.getpid():
            self._open = (os.getpid(), pysam.FastaFile(str(self.path)))
        return self._open[1]


def ref_fits(ref: str, there: str) -> bool:
    """Whether an upper-case REF may stand for the FASTA's upper-case letters at its place.

    An IUPAC code of the FASTA stands in a VCF as one of its bases, or as N. (The VCF specification takes the
    first by the alphabet.) N itself is only N.

    Examples
    --------
    >>> ref_fits("AC", "AC"), ref_fits("AA", "AR"), ref_fits("AT", "AR"), ref_fits("A", "N")
    (True, True, False, False)
    """
    return len(ref) == len(there) and all(
        base == letter or base in _IUPAC.get(letter, "") for base, letter in zip(ref, there, strict=True)
    )


def _require_indexed(path: Path) -> None:
    require_file(path, "reference FASTA")
    _require_fasta(path)
    suffixes = [".fai"]
    if is_gzip(path):
        if not is_bgzip(path):
            whole = in_shell(path)
            raise InputError(
                "The FASTA is gzipped, but not in blocks, so it cannot be indexed.",
                where=path,
                fix=f"gunzip {whole} && bgzip {in_shell(path.with_suffix(''))} && samtools faidx {whole}",
            )
        require_end(path)
        suffixes.append(".gzi")
    for suffix in suffixes:
        if not Path(f"{path}{suffix}").is_file():
            raise InputError(
                f"The FASTA has no {suffix} index.",
                where=path,
                expected=f"{path}{suffix}",
                fix=f"samtools faidx {in_shell(path)}",
            )


def _require_fasta(path: Path) -> None:
    """Refuse what does not begin as a FASTA does; a damaged file is told later."""
    head = unpacked_head(path, _HEADER).lstrip()
    if head and not head.startswith((b">", b";")):
        raise InputError(
            "The reference is no FASTA.",
            where=path,
            expected="> and the name of a contig, then its bases",
            got=f"{head[:16].decode()} ..." if head[:16].isascii() else "other bytes",
            fix="of a .2bit: twoBitToFa FILE.2bit NEW.fa && samtools faidx NEW.fa",
        )


def _require_own_index(path: Path) -> None:
    """Refuse an index made before the FASTA was changed: bases would be read from places beside their own.

    The first and the last contig are looked at: what changes before the last one moves it.
    """
    index = Path(f"{path}.fai")
    found = [_place(line) for line in index.read_text(encoding="utf-8").split("\n")]
    places = sorted(place for place in found if place is not None)
    for start, end, name in (places[0], places[-1]) if places else ():
        before, behind = _bytes_of(path, max(start - _HEADER, 0), start), _bytes_of(path, end, end + 2)
        header = before.rstrip(b"\r\n").rpartition(b"\n")[2].split()
        own = before.endswith(b"\n") and header[:1] == [b">" + name.encode()]
        if not own or behind.strip()[:1] not in b">":
            raise InputError(
                "The FASTA's index is not of the file as it is now.",
                where=f"{index}, contig {name}",
                expected=f"the line >{name} before byte {start:,} of the unpacked file, its end at {end:,}",
                got="something else there: the FASTA was changed after it was indexed",
                fix=f"index it again: samtools faidx {in_shell(path)}",
            )


def _place(line: str) -> tuple[int, int, str] | None:
    """Where the bases of a line of the index start and end in the unpacked file, and of which contig."""
    name, *numbers = line.split("\t")
    if len(numbers) < 4 or not all(n.isdecimal() and len(n) <= _DIGITS + 2 for n in numbers[:4]):
        return None
    length, start, bases, width = map(int, numbers[:4])
    whole, rest = divmod(max(length - 1, 0), max(bases, 1))
    return (start, start + whole * width + rest + 1, name) if length else None


def _bytes_of(path: Path, start: int, end: int) -> bytes:
    """Bytes ``[start, end)`` of the unpacked FASTA; fewer where it ends before."""
    if not is_gzip(path):
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(end - start)
    blocks = np.fromfile(f"{path}.gzi", "<u8")[1:]
    packed, unpacked = np.append([0], blocks[::2]), np.append([0], blocks[1::2])
    block = int(np.searchsorted(unpacked, start, side="right")) - 1
    if start - int(unpacked[block]) > _BLOCK:
        return b""
    try:
        with pysam.BGZFile(str(path), "r", None) as file:
            file.seek(int(packed[block]) << 16)
            file.read(start - int(unpacked[block]))
            return bytes(file.read(end - start))
    except (OSError, ValueError):
        return b""


def _contig_lengths(index: Path) -> dict[str, int]:
    try:
        lines = index.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError("The FASTA's index is no text.", where=index, got=error) from error
    lengths = dict(_contig_length(line, index) for line in lines if line)
    if not lengths:
        raise InputError("The FASTA's index names no contig.", where=index)
    return lengths


def _contig_length(line: str, index: Path) -> tuple[str, int]:
    name, length, *_ = [*line.split("\t"), ""]
    if not name or not length.isdecimal() or len(length) > _DIGITS:
        raise InputError(
            "A line of the FASTA's index is broken.",
            where=index,
            expected="a contig and its length, then three more numbers",
            got=line[:80],
            fix=f"samtools faidx {in_shell(index.with_suffix(''))}",
        )
    return name, int(length)
