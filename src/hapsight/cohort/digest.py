"""The digest by which a run knows its inputs again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hapsight.errors import InputError

__all__ = ["file_digest"]


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
