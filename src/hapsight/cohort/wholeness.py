"""Whether a file is there, how it is compressed, and whether it is whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from hapsight.errors import InputError

__all__ = ["is_bgzip", "is_gzip", "require_end", "require_file"]

_BGZF_END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def _head(path: Path, count: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(count)


def require_file(path: Path, what: str) -> None:
    """Refuse a path that is no file; `what` names its part in the cohort."""
    if not os.path.isfile(path):  # False for a name that no system takes
        raise InputError(
            f"The {what} file is not there.", where=path, fix="check the path in the configuration"
        )


def is_gzip(path: Path) -> bool:
    """Whether the file begins as gzip, block-wise or not."""
    return _head(path, 2) == b"\x1f\x8b"


def is_bgzip(path: Path) -> bool:
    """Whether the file begins as block gzip (BGZF), the kind that can be indexed."""
    head = _head(path, 18)
    return head[:4] == b"\x1f\x8b\x08\x04" and head[12:14] == b"BC"


def require_end(path: Path) -> None:
    """Refuse a bgzipped file without the empty block that ends every whole one (SAM specification, 4.1.2).

    Raises
    ------
    InputError
        The block is missing: the file was cut off.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_BGZF_END)))
        tail = file.read()
    if tail != _BGZF_END:
        raise InputError(
            "The file is cut off: the block that ends a bgzip file is missing.",
            where=path,
            expected="the 28-byte end-of-file block",
            got=f"{size:,} bytes that end otherwise",
            fix="copy or make the file again, and its index after it",
        )
