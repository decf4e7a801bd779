"""Every reader of hapsight with a good file for it, and what must hold of whatever it reads.

A reader may refuse a file by a `HapsightError`, and nothing else. Where it reads one, every row of the file
must be in the result, or counted among what was left out.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hapsight.cohort.reference import Reference
from hapsight.errors import HapsightError
from tests.cohort.files import write_fasta


@dataclass(frozen=True)
class Target:
    """A reader, the name of its file, a good file, and the check of what was read.

    Attributes
    ----------
    attempt
        Read the file at a path; raises AssertionError where something was dropped silently.
    tries
        In `make verify`; fewer where each starts a process.
    """

    name: str
    filename: str
    good: Callable[[], bytes]
    attempt: Callable[[Path], None]
    tries: int = 1_500


def survives(target: Target, content: bytes, folder: Path) -> bool:
    """Whether the reader took the content; False where it refused it. Anything else is raised."""
    path = folder / target.filename
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.attempt(path)
    except HapsightError as error:
        if not error.what.strip():
            raise AssertionError("an error without words") from error
        return False
    return True


def rows_of(path: Path) -> list[str]:
    """Lines of a text table, without empty ones and ``##`` comments; the header is the first."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    lines = (line.rstrip("\r") for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return [line for line in lines if line and not line.startswith("##")]


def companion(path: Path) -> Reference:
    """A small reference beside the file."""
    fasta = path.parent / "companion.fa"
    return Reference(fasta if fasta.exists() else write_fasta(fasta))


def text(rows: list[list[object]], separator: str = "\t") -> bytes:
    return "".join(separator.join(map(str, row)) + "\n" for row in rows).encode()
