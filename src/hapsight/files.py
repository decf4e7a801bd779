"""Names of files and folders for whatever a gene, track, model or arm is called.

What is hapsight's own on a disk that others use too: temporary names, and the lock of a folder.

The digest by which a run knows its inputs again, and what tells that one was changed meanwhile.

Compiled code that several processes want at once.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import pickle
import platform
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from hapsight.errors import InputError, StoreError

__all__ = [
    "FileStates",
    "KnownDigest",
    "compiled",
    "compiled_by_one",
    "digest_of_input",
    "file_digest",
    "file_name",
    "file_state",
    "locked",
    "open_own",
    "own_entries",
    "size_and_time",
    "sweep",
    "temporary_name",
    "write_atomically",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_PLAIN: Final = re.compile(r"[a-z0-9_][a-z0-9_=+-]*(?:\.\d+)*")
"""Lower case only: some file systems hold `A` and `a` to be one name."""

_LATER: Final = re.compile(r"(?!\d+(?:\.|$))")
"""No part but the first begins with a number alone: behind a dot that is the version of the part before."""

_GENE_ID: Final = re.compile(
    r"ENS[A-Z]*\d+(?:\.\d+)?(?:_PAR_Y)?|FBgn\d+|WBGene\d+|AT[1-5CM]G\d+|Y[A-P][LR]\d+[CW](?:-[A-Z])?"
)
"""Identifiers of Ensembl and GENCODE, FlyBase, WormBase, TAIR and SGD, which have capitals by rule."""

_ANY_CASE: Final = re.compile(_GENE_ID.pattern, re.IGNORECASE)
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
_LIKE_CHANGED: Final = re.compile(r".*-[0-9a-f]{16}")
_LONGEST: Final = 120
"""Bytes, which leaves as many for suffixes and what temporary names add."""


def file_name(*parts: str, suffix: str = "") -> str:
    """Safe name of a file or folder; different parts have different names, also where case is ignored.

    A plain name stays as it is: lower case, digits and ``_=+-``, dots before numbers alone; or a gene's
    identifier of a public annotation. In any other, what is not plain becomes a dash, and a digest of the
    parts as they were follows. So no name leaves its folder, hides its file, or meets another's.

    Parameters
    ----------
    parts
        Joined by dots.
    suffix
        Appended as it is, such as ``".html"``.

    Examples
    --------
    >>> file_name("ENSG00000100075.5", suffix=".html"), file_name("enformer", "default")
    ('ENSG00000100075.5.html', 'enformer.default')
    >>> file_name("my model"), file_name("my-model")
    ('my-model-7db48f1c5dcfc02a', 'my-model')
    """
    name = ".".join(parts)
    if len(name) <= _LONGEST and _stays(parts) and not _RESERVED.fullmatch(name):
        return name + suffix
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9._=+-]+", "-", name)[: _LONGEST - 17].strip(".-") or "x"
    return f"{'_' if _RESERVED.fullmatch(readable.lower()) else ''}{readable}-{digest}{suffix}"


def _stays(parts: tuple[str, ...]) -> bool:
    """Whether the parts can be joined as they are, and taken apart again."""
    return all(map(_plain, parts)) and all(map(_LATER.match, parts[1:]))


def _plain(part: str) -> bool:
    if _ANY_CASE.fullmatch(part):
        return _GENE_ID.fullmatch(part) is not None
    return _PLAIN.fullmatch(part) is not None and not _LIKE_CHANGED.fullmatch(part)


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


def write_atomically(path: Path, data: bytes | Callable[[Path], None]) -> None:
    """Write a file so that it is either the old one or the whole new one, even if the machine dies.

    Several processes, of several hosts, may write one file: each has a temporary name of its own.

    Parameters
    ----------
    data
        What is to be in it, or what writes that under another name.

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
                if callable(data):
                    data(temporary)
                else:
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
    handle = open_own(path, os.O_RDWR)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _not_locked(path, error) from None
        yield handle
    finally:
        os.close(handle)


