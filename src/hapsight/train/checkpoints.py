"""What a training run keeps on disk: weights, the whole state, and a line of metrics for every step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import safetensors
import torch
from safetensors.torch import load_file, save_file

from hapsight.errors import StoreError
from hapsight.files import temporary_name

__all__ = ["Progress", "RunFiles", "load_state", "write_tensors"]

_MODEL: Final = "model."
_OPTIMISER: Final = "optimiser."


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes
    ----------
    step
        Steps done.
    stale
        Validations since the best one.
    """

    step: int = 0
    best_step: int = 0
    best_score: float = float("-inf")
    stale: int = 0


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of one run in `folder`."""

    folder: Path

    @property
    def best(self) -> Path:
        """Weights of the best validation."""
        return self.folder / "best.safetensors"

    @property
    def metrics(self) -> Path:
        """One JSON object a line: of each step, and of each validation."""
        return self.folder / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """Weights, the optimiser's state and `Progress`, of the last step that was kept."""
        return self.folder / "checkpoint.safetensors"

    def clear(self) -> None:
        """Take the files of an earlier run away."""
        for path in (self.best, self.metrics, self.checkpoint):
            path.unlink(missing_ok=True)

    def append(self, line: Mapping[str, object]) -> None:
        """Add a line of metrics."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def cut_metrics(self, step: int) -> None:
        """Keep the lines of the first `step` steps only: those after them will be written again."""
        if self.metrics.is_file():
            kept = "".join(_whole_lines(self.metrics, step))
            with _part_of(self.metrics) as part:
                part.write_text(kept, encoding="utf-8")

    def save(
        self,
        model: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        progress: Progress,
        arguments: Mapping[str, object],
    ) -> None:
        """Write a checkpoint from which a run goes on to the last bit."""
        tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{_OPTIMISER}{index}.{name}": value for name, value in state.items()}
        note = {"progress": json.dumps(asdict(progress)), "arguments": json.dumps(arguments)}
        write_tensors(self.checkpoint, tensors, note)

    def restore(
        self, model: torch.nn.Module, optimiser: torch.optim.Optimizer, arguments: Mapping[str, object]
    ) -> Progress:
        """Put model and optimiser into the checkpoint's state, and tell how far it had come.

        Raises
        ------
        StoreError
            The checkpoint is damaged, or belongs to a run of other arguments or another model.
        """
        tensors, note = _read(self.checkpoint)
        _require_same(json.loads(note["arguments"]), arguments, self.checkpoint)
        weights = {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)}
        load_state(model, weights, self.checkpoint)
        saved: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(_OPTIMISER):
                index, _, what = name.removeprefix(_OPTIMISER).partition(".")
                saved.setdefault(int(index), {})[what] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": saved})
        return Progress(**json.loads(note["progress"]))


def load_state(model: torch.nn.Module, weights: Mapping[str, torch.Tensor], where: Path) -> None:
    """Load weights that must be those of the model, all of them.

    Raises
    ------
    StoreError
        Names or shapes differ.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise StoreError(
            "A checkpoint is of another model.",
            where=where,
            got=error,
            fix="train into another folder, or start again (resume = false; --no-resume)",
        ) from error


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], note: Mapping[str, str] | None = None
) -> None:
    """Write tensors and a note as safetensors, to a temporary name first."""
    apart = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    with _part_of(path) as part:
        save_file(apart, part, metadata={"format": "pt", **(note or {})})


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            note = file.metadata()
        return load_file(path), note
    except (safetensors.SafetensorError, OSError) as error:
        raise StoreError(
            "A checkpoint cannot be read.",
            where=path,
            got=error,
            fix="delete it, or train into another folder",
        ) from error


def _require_same(saved: Mapping[str, object], given: Mapping[str, object], where: Path) -> None:
    different = sorted(name for name in saved.keys() | given.keys() if saved.get(name) != given.get(name))
    if different:
        raise StoreError(
            "A checkpoint belongs to a run with other arguments.",
            where=where,
            expected=", ".join(f"{name} = {saved.get(name)}" for name in different),
            got=", ".join(f"{name} = {given.get(name)}" for name in different),
            fix="give the same arguments, train into another folder, "
            "or start again (resume = false; --no-resume)",
        )


def _whole_lines(path: Path, step: int) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n") or json.loads(line)["step"] > step:
                return
            yield line


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that takes its place when all went well."""
    part = temporary_name(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
