"""What a machine lacks, in words: packages, room on a disk, memory, threads."""

from __future__ import annotations

import errno
import re
import resource
from typing import Final

__all__ = ["BROUGHT_BY", "in_words", "too_low_a_limit"]

_ROOM: Final = "make room or mend the folder, and run the same command again: finished units are kept"
_MEMORY: Final = "raise the limit (ulimit -v), or take fewer --workers, or a smaller budget_gb in [predict]"

_LEAST: Final = 2 * 2**30
"""Bytes of address space: with less, polars and OpenBLAS end the process when they are loaded."""

BROUGHT_BY: Final = {
    **dict.fromkeys(["numba", "scipy"], "run"),
    **dict.fromkeys(["h5py", "safetensors", "torch"], "models"),
}
"""Packages that the base install lacks, and that modules import unasked -> the extra that has them."""

_OUT_OF_MEMORY: Final = re.compile(
    r"can't allocate memory|cannot allocate memory|not enough memory|out of memory|can't start new thread"
    r"|std::bad_alloc|failed to map segment|DefaultCPUAllocator",
    re.IGNORECASE,
)
"""How libraries say that there is no more: torch, the dynamic linker, Python's threads, C++."""


def too_low_a_limit() -> str | None:
    """What is wrong with this process's limit on address space, if anything is."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or limit >= _LEAST:
        return None
    return (
        "The limit on the memory of a process is too low.\n"
        f"  expected: at least {_LEAST // 1024:,} kB of address space, and more for models\n"
        f"  got: {limit // 1024:,} kB (ulimit -v)\n"
        "  to mend: raise or lift the limit (ulimit -v unlimited)"
    )


def in_words(error: BaseException) -> str | None:
    """An error of the machine as users read it; None where it is one of the program."""
    if isinstance(error, ModuleNotFoundError):
        return _missing(str(error.name).partition(".")[0])
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
        return f"The memory of this process is used up.\n  got: {_line(error)}\n  to mend: {_MEMORY}"
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, BrokenPipeError):
        name = errno.errorcode.get(error.errno, str(error.errno))
        where = f"\n  where: {error.filename}" if error.filename else ""
        got = f"\n  got: {name}: {error.strerror}"
        return f"A file cannot be read or written.{where}{got}\n  to mend: {_ROOM}"
    return None


def _missing(package: str) -> str | None:
    extra = BROUGHT_BY.get(package)
    return extra and (
        f"{package} is not installed, and this command needs it.\n"
        f"  to mend: pip install 'hapsight[{extra}]', or 'hapsight[all]'"
    )


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".rstrip(": ")
