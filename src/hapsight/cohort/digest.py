"""The digest by which a run knows its inputs again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapsight.errors import InputError

__all__ = ["KnownDigest", "digest_of_input", "file_digest"]

_SETTLED: Final = 2_000_000_000
"""Nanoseconds: a file changed so shortly before it was hashed may change again within its clock's tick."""


@dataclass(frozen=True, slots=True)
class KnownDigest:
    """A file's digest; and its size, its times of change (of bytes, of anything) and its inode at that time.

    Attributes
    ----------
    state
        ``None`` where the file may have changed since without these telling.
    """

    sha256: str
    state: tuple[int, int, int, int] | None


def digest_of_input(path: Path, known: Mapping[str, KnownDigest]) -> KnownDigest:
    """The digest of a file, hashed unless it is `known` by its absolute path and nothing of it has changed.

    Raises
    ------
    InputError
        The file is not there.
    """
    before = known.get(os.path.abspath(path))
    if before is not None and before.state is not None and before.state == _state(path):
        return before
    state, now = _state(path), time.time_ns()
    digest = file_digest(path)
    settled = state is not None and state == _state(path) and max(state[1:3]) < now - _SETTLED
    return KnownDigest(digest, state if settled else None)


def _state(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; the file is streamed.

    Raises
    ------
    InputError
        The file is not there.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError("There is no such file.", where=path) from error
