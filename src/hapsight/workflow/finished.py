"""Whether a run is finished, and nothing that it was made from or that it wrote has changed since."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any, Final

from hapsight.config import Config, ModelConfig, as_toml
from hapsight.disk import own_entries
from hapsight.errors import HapsightError
from hapsight.models.catalogue import WEIGHTS, published_weights
from hapsight.models.weights import find
from hapsight.workflow.run_folder import OWN, RunFolder, versions

__all__ = ["is_finished", "mark_finished"]

_BESIDE: Final = (".tbi", ".csi", ".fai", ".gzi")
"""Indexes, which lie beside a file and are named by no one."""


def is_finished(config: Config, notes: Sequence[str]) -> bool:
    """Whether `hapsight run` would do nothing but write the same again.

    False wherever sizes, times and inodes of files cannot tell: of models of other packages, and of
    folders of weights.
    """
    before = RunFolder(config.output).record().get("finished")
    return before is not None and before == _digest(config, notes)


def mark_finished(config: Config, notes: Sequence[str]) -> None:
    """Remember that all stages are done."""
    RunFolder(config.output).record_finished(_digest(config, notes))


def _digest(config: Config, notes: Sequence[str]) -> str | None:
    """Of the configuration, the code, and all files read and written; ``None`` where not all are known."""
    weights = [_weights(model) for model in config.models]
    if any(paths is None for paths in weights):
        return None
    folder = RunFolder(config.output)
    inputs = [str(entry["path"]) for entry in folder.record().get("inputs", [])]
    read = {*inputs, *_named(as_toml(config)), *chain.from_iterable(paths or () for paths in weights)}
    parts = {
        "config": as_toml(config),
        "notes": list(notes),
        "code": [_states(map(str, Path(str(files("hapsight"))).rglob("*.py"))), versions(), _installed()],
        "read": _states(path + suffix for path in read for suffix in ("", *_BESIDE)),
        "written": _states(_written(folder.path)),
    }
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


def _named(value: Any) -> Iterator[str]:
    """Every file that a configuration names."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _named(one)
    elif isinstance(value, str) and "{chrom}" in value:
        yield from glob.glob("*".join(glob.escape(part) for part in value.split("{chrom}")))
    elif isinstance(value, str) and os.path.isfile(value):
        yield value


def _written(folder: Path) -> Iterator[str]:
    """Every file of the run, but for its record and what may be deleted."""
    kept = OWN - {"run.json", "decoded"}
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
