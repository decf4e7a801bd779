"""Geuvadis as Huang 2023 used it: 421 people's genotypes and LCL expression, hg19.

Its files lie on a server: how large they are, and how to get them whole, a broken download going on.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hapsight.cohort.tables import read_lines
from hapsight.download import TIMEOUT, DownloadError, Progress, begun, download, size_of
from hapsight.errors import InputError
from hapsight.files import write_atomically
from hapsight.run.config import load_config

__all__ = [
    "CONFIG",
    "FILES",
    "UNPACKED",
    "Pending",
    "RemoteFile",
    "fetch",
    "pending",
    "prepare",
    "require_space",
]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A published file.

    Attributes
    ----------
    name
        Its name in the recipe's folder.
    what
        What it is, in words.
    md5
        Of the whole file, where published. Where not, the size that the server says is checked, and the
        SHA-256 of what came is written beside the file (``<name>.sha256``) and checked from then on.
    """

    name: str
    url: str
    what: str
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A file that is not here yet.

    Attributes
    ----------
    size
        Bytes in all, as the server says.
    begun
        Bytes that an earlier, broken download left.
    """

    file: RemoteFile
    size: int
    begun: int

    @property
    def left(self) -> int:
        """Bytes still to come."""
        return self.size - self.begun


def pending(files: Sequence[RemoteFile], folder: Path) -> list[Pending]:
    """Those of the files that are not in the folder, whole; the server is asked for their sizes.

    A file without a published checksum that was put there by hand is taken if it has the server's size.

    Raises
    ------
    InputError
        No connection, or a server that does not have the file or does not say its size.
    """
    found = []
    for file in files:
        path = folder / file.name
        if _is_whole(path, file):
            continue
        size = _size(file)
        if file.md5 is None and not _record(path).exists() and _length(path) == size:
            _write_record(path)
        else:
            found.append(Pending(file, size, begun(path)))
    return found


def require_space(need: int, folder: Path) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises
    ------
    InputError
        Fewer than `need` bytes are free.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < need:
        raise InputError(
            "The disk has too little room for this.",
            where=there,
            expected=f"{need:,} bytes free",
            got=f"{free:,} bytes",
            fix="choose a folder on another disk",
        )


def fetch(wanted: Pending, folder: Path, progress: Progress | None = None, timeout: float = TIMEOUT) -> Path:
    """Bring a file into the folder; it has its name there only when it is whole and its checksum right.

    Raises
    ------
    InputError
        The connection broke (what came is kept, and the next try goes on from there), the server refused, or
        what came is not the published file (it is thrown away).
    """
    file = wanted.file
    path = folder / file.name
    try:
        download(
            file.url,
            path,
            partial(_require_published, file),
            size=wanted.size,
            timeout=timeout,
            progress=progress,
        )
    except DownloadError as error:
        raise _failed(wanted, begun(path), str(error)) from error
    if file.md5 is None:
        _write_record(path)
    return path


def _require_published(file: RemoteFile, path: Path) -> None:
    if file.md5 is not None and (found := _digest(path, "md5")) != file.md5:
        raise InputError(
            "What was downloaded is not the published file: its checksum differs. It was thrown away.",
            where=file.url,
            expected=f"md5 {file.md5}",
            got=f"md5 {found}",
            fix="try again; if it happens again, the published file has changed",
        )


def _size(file: RemoteFile) -> int:
    try:
        return size_of(file.url)
    except DownloadError as error:
        raise InputError(
            f"The server does not say how large {file.name} is.",
            where=file.url,
            expected="the file's size",
            got=str(error),
            fix="look at the connection, and run this again",
        ) from error


def _failed(wanted: Pending, kept: int, got: str) -> InputError:
    return InputError(
        f"The download of {wanted.file.name} broke.",
        where=wanted.file.url,
        expected=f"{wanted.size:,} bytes",
        got=got,
        fix=f"run the same command again: {kept:,} bytes are kept, and it goes on from there",
    )


def _is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether the file is here and is the published one, or the one that was downloaded once."""
    if not path.is_file():
        return False
    if file.md5 is not None:
        return _digest(path, "md5") == file.md5
    record = _record(path)
    return record.is_file() and record.read_text(encoding="ascii").split()[0] == _digest(path, "sha256")


