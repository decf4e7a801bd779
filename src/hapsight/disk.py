"""What is hapsight's own on a disk that others use too: temporary names, and the lock of a folder."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hapsight.errors import StoreError

__all__ = ["locked", "own_entries", "sweep", "temporary_name", "write_atomically"]

_TEMPORARY: Final = re.compile(r"\.hapsight-[0-9a-f]{32}\.tmp")

_OTHERS: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK})
"""What ``flock`` fails with where another process holds the lock; anything else is a fault of the disk."""


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other process of any host has, to be renamed to `path` when it is whole.

    However long the name of `path` is, this one fits. What a killed process leaves there, `sweep` finds.
    """
    return path.with_name(f".hapsight-{uuid.uuid4().hex}.tmp")


def own_entries(folder: Path, names: Collection[str]) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder under these names, or as temporary files, and all that lies below; links too.

    Links are not followed. Other things in the folder are not looked at.
    """
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        if entry.name in names or _TEMPORARY.fullmatch(entry.name):
            yield from _below(entry)


def _below(entry: os.DirEntry[str]) -> Iterator[os.DirEntry[str]]:
    yield entry
    if entry.is_dir(follow_symlinks=False) and not _TEMPORARY.fullmatch(entry.name):
        with os.scandir(entry) as found:
            entries = list(found)
        for inner in entries:
            yield from _below(inner)


def sweep(folder: Path, names: Collection[str]) -> None:
    """Take away what killed processes left under temporary names in a folder's own parts.

    Raises
    ------
    StoreError
        One of these parts is a link, or holds one: what is behind it may be another's.
    """
    for entry in list(own_entries(folder, names)):
        if entry.is_symlink():
            raise _link(Path(entry.path))
        if _TEMPORARY.fullmatch(entry.name):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the whole new one, even if the machine dies.

    Several processes, of several hosts, may write one file: each has a temporary name of its own.

    Raises
    ------
    StoreError
        The disk is full, or the folder cannot be written to.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            "A file cannot be written.",
            where=path,
            got=error.strerror or error,
            fix="make room or mend the folder, and run the same command again: finished units are kept",
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a lock file for this process; the lock goes with the process, however it ends.

    Yields
    ------
    int
        The open file, to read and write.

    Raises
    ------
    StoreError
        Another process holds it, it is a link or no plain file, or the file system has no locks.
    OSError
        It cannot be opened or made.
    """
    handle = _open_lock(path)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _not_locked(path, error) from None
        yield handle
    finally:
        os.close(handle)


def _open_lock(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(path) from None
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(handle)
        raise _link(path)
    return handle


def _link(path: Path) -> StoreError:
    return StoreError(
        "There is a link in the run folder, and what is behind it is not touched.",
        where=path,
        expected="a file or folder of its own",
        got=f"a link to {path.readlink()}" if path.is_symlink() else "a hard link, or no plain file",
        fix="take it away (unlink it), or set `output` to a folder on the disk where the files are to be",
    )


def _not_locked(path: Path, error: OSError) -> StoreError:
    if error.errno in _OTHERS:
        return StoreError(
            "Another hapsight process works in this run folder.",
            where=path.parent,
            fix="wait for it, or set another `output`",
        )
    code = errno.errorcode.get(error.errno or 0, "unknown")
    return StoreError(
        "The run folder cannot be locked: its file system takes no locks (flock).",
        where=path,
        got=f"{code}: {error.strerror or error}",
        fix="set an `output` on another file system, or have this one mounted with locks (Lustre: -o flock)",
    )
