"""Files that lie on a server: how large they are, and how to get them whole, a broken download going on."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hapsight.errors import InputError, MissingExtraError

__all__ = ["Pending", "RemoteFile", "fetch", "pending", "require_pooch", "require_space"]

CHUNK: Final = 1 << 20
"""Bytes read at a time."""

TIMEOUT: Final = 60.0
"""Seconds of silence after which a download is given up."""

Progress = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in all."""


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


def require_pooch() -> Any:
    """The package that downloads.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        import pooch
    except ImportError as error:
        raise MissingExtraError(
            "Recipes download with pooch, which is not installed.", fix="pip install 'hapsight[recipes]'"
        ) from error
    return pooch


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
            found.append(Pending(file, size, _length(_part(folder, file))))
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
    MissingExtraError
        pooch is not installed.
    """
    pooch, file = require_pooch(), wanted.file
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / file.name, _part(folder, file)
    download = _Resuming(part, wanted.size, progress, timeout)
    path.unlink(missing_ok=True)  # what is there is not the file, or it would not be wanted
    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(
                file.url,
                None if file.md5 is None else f"md5:{file.md5}",
                fname=file.name,
                path=folder,
                downloader=download,
            )
    except urllib.error.HTTPError as error:
        error.close()
        raise _failed(wanted, part, f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _failed(wanted, part, str(getattr(error, "reason", error)) or type(error).__name__) from error
    except ValueError as error:  # pooch: the checksum differs, and the file is gone
        raise InputError(
            "What was downloaded is not the published file: its checksum differs. It was thrown away.",
            where=file.url,
            expected=f"md5 {file.md5}",
            got=f"md5 {download.md5}",
            fix="try again; if it happens again, the published file has changed",
        ) from error
    if file.md5 is None:
        _write_record(path)
    return path


class _Resuming:
    """A downloader for pooch that goes on where a broken download ended."""

    def __init__(self, part: Path, size: int, progress: Progress | None, timeout: float) -> None:
        self.part, self.size, self.progress, self.timeout = part, size, progress, timeout
        self.md5 = ""

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url`; what pooch then checks and renames is `output_file`."""
        if _length(self.part) > self.size:
            self.part.unlink()
        if _length(self.part) < self.size:
            self._download(url)
        if _length(self.part) != self.size:
            raise ConnectionError(f"the answer ended after {_length(self.part):,} of {self.size:,} bytes")
        self.md5 = _digest(self.part, "md5")
        _tag(self.part).unlink(missing_ok=True)
        self.part.replace(output_file)

    def _download(self, url: str) -> None:
        with urllib.request.urlopen(self._request(url), timeout=self.timeout) as answer:
            goes_on = answer.status == http.client.PARTIAL_CONTENT
            _tag(self.part).write_text(answer.headers.get("ETag") or "", encoding="utf-8")
            done = _length(self.part) if goes_on else 0
            with self.part.open("ab" if goes_on else "wb") as handle:
                while block := answer.read(CHUNK):
                    done += len(block)
                    if done > self.size:
                        raise ConnectionError(f"the answer is longer than {self.size:,} bytes")
                    handle.write(block)
                    if self.progress is not None:
                        self.progress(done, self.size)

    def _request(self, url: str) -> urllib.request.Request:
        """Ask for what is missing, or for all where the file on the server is another one by now."""
        request, begun, tag = _plain(url), _length(self.part), _tag(self.part)
        if begun:
            request.add_header("Range", f"bytes={begun}-")
            if tag.exists() and (known := tag.read_text(encoding="utf-8")):
                request.add_header("If-Range", known)
        return request


def _plain(url: str, method: str = "GET") -> urllib.request.Request:
    """A request for the bytes as they are."""
    return urllib.request.Request(url, headers={"Accept-Encoding": "identity"}, method=method)


def _size(file: RemoteFile) -> int:
    try:
        with urllib.request.urlopen(_plain(file.url, "HEAD"), timeout=TIMEOUT) as answer:
            length = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        error.close()
        raise _unreachable(file, f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(file, str(getattr(error, "reason", error)) or type(error).__name__) from error
    if length is None or not length.isdecimal():
        raise _unreachable(file, "an answer without a size")
    return int(length)


def _unreachable(file: RemoteFile, got: str) -> InputError:
    return InputError(
        f"The server does not say how large {file.name} is.",
        where=file.url,
        expected="the file's size",
        got=got,
        fix="look at the connection, and run this again",
    )


def _failed(wanted: Pending, part: Path, got: str) -> InputError:
    return InputError(
        f"The download of {wanted.file.name} broke.",
        where=wanted.file.url,
        expected=f"{wanted.size:,} bytes",
        got=got,
        fix=f"run the same command again: {_length(part):,} bytes are kept, and it goes on from there",
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


def _part(folder: Path, file: RemoteFile) -> Path:
    return folder / f".{file.name}.part"


def _tag(part: Path) -> Path:
    """Where the server's mark of the version that was begun is kept."""
    return part.with_name(f"{part.name}.etag")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """The words are ours: pooch says nothing."""
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