def _record(path: Path) -> Path:
    """Where the SHA-256 of a file without a published checksum is kept, as ``sha256sum`` writes it."""
    return path.with_name(f"{path.name}.sha256")


def _write_record(path: Path) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(f"{_digest(path, 'sha256')}  {path.name}\n", encoding="ascii")
    part.replace(_record(path))


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


_ZENODO: Final = "https://zenodo.org/records/15596289/files/"
_HUANG: Final = (
    "https://raw.githubusercontent.com/ni-lab/personalized-expression-benchmark/"
    "65772e3819a56f740e6221041e3021bbab9a7051/"
)
_EXPRESSION: Final = "GD462.GeneQuantRPKM.50FN.samplename.resk10.txt.gz"

FILES: Final = (
    RemoteFile(
        "geuvadis.pgen", f"{_ZENODO}geuvadis.pgen", "phased genotypes", "2815f8e20f8a0acbdead2b0c0d6a00dc"
    ),
    RemoteFile(
        "geuvadis.psam", f"{_ZENODO}geuvadis.psam", "their people", "3c33d631dceccb43222341485b8658f8"
    ),
    RemoteFile(
        "geuvadis.pvar.zst",
        f"{_ZENODO}geuvadis.pvar.zst",
        "their variants",
        "51aad81267254695191d6284352b0523",
    ),
    RemoteFile(
        _EXPRESSION,
        _ZENODO + _EXPRESSION,
        "expression: RPKM, 10 PEER factors out",
        "500bffeed8e0f770c157e0189e9e50ae",
    ),
    RemoteFile(
        "gene_list.csv",
        f"{_HUANG}data/gene_list.csv",
        "the study's genes",
        "ed1b207b14313dbddef520413cbf9e40",
    ),
    RemoteFile(
        "samples.txt",
        f"{_HUANG}consensus/samples.txt",
        "the study's people",
        "0ba048e6dbb39dc6a6a9835e4528621f",
    ),
    RemoteFile(
        "hg19.fa.gz",
        "https://hgdownload.soe.ucsc.edu/goldenPath/hg19/bigZips/hg19.fa.gz",
        "hg19 sequence; no published checksum",
    ),
)
"""What is downloaded, by the name it gets."""

UNPACKED: Final = 2.0
"""Room that the made files take, as a multiple of what is downloaded."""

CONFIG: Final = """\
# Geuvadis as in Huang 2023: 421 people, LCL expression, hg19.
# More models, once `hapsight models fetch NAME` has brought their weights:
#   [[models]]
#   name = "enformer"      # or basenji2, expecto
name = "Geuvadis (Huang 2023)"
output = "run"
protocol = "huang2023"

[cohort]
genotypes = "geuvadis.pgen"
reference = "hg19.bgzip.fa.gz"
expression = "expression.bed"
genes = "genes.tsv"
samples = "samples.tsv"

[expression]
transform = "none"     # PEER factors are out of the values already

[[models]]
name = "xpresso"
"""

_HEADER: Final = ("TargetID", "Gene_Symbol", "Chr", "Coord")
_GENES: Final = ("gene_id", "chrom", "tss", "gene_name", "strand")
_CHUNK: Final = 1 << 22

Step = Callable[[str], None]
"""Called with what is made next."""


def prepare(folder: Path, say: Step) -> Path:
    """Make the cohort's files from what was downloaded, and the configuration last; what is made is kept.

    Parameters
    ----------
    folder
        Where `FILES` lie.

    Returns
    -------
    The path of ``geuvadis.toml``; one that is there already is the user's and stays as it is.

    Raises
    ------
    InputError
        A file is not laid out as the published one.
    """
    people = _people(folder / "samples.txt")
    steps: Sequence[tuple[str, Callable[[Path], None]]] = (
        ("samples.tsv", lambda path: _write(path, ["sample_id", *people])),
        ("genes.tsv", lambda path: _write_genes(folder / "gene_list.csv", path)),
        ("expression.bed", lambda path: _write_expression(folder / _EXPRESSION, people, path)),
        ("hg19.bgzip.fa.gz", lambda path: _write_reference(folder / "hg19.fa.gz", path)),
    )
    for name, make in steps:
        if not (folder / name).exists():
            say(name)
            make(folder / name)
    config = folder / "geuvadis.toml"
    if not config.exists():
        write_atomically(config, CONFIG.encode())
    load_config(config)
    return config


