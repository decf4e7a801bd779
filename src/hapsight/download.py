"""The one downloader: a file comes whole and checked or not at all, and a broken download goes on."""

from __future__ import annotations

import fcntl
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["DownloadError", "Progress", "begun", "download", "size_of"]

CHUNK: Final = 1 << 20
"""Bytes read at a time."""

TIMEOUT: Final = 60.0
"""Seconds of silence after which a download is given up."""

Progress = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in all."""


class DownloadError(Exception):
    """What came instead of the file, in words."""


def download(
    url: str,
    target: Path,
    check: Callable[[Path], None],
    *,
    size: int | None = None,
    timeout: float = TIMEOUT,
    progress: Progress | None = None,
) -> None:
    """Bring a file to `target`, which has its name there only when it is whole and `check` accepts it.

    What a broken download left is kept beside `target`, and asked for no more, unless the file on the server
    is another one by now.

    Parameters
    ----------
    check
        Called with the path of what came; what it refuses, by any error, is thrown away. An interrupt is no
        error: the file is checked again next time.
    size
        Bytes in all, where known; else as the server says.

    Raises
    ------
    DownloadError
        No connection, a refusal, an answer that is not the file, or another process that downloads it now.
    """
    with _in_words():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _part(target)
        with _held(part):
            if size is None or _length(part) != size:
                _complete(url, part, size, timeout, progress)
            try:
                check(part)
            except Exception:
                _forget(part)
                raise
            _tag(part).unlink(missing_ok=True)
            part.replace(target)


def begun(target: Path) -> int:
    """Bytes that an earlier, broken download of this file left."""
    return _length(_part(target))


def size_of(url: str) -> int:
    """Bytes of a file, as the server says.

    Raises
    ------
    DownloadError
        No connection, or a server that does not have the file or does not say its size.
    """
    with _in_words(), urllib.request.urlopen(_plain(url, "HEAD"), timeout=TIMEOUT) as answer:
        length = answer.headers.get("Content-Length")
        if length is None or not length.isdecimal():
            raise DownloadError("an answer without a size")
        return int(length)


def _complete(url: str, part: Path, size: int | None, timeout: float, progress: Progress | None) -> None:
    """Append what is missing; begin anew where the server cannot go on, or where too much is there."""
    if size is not None and _length(part) > size:
        _forget(part)
    try:
        answer = urllib.request.urlopen(_request(url, part), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not _length(part):
            raise
        error.close()
        _forget(part)
        answer = urllib.request.urlopen(_request(url, part), timeout=timeout)
    with answer:
        if answer.headers.get_content_type() == "text/html":
            raise DownloadError("a web page instead of the file (a proxy or a login page?)")
        _append(answer, part, size, progress)


def _append(
    answer: http.client.HTTPResponse, part: Path, size: int | None, progress: Progress | None
) -> None:
    goes_on = answer.status == http.client.PARTIAL_CONTENT
    done = _length(part) if goes_on else 0
    length = answer.headers.get("Content-Length")
    size = size if size is not None else done + int(length) if length else None
    _tag(part).write_text(answer.headers.get("ETag") or "", encoding="utf-8")
    with part.open("ab" if goes_on else "wb") as handle:
        while block := answer.read(CHUNK):
            done += len(block)
            if size is not None and done > size:
                handle.close()
                _forget(part)
                raise DownloadError("an answer that is longer than the file")
            handle.write(block)
            if progress is not None:
                progress(done, size or done)
    if size is not None and done < size:
        raise DownloadError(f"an answer cut short after {done:,} bytes")


def _request(url: str, part: Path) -> urllib.request.Request:
    """Ask for what is missing, or for all where the file on the server is another one by now."""
    request, there, tag = _plain(url), _length(part), _tag(part)
    if there:
        request.add_header("Range", f"bytes={there}-")
        if tag.exists() and (known := tag.read_text(encoding="utf-8")):
            request.add_header("If-Range", known)
    return request


def _plain(url: str, method: str = "GET") -> urllib.request.Request:
    """A request for the bytes as they are."""
    return urllib.request.Request(url, headers={"Accept-Encoding": "identity"}, method=method)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(str(getattr(error, "reason", error)) or type(error).__name__) from error


@contextmanager
def _held(part: Path) -> Iterator[None]:
    """One process at a time appends to a file; one that another has taken away or renamed is not held."""
    with part.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadError("another process that downloads it now") from None
        if not part.exists() or os.fstat(handle.fileno()).st_ino != part.stat().st_ino:
            raise DownloadError("another process that downloads it now")
        try:
            yield
        finally:
            if not _length(part):
                _forget(part)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag(part).unlink(missing_ok=True)


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _tag(part: Path) -> Path:
    """Where the server's mark of the version that was begun is kept."""
    return part.with_name(f"{part.name}.etag")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
