"""Whether a run is finished, and nothing that it was made from or that it wrote has changed since."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any, Final

from hapsight.errors import HapsightError
from hapsight.files import own_entries
from hapsight.models.catalogue import WEIGHTS, published_weights
from hapsight.models.own import PREFIX
from hapsight.models.weights import find
from hapsight.run.config import Config, ModelConfig, as_toml
from hapsight.run.run_folder import OWN, RunFolder, versions

__all__ = ["MadeFrom", "is_finished", "made_from", "mark_finished", "named_files"]

MadeFrom = Mapping[str, object]
"""What a run is made from; JSON."""

_BESIDE: Final = (".tbi", ".csi", ".fai", ".gzi")
"""Indexes, which lie beside a file and are named by no one."""


def is_finished(config: Config, notes: Sequence[str]) -> bool:
    """Whether `hapsight run` would do nothing but write the same again.

    False wherever sizes, times and inodes of files cannot tell: of models of other packages, and of
    folders of weights.
    """
    before = RunFolder(config.output).record().get("finished")
    return before is not None and before == _digest(config, made_from(config, notes))


def mark_finished(config: Config, made: MadeFrom | None) -> None:
    """Remember that all stages are done; of what, `made_from` said when they began."""
    RunFolder(config.output).record_finished(_digest(config, made))


def made_from(
    config: Config, notes: Sequence[str], inputs: Sequence[Mapping[str, Any]] = ()
) -> MadeFrom | None:
    """The configuration, the code, and the state of all files that a run reads.

    Parameters
    ----------
    inputs
        Entries of the record: where one has a ``state``, of when the file was read, that counts, whatever
        has become of the file since.

    Returns
    -------
    mapping or None
        None where not all files are known.
    """
    weights = [_weights(model) for model in config.models]
    if any(paths is None for paths in weights):
        return None
    paths = [str(entry["path"]) for entry in RunFolder(config.output).record().get("inputs", [])]
    named = chain.from_iterable(files for _, files in named_files(as_toml(config) | {"output": ""}))
    read = {*paths, *named, *chain.from_iterable(paths or () for paths in weights)}
    states = _states(path + suffix for path in read for suffix in ("", *_BESIDE))
    known = {entry["path"]: [entry["path"], *entry["state"]] for entry in inputs if entry["state"]}
    return {
        "config": as_toml(config),
        "notes": list(notes),
        "code": [_states(map(str, Path(str(files("hapsight"))).rglob("*.py"))), versions(), _installed()],
        "read": sorted(({state[0]: state for state in states} | known).values()),
    }


def _digest(config: Config, made: MadeFrom | None) -> str | None:
    """Of what a run is made from, and of all files that it wrote; None where not all are known."""
    if made is None:
        return None
    parts = {**made, "written": _states(_written(RunFolder(config.output).path))}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _weights(model: ModelConfig) -> list[str] | None:
    """Files of a model's weights, with all beside them; ``None`` where hapsight does not know them."""
    from hapsight.models.registry import is_registered

    if model.table is not None:  # is named by the configuration
        return []
    if is_registered(model.name) or model.name not in {"mini", *WEIGHTS}:
        return None
    if model.weights and os.path.exists(model.weights):
        found = [Path(model.weights)]
    elif model.name == "mini":
        found = [Path(str(files("hapsight"))) / "data" / "mini"]
    else:
        try:
            named = published_weights(model.name, model.weights)
        except HapsightError:  # random weights
            return None
        found = [path for file in named if (path := find(file))]
    if not found or any(path.is_dir() for path in found):
        return None
    return [str(beside) for path in found for beside in path.parent.iterdir()]


def named_files(value: Any) -> Iterator[tuple[str, list[str]]]:
    """What in a configuration names files, or folders of them, by absolute paths; each with its files."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from named_files(one)
    elif isinstance(value, str) and (files := _files_of(value)):
        yield value, files


def _files_of(text: str) -> list[str]:
    path = text.removeprefix(PREFIX)
    if not os.path.isabs(path):
        return []
    if "{chrom}" in path:
        return sorted(glob.glob("*".join(glob.escape(part) for part in path.split("{chrom}"))))
    return [path] if os.path.isfile(path) else sorted(str(p) for p in Path(path).rglob("*") if p.is_file())


def _written(folder: Path) -> Iterator[str]:
    """Every file of the run, but for its record and what may be deleted."""
    kept = OWN - {"run.json", "run.log", "decoded"}
    yield from (entry.path for entry in own_entries(folder, kept) if entry.is_file(follow_symlinks=False))


def _installed() -> list[str]:
    """Packages with their versions, of which some are used where they are there."""
    return sorted(found.name for folder in sys.path for found in Path(folder).glob("*.dist-info"))


def _states(paths: Iterator[str] | map[str]) -> list[list[object]]:
    """Path, size, times of change and inode of those that are there."""
    found: list[list[object]] = []
    for path in sorted(set(paths)):
        if os.path.isfile(path):
            state = os.stat(path)
            found.append([path, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino])
    return found
