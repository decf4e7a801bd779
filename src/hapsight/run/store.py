"""Finished units of work on disk: whole or absent, and only for the inputs that they were made from.

A unit is a few tables and a *seal*, a small JSON file that is written last. The seal holds the unit's key
and each table's digest. A unit without its seal, with another key, or with a table that is not as sealed
counts as not done. The key is a digest of everything that its numbers depend on, the version of the code
among it; that of a block of genes is one such digest for each gene, so any block that holds a gene as it is
wanted will do. Units of several configurations lie side by side.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import polars as pl

from hapsight.cohort.tables import as_parquet
from hapsight.errors import ConfigError, IncompleteError
from hapsight.files import write_atomically

__all__ = [
    "STAGES",
    "NamedUnit",
    "StoredUnit",
    "UnitKey",
    "UnitStore",
    "block_key",
    "content_key",
    "require_writable",
    "run_first",
]

FORMAT = 1
"""Version of the layout on disk; part of every key."""

STAGES: Final = {
    "predict": 2,
    "explain": 2,
    "saturation": 2,
    "gradients": 2,
    "baseline": 4,
    "imported weights": 3,
    "eqtl": 4,
    "informed": 3,
    "priors linear": 1,
    "train on people": 3,
    "homologs": 1,
    "evaluate": 2,
    "direction": 1,
    "drivers": 2,
}
"""Version of each stage's code; part of its keys.

Raise a stage's number in the same commit as any change after which it would write other numbers, rows or
columns from the same input: its units are then computed anew. A stage that is made from another's key
follows that one by itself: explain, saturation and gradients follow predict; informed and priors linear
follow baseline; evaluate, direction and drivers follow whatever they judge.
"""


def run_first(stage: str) -> str:
    """How an error says that a stage has to be run first; command lines put the configuration's path in.

    Examples
    --------
    >>> run_first("eqtl")
    'run `hapsight eqtl` with this configuration'
    """
    if stage not in ("predict", "baseline", "evaluate"):
        return f"run `hapsight {stage}` with this configuration"
    return f"run `hapsight run` with this configuration, or only `hapsight {stage}`"


def content_key(stage: str, parts: Mapping[str, object]) -> str:
    """Digest of everything that a unit's numbers depend on; `parts` must be JSON."""
    whole = {"format": FORMAT, "stage": [stage, STAGES[stage]], **parts}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def block_key(keys: Iterable[str]) -> str:
    """Key of a unit that is made of parts, each with a key of its own."""
    return ".".join(keys)


def require_writable(path: Path | None, folder: bool = False) -> None:
    """Refuse a file, or a folder, that could not be written; before the work, not after it. None: no output.

    Raises
    ------
    ConfigError
        It is a folder where a file is wanted, or the other way round; or the folder it would lie in is not
        there or cannot be written to.
    """
    if path is None:
        return
    above = path if folder else path.parent
    while folder and not above.exists():
        above = above.parent
    if not folder and path.is_dir():
        fault = "a folder of that name"
    elif not above.is_dir():
        fault = f"no folder {above}{', but a file of that name' if above.exists() else ''}"
    elif not os.access(path if path.exists() else above, os.W_OK):
        fault = "no permission to write there"
    else:
        return
    raise ConfigError(
        "The output cannot be written; nothing was computed.",
        where=path,
        expected="a folder, there or to be made" if folder else "a file in a folder that is there",
        got=fault,
    )


class NamedUnit(Protocol):
    """What a store calls a unit, and the digest of all that its numbers depend on."""

    @property
    def name(self) -> str:
        """What its files are called by."""

    @property
    def key(self) -> str:
        """What it was made from."""


