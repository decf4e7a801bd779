"""Work that travels to another host, which must see the same files and run the same hapsight."""

from __future__ import annotations

import pickle
import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import hapsight
from hapsight.errors import StoreError

__all__ = ["Guard", "do_parcel", "parcel"]

Unit = TypeVar("Unit")

_one_at_a_time: Final = threading.Lock()
"""Units may use every thread of their process, and compiled code that two threads must not enter."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a worker must find as the process that sends the work found it.

    Attributes
    ----------
    mark
        A file in the run folder, with its text: who reads the same there sees the same folder.
    sizes
        Input files with their bytes.
    """

    mark: tuple[Path, str]
    sizes: tuple[tuple[Path, int], ...] = ()
    version: str = field(default_factory=lambda: hapsight.__version__)

    def check(self) -> None:
        """Compare with what is here.

        Raises
        ------
        StoreError
            Something differs: units made here would be wrong, or would not be found.
        """
        host = platform.node()
        if hapsight.__version__ != self.version:
            raise StoreError(
                "A worker has another version of hapsight.",
                where=host,
                expected=self.version,
                got=hapsight.__version__,
                fix="install the same environment on all hosts",
            )
        path, text = self.mark
        if not path.exists() or path.read_text() != text:
            raise StoreError(
                "A worker does not see the run folder.",
                where=f"{host}: {path.parent}",
                fix="set an `output` that all hosts share under one path",
            )
        for path, size in self.sizes:
            got = path.stat().st_size if path.exists() else None
            if got != size:
                raise StoreError(
                    "A worker does not see the same input file.",
                    where=f"{host}: {path}",
                    expected=f"{size:,} bytes",
                    got="no such file" if got is None else f"{got:,} bytes",
                    fix="keep inputs where all hosts find them under one path",
                )


def parcel(work: Callable[[Unit], object], unit: Unit, guard: Guard) -> bytes:
    """A unit, what to do with it, and what to look at first, ready to travel."""
    return pickle.dumps((guard, work, unit), protocol=pickle.HIGHEST_PROTOCOL)


def do_parcel(packed: bytes) -> object:
    """Check that this is a good place, and do the unit.

    Raises
    ------
    StoreError
        This is not a good place.
    """
    guard, work, unit = pickle.loads(packed)
    with _one_at_a_time:
        guard.check()
        return work(unit)
