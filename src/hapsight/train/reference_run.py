"""A reference training from its plan to weights that `hapsight.models.mini` loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file

from hapsight.errors import StoreError
from hapsight.models.mini_files import save_mini
from hapsight.models.mini_net import MiniNet
from hapsight.train.checkpoints import RunFiles, load_state
from hapsight.train.loop import FitResult, Report, fit
from hapsight.train.plan import ReferencePlan
from hapsight.train.reference import reference_task

__all__ = ["best_network", "export", "train_reference"]

RECORD: Final = "training.json"
"""The plan without paths, so that weights know what they were trained on."""

CACHE: Final = "cache"


def train_reference(
    plan: ReferencePlan,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    resume: bool = True,
    progress: Report | None = None,
) -> FitResult:
    """Train, or go on training, in `folder`.

    Raises
    ------
    StoreError
        The folder holds a run of another plan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _keep_record(plan, folder / RECORD, resume)
    task = reference_task(plan, folder / CACHE)
    return fit(task, plan.fit.arguments(), folder, device=device, resume=resume, progress=progress)


def best_network(plan: ReferencePlan, folder: Path) -> MiniNet:
    """The network with the best weights of a run.

    Raises
    ------
    StoreError
        There are none, or they are of another plan's network.
    """
    path = RunFiles(folder).best
    if not path.is_file():
        raise StoreError("A training has no weights yet.", where=path, fix="run `hapsight train reference`")
    network = MiniNet(plan.model.channels(), len(plan.tracks))
    load_state(network, load_file(path), path)
    return network


def export(plan: ReferencePlan, folder: Path, path: Path, told: Mapping[str, object] | None = None) -> None:
    """Write a run's best weights, with their tracks and the record of their training, for `mini` to load.

    Parameters
    ----------
    told
        What else the file shall say of the training.
    """
    training = {"plan": plan.record(), **_outcome(folder), **(told or {})}
    tracks = [track.track_file().track for track in plan.tracks]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_mini(best_network(plan, folder), tracks, path, training)


def _outcome(folder: Path) -> dict[str, Any]:
    """Step and score of the best validation, and how many steps there were."""
    lines = [json.loads(line) for line in RunFiles(folder).metrics.read_text(encoding="utf-8").splitlines()]
    best = max((line for line in lines if "score" in line), key=lambda line: line["score"])
    return {"best_step": best["step"], "best_score": best["score"], "steps": lines[-1]["step"]}


def _keep_record(plan: ReferencePlan, path: Path, resume: bool) -> None:
    text = json.dumps(plan.record(), indent=1)
    if resume and path.is_file() and path.read_text(encoding="utf-8") != text:
        raise StoreError(
            "This folder holds a training by another plan.",
            where=path,
            fix="train into another folder, or start anew (--no-resume)",
        )
    path.write_text(text, encoding="utf-8")