class UnitKey(NamedTuple):
    """A unit of which nothing else is known."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class UnitStore:
    """The units of one stage, each with the same tables, in one folder.

    Attributes
    ----------
    made_by
        The command that computes them; empty where whoever reads them does.
    """

    folder: Path
    made_by: str = ""

    def write(self, unit: str, key: str, tables: Mapping[str, pl.DataFrame]) -> None:
        """Write a unit's tables, then its seal."""
        digests = {}
        for name, table in tables.items():
            data = as_parquet(table)
            digests[name] = hashlib.sha256(data).hexdigest()
            write_atomically(self._table(unit, name), data)
        seal = json.dumps({"key": key, "tables": digests}, indent=1)
        write_atomically(self._seal(unit), seal.encode())

    def done(self, unit: str, key: str) -> bool:
        """Whether the unit is whole and was made from the inputs of this key."""
        try:
            seal = json.loads(self._seal(unit).read_bytes())
            return bool(seal["key"] == key and seal["tables"]) and all(
                hashlib.sha256(self._table(unit, name).read_bytes()).hexdigest() == digest
                for name, digest in seal["tables"].items()
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def sealed(self) -> dict[str, str]:
        """Name and key of every unit that has a seal, whatever it was made from."""
        found = {path.stem: _sealed_key(path) for path in sorted(self.folder.glob("*.json"))}
        return {name: key for name, key in found.items() if key is not None}

    def name_for(self, unit: str, key: str) -> str:
        """`unit`; where a unit of another key is called so, with a digest of the key behind it."""
        if _sealed_key(self._seal(unit)) in (None, key):
            return unit
        return f"{unit}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def read(self, units: Iterable[NamedUnit], table: str) -> pl.DataFrame:
        """One table of all `units`, end to end; what is read is as it was sealed.

        Raises
        ------
        IncompleteError
            Some units are not done; they are listed.
        """
        found = [(unit.name, self._frame(unit, table)) for unit in units]
        self._refuse([name for name, part in found if part is None], len(found))
        return pl.concat([part for _, part in found if part is not None])

    def _frame(self, unit: NamedUnit, table: str) -> pl.DataFrame | None:
        data = self._sealed(unit, table)
        return None if data is None else pl.read_parquet(io.BytesIO(data))

    def paths(self, units: Sequence[NamedUnit], table: str) -> list[Path]:
        """The file of each unit with one table, as it was sealed: for what is too large to be read whole.

        Raises
        ------
        IncompleteError
            As `read`.
        """
        self._refuse([unit.name for unit in units if self._sealed(unit, table) is None], len(units))
        return [self._table(unit.name, table) for unit in units]

    def require(self, units: Sequence[NamedUnit]) -> None:
        """Refuse units that are not done, by their seals: before work that would read them in the end.

        Raises
        ------
        IncompleteError
            As `read`.
        """
        missing = [unit.name for unit in units if _sealed_key(self._seal(unit.name)) != unit.key]
        self._refuse(missing, len(units))

    def _refuse(self, missing: Sequence[str], asked: int) -> None:
        if not missing:
            return
        command = run_first(self.made_by) if self.made_by else "run the same command again"
        raise IncompleteError(
            f"{len(missing)} of {asked} units of work are not done.",
            where=self.folder,
            got=", ".join(missing[:20]) + (" ..." if len(missing) > 20 else ""),
            fix=f"{command}: finished units are kept, the rest is computed",
        )

    def _sealed(self, unit: NamedUnit, table: str) -> bytes | None:
        """The file of a table of a unit; None where it is not there, or not as the seal has it."""
        try:
            seal = json.loads(self._seal(unit.name).read_bytes())
            data = self._table(unit.name, table).read_bytes()
            same = seal["key"] == unit.key and seal["tables"][table] == hashlib.sha256(data).hexdigest()
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return data if same else None

    def _table(self, unit: str, name: str) -> Path:
        return self.folder / f"{unit}.{name}.parquet"

    def _seal(self, unit: str) -> Path:
        return self.folder / f"{unit}.json"


def _sealed_key(path: Path) -> str | None:
    """The key in a seal; None without a seal that can be read."""
    try:
        return str(json.loads(path.read_bytes())["key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


class StoredUnit:
    """A unit of work whose tables go into a store.

    Attributes
    ----------
    name
        What the store calls it.
    key
        Digest of all that its numbers depend on.
    store
        Where its tables go.
    """

    __slots__ = ()
    name: str
    key: str
    store: UnitStore

    def done(self) -> bool:
        """Whether its tables are there, whole and of this key."""
        return self.store.done(self.name, self.key)
