"""Sites of a PGEN: the text table beside it, of which only an index of blocks stays in memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.density import Density
from hapsight.cohort.nouns import Interval
from hapsight.errors import InputError, MissingExtraError, in_shell

__all__ = ["Pvar", "Site", "map_text", "read_pvar"]

_BLOCK: Final = 1024
"""Sites in a block."""

_MOST_UNPACKED: Final = 200
"""Times that a table may be longer than its compressed file."""

_SMALL: Final = 1 << 28
"""Bytes that are unpacked however much they were compressed."""

_COLUMNS: Final = (b"#CHROM", b"POS", b"ID", b"REF", b"ALT")


class Site(NamedTuple):
    """One row: its number in the PGEN, its 0-based position, alleles, and identifier (None where ``.``)."""

    number: int
    position: int
    ref: str
    alts: tuple[str, ...]
    name: str | None


class _Block(NamedTuple):
    """Neighbouring rows of one contig: the first one's number and byte, and the reach of their REFs."""

    number: int
    offset: int
    rows: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Pvar:
    """Index of a ``.pvar`` or ``.pvar.zst``; a block takes about 100 bytes, a thousand sites lie in it.

    Attributes
    ----------
    count
        Sites.
    blocks
        Of each contig, in the file's order.
    many
        ALTs of each multi-allelic site, by its number.
    human
        Whether contigs are a human's, as they are to PLINK 2 where no ``##chrSet`` says otherwise.
    """

    path: Path
    count: int
    blocks: Mapping[str, list[_Block]]
    many: Mapping[int, int]
    human: bool = True

    def allele_offsets(self) -> NDArray[np.uintp] | None:
        """(V + 1,) alleles before each site, as pgenlib wants them; None where all sites are biallelic."""
        if not self.many:
            return None
        alleles = np.full(self.count, 2, np.uintp)
        alleles[list(self.many)] = np.array(list(self.many.values())) + 1
        return np.concatenate([np.zeros(1, np.uintp), np.cumsum(alleles, dtype=np.uintp)])

    def density(self, contig: str) -> Density:
        """Where on a contig (as the file has it) the sites lie, to a block of sites."""
        blocks = self.blocks[contig]
        position = [*(block.start for block in blocks), blocks[-1].end]
        before = np.cumsum([0, *(block.rows for block in blocks)])
        return Density(np.array(position, np.float64), before.astype(np.float64))

    def sites(self, interval: Interval, text: mmap.mmap) -> Iterator[Site]:
        """Rows whose REF overlaps `interval` (the contig as the file has it), in the file's order.

        Parameters
        ----------
        text
            What `map_text` gives.
        """
        for block in self.blocks.get(interval.contig, ()):
            if block.start < interval.end and block.end > interval.start:
                text.seek(block.offset)
                for number in range(block.number, block.number + block.rows):
                    site = _site(number, text.readline().split(None, 5))
                    if site.position < interval.end and site.position + len(site.ref) > interval.start:
                        yield site


def map_text(path: Path) -> mmap.mmap:
    """The table's text, mapped; a compressed one is unpacked to a temporary file that goes away with it.

    Raises
    ------
    MissingExtraError
        It is compressed, and zstandard is not installed.
    InputError
        It is damaged.
    """
    with _open_text(path) as text:
        return mmap.mmap(text.fileno(), 0, access=mmap.ACCESS_READ)


def _open_text(path: Path) -> IO[bytes]:
    if path.suffix != ".zst":
        return path.open("rb")
    try:
        import zstandard
    except ImportError:
        raise MissingExtraError(
            "A compressed .pvar is read with zstandard.",
            where=path,
            got="no package zstandard",
            fix=f"pip install 'hapsight[pgen]', or: {_unpacked_by_hand(path)}",
        ) from None
    text = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    try:
        with path.open("rb") as packed:
            _unpack(path, zstandard.ZstdDecompressor().read_to_iter(packed), text)
    except InputError:
        text.close()
        raise
    except zstandard.ZstdError as error:
        text.close()
        raise InputError("The .pvar is no zstd file that can be read.", where=path, got=error) from error
    text.seek(0)
    return text


def _unpacked_by_hand(path: Path) -> str:
    return f"plink2 --zst-decompress {in_shell(path)} > {in_shell(path.with_suffix(''))}"