def _people(path: Path) -> list[str]:
    people = [line.strip() for line in read_lines(path, "sample list") if line.strip()]
    if not people or any(len(name.split()) > 1 for name in people) or len(set(people)) < len(people):
        raise _other_layout(path, "one person a line, none twice", f"{len(people)} lines")
    return people


def _write_genes(path: Path, out: Path) -> None:
    """The study's list, ``gene_id,chrom,tss,name,strand`` without a header, under hapsight's columns."""
    rows = [line.split(",") for line in read_lines(path, "gene list") if line]
    bad = next((row for row in rows if len(row) != len(_GENES) or row[4] not in ("+", "-")), None)
    if bad is not None or not rows:
        raise _other_layout(path, "lines of gene,contig,TSS,name,strand", ",".join(bad or []) or "nothing")
    _write(out, ["\t".join(_GENES), *("\t".join(row) for row in rows)])


def _write_expression(path: Path, people: Sequence[str], out: Path) -> None:
    """The study's people as a phenotype BED, sorted by place."""
    lines = list(read_lines(path, "expression"))
    header = lines[0].split("\t") if lines else []
    missing = [person for person in people if person not in header]
    if tuple(header[:4]) != _HEADER or missing:
        wanted = f"columns {', '.join(_HEADER)}, then people with {', '.join(missing[:3]) or people[0]}"
        raise _other_layout(path, wanted, ", ".join(header[:6]) or "an empty file")
    rows = [line.split("\t") for line in lines[1:]]
    uneven = next((row for row in rows if len(row) != len(header) or not row[3].isdecimal()), None)
    if uneven is not None:
        raise _other_layout(
            path, f"{len(header)} fields, the fourth a place", f"{uneven[0]}: {len(uneven)} fields"
        )
    chosen = [header.index(person) for person in people]
    rows.sort(key=lambda row: (row[2], int(row[3])))
    made = (
        "\t".join([row[2], str(int(row[3]) - 1), row[3], row[0], *(row[i] for i in chosen)]) for row in rows
    )
    _write(out, ["\t".join(["#chr", "start", "end", "phenotype_id", *people]), *made])


def _write_reference(path: Path, out: Path) -> None:
    """The same sequence in blocks, which can be indexed, and its index."""
    import pysam
    from pysam.utils import SamtoolsError

    part = out.with_name(f".{out.name}.{os.getpid()}.part.gz")
    indexes = [Path(f"{part}{suffix}") for suffix in (".fai", ".gzi")]
    try:
        with pysam.BGZFile(str(part), "w", None) as file:
            for block in _unpacked(path):
                file.write(block)
        pysam.faidx(str(part))
        for index, suffix in zip(indexes, (".fai", ".gzi"), strict=True):
            index.replace(f"{out}{suffix}")
        part.replace(out)
    except (OSError, SamtoolsError) as error:
        raise InputError("The reference cannot be compressed in blocks.", where=path, got=error) from error
    finally:
        for left in (part, *indexes):
            left.unlink(missing_ok=True)


def _unpacked(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            yield from _blocks(file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            "The reference is damaged.", where=path, got=error, fix="delete it and run the recipe again"
        ) from error


def _blocks(file: gzip.GzipFile) -> Iterator[bytes]:
    while block := file.read(_CHUNK):
        yield block


def _write(path: Path, lines: Sequence[str]) -> None:
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _other_layout(path: Path, expected: str, got: str) -> InputError:
    return InputError("A file is not laid out as the published one.", where=path, expected=expected, got=got)
