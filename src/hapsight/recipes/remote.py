"""Files that lie on a server: how large they are, and how to get them whole, a broken download going on."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hapsight.download import TIMEOUT, DownloadError, Progress, begun, download, size_of
from hapsight.errors import InputError

__all__ = ["Pending", "RemoteFile", "fetch", "pending", "require_space"]


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