def _unpack(path: Path, parts: Iterable[bytes], text: IO[bytes]) -> None:
    """Write what a compressed table unpacks to, up to more than any table does."""
    most = max(_SMALL, _MOST_UNPACKED * path.stat().st_size)
    for part in parts:
        text.write(part)
        if text.tell() > most:
            raise InputError(
                "A compressed .pvar unpacks to far more than a table does; it is not read further.",
                where=path,
                expected=f"up to {_MOST_UNPACKED} times its size, or {_SMALL:,} bytes",
                got=f"more than {most:,} bytes",
                fix=f"if it is what it should be: {_unpacked_by_hand(path)}",
            )


def read_pvar(path: Path) -> Pvar:
    """Go through the table once: what is where, and whether it is sorted.

    Raises
    ------
    InputError
        There is no header line, a row is broken, or rows are not sorted by position within whole contigs.
    """
    blocks: dict[str, list[_Block]] = {}
    many: dict[int, int] = {}
    contig, block, last, number = b"", _Block(0, 0, 0, 0, 0), -1, 0
    with _open_text(path) as text:
        offset, human = _skip_header(text, path)
        for line in text:
            fields = line.split(None, 5)
            site, here = _checked(number, fields, path), fields[0]
            if here != contig or block.rows == _BLOCK:
                _close(blocks, contig, block)
                if here != contig:
                    _require_new(here, blocks, path)
                    contig, last = here, -1
                block = _Block(number, offset, 0, site.position, 0)
            if site.position < last:
                raise _unsorted(path, f"{here.decode()}:{site.position + 1} after {last + 1}")
            if len(site.alts) > 1:
                many[number] = len(site.alts)
            end = max(block.end, site.position + len(site.ref))
            block = block._replace(rows=block.rows + 1, end=end)
            last, number, offset = site.position, number + 1, offset + len(line)
    _close(blocks, contig, block)
    if not number:
        raise InputError("The .pvar has no sites.", where=path)
    return Pvar(path, number, blocks, many, human)


def _skip_header(text: IO[bytes], path: Path) -> tuple[int, bool]:
    """Bytes up to the first row, and whether the chromosomes are a human's."""
    offset, line, human = 0, b"", True
    for line in text:
        offset += len(line)
        if line.startswith(b"##chrSet="):
            human = b"autosomePairCt=22," in line
        if not line.startswith(b"##"):
            break
    if tuple(line.split()[:5]) != _COLUMNS:
        raise InputError(
            "The .pvar has no header line.",
            where=path,
            expected=" ".join(column.decode() for column in _COLUMNS),
            got=line[:60].decode(errors="replace").rstrip() or "an empty file",
            fix="write it again with: plink2 --make-pgen",
        )
    return offset, human


def _site(number: int, fields: list[bytes]) -> Site:
    _, position, name, ref, alts = (part.decode() for part in fields[:5])
    listed = () if alts == "." else tuple(alts.split(","))
    return Site(number, int(position) - 1, ref.upper(), listed, None if name == "." else name)


def _checked(number: int, fields: list[bytes], path: Path) -> Site:
    try:
        site = _site(number, fields)
    except ValueError:
        site = None
    if site is None or not all(site.alts) or site.position < 0:
        raise InputError(
            "A row of the .pvar is broken.",
            where=f"{path}, site {number + 1}",
            expected="contig, position, identifier, REF and ALT",
            got=b" ".join(fields)[:80].decode(errors="replace").rstrip() or "an empty line",
        )
    return site


def _close(blocks: dict[str, list[_Block]], contig: bytes, block: _Block) -> None:
    if block.rows:
        blocks.setdefault(contig.decode(), []).append(block)


def _require_new(contig: bytes, blocks: Mapping[str, object], path: Path) -> None:
    if contig.decode() in blocks:
        raise _unsorted(path, f"contig {contig.decode()} again, after another one")


def _unsorted(path: Path, got: str) -> InputError:
    packed = " vzs" if path.suffix == ".zst" else ""
    name = in_shell(path.with_name(path.name.removesuffix(".zst").removesuffix(".pvar")))
    return InputError(
        "The .pvar is not sorted by contig and position.",
        where=path,
        expected="rows of a contig together, by position",
        got=got,
        fix=f"plink2 --pfile {name}{packed} --make-pgen --sort-vars --out NEW, and give NEW.pgen",
    )