def compiled(**options: Any) -> Callable[[_Function], _Function]:
    """Compile a function with Numba, without Python's lock; its code is kept, where there is a place for it.

    Numba refuses to compile where it can write neither beside the source nor into the user's cache, as in a
    container that is read-only: each process then compiles for itself (`NUMBA_CACHE_DIR` names a place).

    Parameters
    ----------
    options
        Of `numba.njit`.
    """
    from numba import njit

    def made(function: _Function) -> _Function:
        try:
            loop: _Function = njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:
            loop = njit(nogil=True, **options)(function)
        return loop

    return made


@contextmanager
def compiled_by_one(kernel: Any) -> Iterator[None]:
    """Let one process compile a Numba function of which compiled code is kept; others wait, and load it.

    Holds a lock beside the kept code for as long as this process has not called `kernel` before. Where there
    is no lock to be had, each process compiles for itself.
    """
    kept = kernel.stats.cache_path
    handle = None if kernel.signatures or kept is None else _lock_in(Path(kept))
    if handle is not None:
        _forget_unreadable(Path(kept))
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _forget_unreadable(folder: Path) -> None:
    """Remove indexes of kept code that name a class which is not there any more, as after an upgrade.

    Numba reads them, and fails, before it sees that they are of an older source.
    """
    for index in folder.glob("*.nbi"):
        try:
            with index.open("rb") as file:
                pickle.load(file), pickle.load(file)  # Numba's version, and the signatures
        except Exception:  # whatever their classes' modules raise
            with suppress(OSError):  # another user's, or gone already
                index.unlink()


def _lock_in(folder: Path) -> int | None:
    """A lock in a folder, once nobody else holds it; ``None`` where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open_own(folder / ".hapsight-compiles", os.O_RDWR)
    except (OSError, StoreError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        os.close(handle)
        return None
    return handle


def open_own(path: Path, how: int) -> int:
    """Open a plain file that is nobody else's, such as a lock or a log; it is made where it is not there.

    Parameters
    ----------
    how
        Flags of `os.open`: to read, write, append.

    Raises
    ------
    StoreError
        It is a link, or no plain file.
    OSError
        It cannot be opened or made.
    """
    try:
        handle = os.open(path, how | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
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
    if before is not None and before.state is not None and before.state == file_state(path):
        return before
    state, now = file_state(path), time.time_ns()
    digest = file_digest(path)
    settled = state is not None and state == file_state(path) and max(state[1:3]) < now - _SETTLED
    return KnownDigest(digest, state if settled else None)


def file_state(path: Path) -> tuple[int, int, int, int] | None:
    """What tells that a file has changed: size, times of change (of bytes, of anything), inode."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def size_and_time(path: Path) -> tuple[int, int] | None:
    """Size, and when bytes were written last in nanoseconds; ``None`` where there is no file."""
    state = file_state(path)
    return None if state is None else state[:2]


@dataclass(frozen=True, slots=True)
class FileStates:
    """Files that are read for as long as a process lives, as they were when they were opened.

    Attributes
    ----------
    host
        Whose view of them it is: another one may see other times, and takes its own when this comes there.
    states
        Each file with its `size_and_time`; links to it, and whose it is, may change.
    """

    host: str
    states: tuple[tuple[Path, tuple[int, int] | None], ...]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> FileStates:
        """As they are now."""
        return cls(platform.node(), tuple((path, size_and_time(path)) for path in paths))

    def __reduce__(self) -> tuple[object, ...]:
        return _states_on, (self.host, self.states)

    def require(self) -> None:
        """Refuse files that were written to since.

        Raises
        ------
        InputError
            Names the first, and what to do.
        """
        for path, state in self.states:
            now = size_and_time(path)
            if now != state:
                raise InputError(
                    "A file was changed while it was open: from now on it may hold other data.",
                    where=path,
                    expected="the file as it was when the cohort was opened",
                    got="no such file" if now is None else f"{now[0]:,} bytes, written since",
                    fix="open the cohort again (of a command: run it again); "
                    "data that change are best given a name of their own",
                )


def _states_on(host: str, states: tuple[tuple[Path, tuple[int, int] | None], ...]) -> FileStates:
    return FileStates(host, states) if host == platform.node() else FileStates.of(path for path, _ in states)


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
