"""Published weights on disk: where they lie, whether they are whole, and how to get them."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import platformdirs

from hapsight.disk import temporary_name
from hapsight.errors import WeightsError

__all__ = [
    "WeightsFile",
    "cache_folder",
    "fetch",
    "find",
    "locate",
    "sha256_of",
    "verify",
    "verify_recorded",
]

CHUNK: Final = 1 << 16
"""Bytes read at a time."""

Progress = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in all."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A published file of weights, or one that goes with them.

    Attributes
    ----------
    model, name
        The model, and the short name under which its weights are asked for (``"GM12878"``).
    filename
        Its path in the weights folder.
    sha256, md5
        Hexadecimal digests of the whole file, where published. Where neither is, `fetch` records what came,
        and `verify_recorded` holds the file to it.
    size
        Bytes, where published.
    terms
        What a user must accept before it is fetched.
    """

    model: str
    name: str
    filename: str
    url: str
    sha256: str | None
    size: int | None
    licence: str
    md5: str | None = None
    terms: str | None = None

    @property
    def short_filename(self) -> str:
        """The other name under which the file is looked for, such as ``GM12878.h5``."""
        return self.name + Path(self.filename).suffix

    @property
    def facts(self) -> str:
        """What is known of the whole file, in words."""
        size = f"{self.size:,} bytes" if self.size is not None else "a whole file"
        digests = [f"{kind} {value}" for kind, value in (("sha256", self.sha256), ("md5", self.md5)) if value]
        return ", ".join([size, *(digests or ["no published checksum"])])


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
            expected=file.facts,
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
        raise _differs("the published one", path, sha256, found)


def verify_recorded(path: Path) -> None:
    """Check a file without a published digest against the one recorded when it was fetched, or first used.

    One that was put there by hand is recorded now, where its folder can be written to.

    Raises
    ------
    WeightsError
        The digests differ.
    """
    found, recorded = sha256_of(path), _recorded(path)
    if recorded is None:
        with suppress(OSError):
            _write_record(path, found)
    elif found != recorded:
        raise _differs("the one that was fetched", path, recorded, found)


def _recorded(path: Path) -> str | None:
    """The digest that was recorded of a file, if any was; of a damaged record, one that no file has."""
    record = _record(path)
    return next(iter(record.read_text(errors="replace").split()), "none") if record.is_file() else None


def _write_record(path: Path, digest: str) -> None:
    part = temporary_name(path)
    part.write_text(f"{digest}  {path.name}\n", encoding="ascii")
    part.replace(_record(path))


def _differs(which: str, path: Path, expected: str, found: str) -> WeightsError:
    return WeightsError(
        f"A file of weights is not {which}: its checksum differs.",
        where=path,
        expected=f"sha256 {expected}",
        got=f"sha256 {found} ({path.stat().st_size:,} bytes)",
        fix="delete the file and fetch it again; weights of your own are given by path, not by name"
        + (
            f"; if you put another there on purpose, delete {_record(path)}"
            if _record(path).is_file()
            else ""
        ),
    )


def _record(path: Path) -> Path:
    """Where the digest of a fetched file is kept, as ``sha256sum`` writes it."""
    return path.with_name(path.name + ".sha256")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fetch(file: WeightsFile, *, timeout: float = 30.0, progress: Progress | None = None) -> Path:
    """Bring a file of weights into the cache, unless it is there and whole already.

    The download goes to a temporary name and is renamed when its checksum is right, so a file of the
    published name is a whole file. Where no SHA-256 is published, that of what came is written beside it, and
    what comes later must be the same.

    Parameters
    ----------
    timeout
        Seconds of silence after which the download is given up.

    Raises
    ------
    WeightsError
        No connection, a refusal, or an answer that is not the file, or another than the first time; says
        where to put it by hand.
    """
    present = find(file)
    if present is not None and _is_whole(present, file):
        return present
    target = cache_folder() / file.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = temporary_name(target)
        try:
            with part.open("wb") as handle:
                digest = _download(file, handle, timeout, progress)
            if file.sha256 is None:
                _require_first(file, target, digest)
                _write_record(target, digest)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except urllib.error.HTTPError as error:
        error.close()
        raise _failed(file, f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _failed(file, str(getattr(error, "reason", error)) or type(error).__name__) from error
    return target


def _require_first(file: WeightsFile, target: Path, digest: str) -> None:
    """Refuse what differs from what came the first time, where nobody has published what it should be."""
    first = _recorded(target)
    if file.md5 is None and first not in (None, digest):
        raise WeightsError(
            f"The weights {file.name} of {file.model} are not those that were fetched before.",
            where=file.url,
            expected=f"sha256 {first}",
            got=f"sha256 {digest}",
            fix=f"ask its publisher; if the new file is the one you want, delete {_record(target)}",
        )


def _is_whole(path: Path, file: WeightsFile) -> bool:
    """Whether a file is what is published, as far as that is known, or what was fetched once."""
    if file.sha256 is not None:
        return sha256_of(path) == file.sha256
    if file.md5 is not None:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "md5").hexdigest() == file.md5
    return _recorded(path) in (None, sha256_of(path))


def _download(file: WeightsFile, part: IO[bytes], timeout: float, progress: Progress | None) -> str:
    """Write the file to `part` and return its SHA-256; raises unless it is the published one."""
    sha256, md5, done = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with urllib.request.urlopen(file.url, timeout=timeout) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise _failed(file, "a web page instead of the file (a proxy or a login page?)")
        length = answer.headers.get("Content-Length")
        size = file.size if file.size is not None else int(length) if length else None
        while block := answer.read(CHUNK):
            done += len(block)
            if size is not None and done > size:
                raise _failed(file, "an answer that is longer than the file")
            part.write(block)
            sha256.update(block)
            md5.update(block)
            if progress is not None:
                progress(done, size or done)
    if size is not None and done < size:
        raise _failed(file, f"an answer cut short after {done:,} bytes")
    for kind, wanted, found in (("sha256", file.sha256, sha256), ("md5", file.md5, md5)):
        if wanted is not None and found.hexdigest() != wanted:
            raise _failed(file, f"{done:,} bytes with {kind} {found.hexdigest()}")
    return sha256.hexdigest()


def _failed(file: WeightsFile, got: str) -> WeightsError:
    return WeightsError(
        f"The weights {file.name} of {file.model} could not be downloaded.",
        where=file.url,
        expected=file.facts,
        got=got,
        fix=f"try again, or {_by_hand(file)}",
    )


def _by_hand(file: WeightsFile) -> str:
    return f"download {file.url} by hand and put it at {cache_folder() / file.filename}"
