"""Published weights on disk: where they lie, whether they are whole, and how to get them."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import platformdirs

from hapsight.errors import WeightsError

__all__ = ["WeightsFile", "cache_folder", "fetch", "find", "locate", "sha256_of", "verify"]

CHUNK: Final = 1 << 16
"""Bytes read at a time."""

Progress = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in all."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A published file of weights.

    Attributes
    ----------
    model, name
        The model, and the short name under which its weights are asked for (``"GM12878"``).
    filename
        Its name where it is published.
    sha256
        Hexadecimal digest of the whole file.
    size
        Bytes.
    """

    model: str
    name: str
    filename: str
    url: str
    sha256: str
    size: int
    licence: str

    @property
    def short_filename(self) -> str:
        """The other name under which the file is looked for, such as ``GM12878.h5``."""
        return self.name + Path(self.filename).suffix


def cache_folder() -> Path:
    """Find the folder of weights: ``HAPSIGHT_WEIGHTS``, or ``hapsight/weights`` in the user's cache."""
    chosen = os.environ.get("HAPSIGHT_WEIGHTS")
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("hapsight", appauthor=False) / "weights"


def find(file: WeightsFile) -> Path | None:
    """Path of the file in the cache, by its published and then by its short name, or None."""
    candidates = (cache_folder() / name for name in (file.filename, file.short_filename))
    return next((path for path in candidates if path.is_file()), None)


def locate(file: WeightsFile) -> Path:
    """Path of the file in the cache; its contents are not read (see `verify`).

    Raises
    ------
    WeightsError
        The file is not there; says where to put it and how to fetch it.
    """
    path = find(file)
    if path is None:
        raise WeightsError(
            f"The weights {file.name} of {file.model} are not on this machine.",
            where=cache_folder() / file.filename,
            expected=f"{file.size:,} bytes, sha256 {file.sha256}",
            fix=f"run `hapsight models fetch {file.model}`, or {_by_hand(file)}",
        )
    return path


def verify(path: Path, sha256: str) -> None:
    """Check a file against its published digest.

    Raises
    ------
    WeightsError
        The digests differ.
    """
    found = sha256_of(path)
    if found != sha256:
        raise WeightsError(
            "A file of weights is not the published one: its checksum differs.",
            where=path,
            expected=f"sha256 {sha256}",
            got=f"sha256 {found} ({path.stat().st_size:,} bytes)",
            fix="delete the file and fetch it again; weights of your own are given by path, not by name",
        )


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fetch(file: WeightsFile, *, timeout: float = 30.0, progress: Progress | None = None) -> Path:
    """Bring a file of weights into the cache, unless it is there and whole already.

    The download goes to a temporary name and is renamed when its checksum is right, so a file of the
    published name is a whole file.

    Parameters
    ----------
    timeout
        Seconds of silence after which the download is given up.

    Raises
    ------
    WeightsError
        No connection, a refusal, or an answer that is not the file; says where to put it by hand.
    """
    present = find(file)
    if present is not None and sha256_of(present) == file.sha256:
        return present
    target = cache_folder() / file.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as handle:
                _download(file, handle, timeout, progress)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except urllib.error.HTTPError as error:
        error.close()
        raise _failed(file, f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _failed(file, str(getattr(error, "reason", error)) or type(error).__name__) from error
    return target


def _download(file: WeightsFile, part: IO[bytes], timeout: float, progress: Progress | None) -> None:
    """Write the file to `part`; raises unless it is the published one to the last byte."""
    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(file.url, timeout=timeout) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise _failed(file, "a web page instead of the file (a proxy or a login page?)")
        while block := answer.read(CHUNK):
            done += len(block)
            if done > file.size:
                raise _failed(file, "an answer that is longer than the file")
            part.write(block)
            digest.update(block)
            if progress is not None:
                progress(done, file.size)
    if done < file.size:
        raise _failed(file, f"an answer cut short after {done:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise _failed(file, f"{done:,} bytes with sha256 {digest.hexdigest()}")


def _failed(file: WeightsFile, got: str) -> WeightsError:
    return WeightsError(
        f"The weights {file.name} of {file.model} could not be downloaded.",
        where=file.url,
        expected=f"{file.size:,} bytes, sha256 {file.sha256}",
        got=got,
        fix=f"try again, or {_by_hand(file)}",
    )


def _by_hand(file: WeightsFile) -> str:
    return f"download {file.url} by hand and put it at {cache_folder() / file.filename}"
