"""Published weights on disk: where they lie, whether they are whole, and how to get them."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import platformdirs

from hapsight.disk import temporary_name
from hapsight.download import DownloadError, Progress, begun, download
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
    return _digest(path, "sha256")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def fetch(file: WeightsFile, *, timeout: float = 30.0, progress: Progress | None = None) -> Path:
    """Bring a file of weights into the cache, unless it is there and whole already.

    A file of the published name is a whole file: it gets its name when its checksum is right, and a broken
    download goes on where it was. Where no SHA-256 is published, that of what came is written beside it, and
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
    check = partial(_require_published, file, target)
    try:
        download(file.url, target, check, size=file.size, timeout=timeout, progress=progress)
    except DownloadError as error:
        raise _failed(file, str(error), begun(target)) from error
    if file.sha256 is None:
        _write_record(target, sha256_of(target))
    return target


def _require_published(file: WeightsFile, target: Path, part: Path) -> None:
    """Refuse what has another checksum than the published one, or than what came the first time."""
    for kind, wanted in (("sha256", file.sha256), ("md5", file.md5)):
        if wanted is not None and (found := _digest(part, kind)) != wanted:
            raise _failed(file, f"{part.stat().st_size:,} bytes with {kind} {found}")
    if file.sha256 is None:
        _require_first(file, target, sha256_of(part))


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
        return _digest(path, "md5") == file.md5
    return _recorded(path) in (None, sha256_of(path))


def _failed(file: WeightsFile, got: str, kept: int = 0) -> WeightsError:
    return WeightsError(
        f"The weights {file.name} of {file.model} could not be downloaded.",
        where=file.url,
        expected=file.facts,
        got=got,
        fix=f"try again{f' ({kept:,} bytes are kept, and it goes on from there)' if kept else ''}, "
        f"or {_by_hand(file)}",
    )


def _by_hand(file: WeightsFile) -> str:
    return f"download {file.url} by hand and put it at {cache_folder() / file.filename}"
