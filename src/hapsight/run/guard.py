"""Work that travels to another host, which must see the same files and run the same hapsight."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import platform
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import numpy as np
import polars as pl

import hapsight
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.join import Cohort
from hapsight.cohort.pgen import PgenFile
from hapsight.cohort.split import SplitGenotypes
from hapsight.errors import StoreError
from hapsight.files import write_atomically
from hapsight.train.splits import Split

__all__ = ["Guard", "Spool", "do_parcel", "parcel"]

Unit = TypeVar("Unit")

_one_at_a_time: Final = threading.Lock()
"""Units may use every thread of their process, and compiled code that two threads must not enter."""

_PACKAGES: Final = ("numpy", "torch")
"""Beside hapsight itself, those whose versions numbers may depend on."""

_OF_PEOPLE: Final = (
    *(np.ndarray, pl.DataFrame, pl.Series),
    *(Cohort, GenotypeFile, PgenFile, SplitGenotypes, Split),
)
"""What of a unit may say something of people."""


@cache
def _versions() -> dict[str, str]:
    """Versions of what is installed here; how a wheel was built (``+cpu``) may differ between hosts."""
    found = {"hapsight": hapsight.__version__}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package).partition("+")[0]
    return found


@dataclass(frozen=True, slots=True)
class Guard:
    """What a worker must find as the process that sends the work found it.

    Attributes
    ----------
    mark
        A file in the run folder, with its text: who reads the same there sees the same folder.
    sizes
        Input files with their bytes.
    versions
        Of packages; of one that the sender does not have, a worker may have any.
    """

    mark: tuple[Path, str]
    sizes: tuple[tuple[Path, int], ...] = ()
    versions: Mapping[str, str] = field(default_factory=_versions)

    def check(self) -> None:
        """Compare with what is here.

        Raises
        ------
        StoreError
            Something differs: units made here would be wrong, or would not be found.
        """
        host = platform.node()
        for package, wanted in self.versions.items():
            found = _versions().get(package, "not installed")
            if found != wanted:
                raise StoreError(
                    f"A worker has another version of {package}.",
                    where=host,
                    expected=wanted,
                    got=found,
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


class Spool:
    """What is of people, left in the run folder, so that it does not travel through the scheduler.

    Arrays, tables and genotypes (which know everybody's name) lie in files there, for their owner alone and
    as long as the crew is at work; a parcel has their digests. What a killed run leaves is swept up by the
    next lock.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[int, tuple[object, str]] = {}

    @classmethod
    @contextmanager
    def beside(cls, mark: Path) -> Iterator[Self]:
        """A spool in the run folder of this mark; it is taken away in the end."""
        spool = cls(mark.parent / "crew")
        spool.folder.mkdir(mode=0o700, exist_ok=True)
        try:
            yield spool
        finally:
            for digest in {digest for _, digest in spool._kept.values()}:
                _spooled(spool.folder, digest).unlink(missing_ok=True)
            with suppress(OSError):  # another's file is in it
                spool.folder.rmdir()

    def keep(self, value: object) -> str:
        """Write a value unless it is there; returns its digest."""
        if id(value) not in self._kept:
            data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
            digest = hashlib.sha256(data).hexdigest()
            write_atomically(_spooled(self.folder, digest), data)
            self._kept[id(value)] = value, digest
        return self._kept[id(value)][1]


def _spooled(folder: Path, digest: str) -> Path:
    """A value's file: under a temporary name of hapsight's form, which a lock sweeps up."""
    return folder / f".hapsight-{digest[:32]}.tmp"


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, spool: Spool) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._spool = spool

    def persistent_id(self, value: object) -> str | None:
        return self._spool.keep(value) if isinstance(value, _OF_PEOPLE) else None


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, folder: Path) -> None:
        super().__init__(file)
        self._folder = folder

    def persistent_load(self, digest: str) -> Any:
        data = _spooled(self._folder, digest).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError("A file of the crew is not what was written.", where=self._folder)
        return pickle.loads(data)


def parcel(work: Callable[[Unit], object], unit: Unit, guard: Guard, spool: Spool) -> bytes:
    """A unit, what to do with it, and what to look at first, ready to travel; data of people stay behind."""
    inner = io.BytesIO()
    _Packer(inner, spool).dump((work, unit))
    return pickle.dumps((guard, spool.folder, inner.getvalue()), protocol=pickle.HIGHEST_PROTOCOL)


def do_parcel(packed: bytes) -> object:
    """Check that this is a good place, and do the unit.

    Raises
    ------
    StoreError
        This is not a good place.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line; read when a model comes
    guard, folder, inner = pickle.loads(packed)
    with _one_at_a_time:
        guard.check()
        work, unit = _Unpacker(io.BytesIO(inner), folder).load()
        return work(unit)
