"""The training loop: AdamW, warm-up and cosine, checkpoints, early stopping; what is trained is a `Task`.

A run that was killed goes on from its checkpoint and ends with the weights, to the last bit, of one that
was not: every step's batch and random numbers follow from the seed and the step alone.

Training on several processes, as ``torchrun`` starts them: gradients are averaged, and nothing else.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import torch
import torch.distributed as dist

from hapsight.errors import ConfigError, TrainingError
from hapsight.seeds import torch_seed
from hapsight.train.checkpoints import Progress, RunFiles, write_tensors

__all__ = [
    "FitResult",
    "Processes",
    "Report",
    "Task",
    "TrainArguments",
    "fit",
    "learning_rate",
    "own_device",
    "processes",
]


@dataclass(frozen=True, slots=True)
class Processes:
    """Which process it is, of those that train together.

    Attributes
    ----------
    device
        Where tensors lie that go between processes.
    rank, world
        Number of the process from 0, and of all.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the process that writes files."""
        return self.rank == 0

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace tensors of one dtype by their mean over the processes."""
        listed = list(tensors)
        if self.world == 1 or not listed:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in listed])
        dist.all_reduce(flat)
        parts = torch.split(flat / self.world, [tensor.numel() for tensor in listed])
        for tensor, mean in zip(listed, parts, strict=True):
            tensor.copy_(mean.view_as(tensor))

    def average_number(self, value: float) -> float:
        """Give the mean of a number over the processes."""
        held = torch.tensor(value, dtype=torch.float64, device=self._numbers)
        self.average([held])
        return float(held)

    def share_number(self, value: float) -> float:
        """Give the first process's number."""
        held = torch.tensor(value, dtype=torch.float64, device=self._numbers)
        self.share([held])
        return float(held)

    @property
    def _numbers(self) -> torch.device:
        return self.device if self.world > 1 else torch.device("cpu")

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace tensors by those of the first process."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.world > 1:
            dist.barrier()


def own_device(device: torch.device | str) -> torch.device:
    """The device of this process: of several GPUs the one that ``LOCAL_RANK`` says (not measured)."""
    found = torch.device(device)
    if str(found) == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return found


@contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """The processes that ``RANK`` and ``WORLD_SIZE`` tell of (set by ``torchrun``); else this one alone.

    They talk by nccl on CUDA and by gloo elsewhere. A group that exists already is used, and left open.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if dist.is_initialized():
        yield Processes(device, dist.get_rank(), dist.get_world_size())
    elif world == 1:
        yield Processes(device)
    else:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        try:
            yield Processes(device, dist.get_rank(), dist.get_world_size())
        finally:
            dist.destroy_process_group()


Report = Callable[[str, int, int], None]
"""Called with the stage's name, steps done and steps in all."""


@dataclass(frozen=True, slots=True)
class TrainArguments:
    """How long and how fast to learn.

    Attributes
    ----------
    max_steps
        Steps of the optimiser; the cosine ends there.
    learning_rate
        The highest, at the end of the warm-up.
    weight_decay
        AdamW's; biases and other vectors are spared.
    warmup_steps
        Steps over which the learning rate rises linearly.
    clip_norm
        Gradients of a larger norm are scaled down to it.
    accumulate
        Micro-batches a step, on every process.
    validate_every
        Steps between validations; there is one before the first step and one after the last.
    patience
        Validations in a row without a better score, after which training stops.
    seed
        Of dropout and whatever else draws from torch's generator within a step.
    checkpoint_every
        Steps between checkpoints.

    Raises
    ------
    ConfigError
        A number out of range.
    """

    max_steps: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    clip_norm: float
    accumulate: int
    validate_every: int
    patience: int
    seed: int
    checkpoint_every: int

    def __post_init__(self) -> None:
        floors: dict[str, float] = dict.fromkeys(("max_steps", "accumulate", "validate_every"), 1)
        floors |= {"patience": 1, "checkpoint_every": 1, "warmup_steps": 0, "seed": 0, "weight_decay": 0.0}
        for name, floor in floors.items():
            self._require(name, getattr(self, name) >= floor, f"at least {floor:g}")
        for name in ("learning_rate", "clip_norm"):
            self._require(name, getattr(self, name) > 0, "more than 0")

    def _require(self, name: str, fine: bool, expected: str) -> None:
        value = getattr(self, name)
        if not (fine and math.isfinite(value)):
            raise ConfigError(f"The '{name}' of training is out of range.", expected=expected, got=value)


class Task(Protocol):
    """What is learnt."""

    @property
    def model(self) -> torch.nn.Module:
        """What holds the parameters; those with ``requires_grad`` are trained.

        The task itself puts it into training or evaluation mode.
        """
        ...

    def loss(self, step: int, micro: int, rank: int, world: int) -> torch.Tensor:
        """Mean loss of one micro-batch, a scalar with its graph.

        The batch follows from the task's own seed and these numbers alone. Micro-batch `micro` of process
        `rank` should be number ``micro * world + rank`` of the step, so that processes are like accumulation.
        """
        ...

    def validate(self) -> dict[str, float]:
        """``"score"``, larger is better, and whatever else is worth a line in the metrics."""
        ...


@dataclass(frozen=True, slots=True)
class FitResult:
    """What came of a run.

    Attributes
    ----------
    best_step, best_score
        Where validation was best; 0 is before the first step.
    steps
        Steps done.
    stopped
        Why it ended.
    best
        Weights (safetensors, the model's state dict) of `best_step`.
    metrics
        JSON lines: ``step, loss, grad_norm, learning_rate`` of each step, and ``step, seconds`` with what
        `Task.validate` gave of each validation.
    """

    best_step: int
    best_score: float
    steps: int
    stopped: Literal["patience", "max_steps"]
    best: Path
    metrics: Path


def fit(
    task: Task,
    arguments: TrainArguments,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    resume: bool = True,
    progress: Report | None = None,
) -> FitResult:
    """Train a task's model; it ends with the weights of the last step, and the best ones are in a file.

    Processes that ``torchrun`` started train together, and the first one writes the files.

    Parameters
    ----------
    folder
        Of this run alone; made where it is not there.
    resume
        Go on from the checkpoint in `folder`, if there is one; else what is there is overwritten.

    Raises
    ------
    TrainingError
        Loss, gradient or score is not finite, or no parameter wants a gradient.
    StoreError
        The checkpoint is damaged, or of another model or other arguments.
    """
    device = own_device(device)
    task.model.to(device)
    with torch.random.fork_rng(), processes(device) as group:
        run = _Run(task, arguments, RunFiles(folder), group)
        run.begin(resume)
        return run.train(progress)


def learning_rate(arguments: TrainArguments, step: int) -> float:
    """Learning rate of a step, counted from 0: linear warm-up, then half a cosine down to 0 at the end."""
    if step < arguments.warmup_steps:
        return arguments.learning_rate * (step + 1) / arguments.warmup_steps
    rest = max(1, arguments.max_steps - arguments.warmup_steps)
    return arguments.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - arguments.warmup_steps) / rest))


class _Run:
    """One run: a task, its optimiser and files, and how far it has come."""

    def __init__(self, task: Task, arguments: TrainArguments, files: RunFiles, group: Processes) -> None:
        self.task, self.arguments, self.files, self.group = task, arguments, files, group
        self.parameters = [p for p in task.model.parameters() if p.requires_grad]
        if not self.parameters:
            raise TrainingError("There is nothing to train.", expected="a parameter that requires a gradient")
        self.optimiser = torch.optim.AdamW(_decay_groups(self.parameters, arguments.weight_decay))
        self.done = Progress()

    def begin(self, resume: bool) -> None:
        """Go on from the checkpoint, or start anew with a validation of what is to be trained."""
        going_on = resume and self.files.checkpoint.is_file()
        self.group.wait()
        if going_on:
            self.done = self.files.restore(self.task.model, self.optimiser, asdict(self.arguments))
        elif self.group.first:
            self.files.folder.mkdir(parents=True, exist_ok=True)
            self.files.clear()
        if going_on and self.group.first:
            self.files.cut_metrics(self.done.step)
        with torch.no_grad():
            self.group.share([*self.parameters, *self.task.model.buffers()])
        if not going_on:
            self._validate()
            self._save()

    def train(self, report: Report | None) -> FitResult:
        """Take the steps that are left."""
        arguments = self.arguments
        while self.done.step < arguments.max_steps and self.done.stale < arguments.patience:
            self._step(self.done.step)
            self.done = replace(self.done, step=self.done.step + 1)
            last = self.done.step == arguments.max_steps
            if last or self.done.step % arguments.validate_every == 0:
                self._validate()
                last = last or self.done.stale >= arguments.patience
            if last or self.done.step % arguments.checkpoint_every == 0:
                self._save()
            if report is not None and self.group.first:
                report("train", self.done.step, arguments.max_steps)
        self.group.wait()
        done = self.done
        stopped: Literal["patience", "max_steps"] = (
            "max_steps" if done.step == arguments.max_steps else "patience"
        )
        return FitResult(
            done.best_step, done.best_score, done.step, stopped, self.files.best, self.files.metrics
        )

    def _step(self, step: int) -> None:
        rate = learning_rate(self.arguments, step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._gradients(step)
        with torch.no_grad():
            self.group.average(p.grad for p in self.parameters if p.grad is not None)
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, self.arguments.clip_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_finite(step + 1, loss, norm, rate)
        self.optimiser.step()
        self._log({"step": step + 1, "loss": loss, "grad_norm": norm, "learning_rate": rate})

    def _gradients(self, step: int) -> float:
        """Add up the micro-batches' gradients; gives the mean loss over them and the processes."""
        count, (rank, world) = self.arguments.accumulate, (self.group.rank, self.group.world)
        total = 0.0
        for micro in range(count):
            torch.manual_seed(torch_seed(self.arguments.seed, "a batch", step, micro * world + rank))
            loss = self.task.loss(step, micro, rank, world) / count
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return self.group.average_number(total)

    def _validate(self) -> None:
        started = time.monotonic()
        found = self.task.validate() if self.group.first else {}
        value = self.group.share_number(found.get("score", math.nan))
        if not math.isfinite(value):
            raise TrainingError(
                "A validation gave no score that is a finite number.",
                where=f"{self.files.folder}, step {self.done.step}",
                got=found,
            )
        self._log({"step": self.done.step, **found, "seconds": round(time.monotonic() - started, 3)})
        if value > self.done.best_score:
            self.done = replace(self.done, best_step=self.done.step, best_score=value, stale=0)
            if self.group.first:
                write_tensors(self.files.best, self.task.model.state_dict())
        else:
            self.done = replace(self.done, stale=self.done.stale + 1)

    def _save(self) -> None:
        if self.group.first:
            self.files.save(self.task.model, self.optimiser, self.done, asdict(self.arguments))

    def _log(self, line: Mapping[str, object]) -> None:
        if self.group.first:
            self.files.append(line)

    def _not_finite(self, step: int, loss: float, norm: float, rate: float) -> TrainingError:
        return TrainingError(
            "Training met a loss or gradient that is not a finite number.",
            where=f"{self.files.folder}, step {step}",
            expected="finite numbers",
            got=f"loss {loss}, norm of the gradient {norm}, learning rate {rate:g}",
            fix=f"lower learning_rate (now {self.arguments.learning_rate:g}) or clip_norm (now "
            f"{self.arguments.clip_norm:g}), and look for values that are not finite in the data",
        )


def _decay_groups(parameters: list[torch.nn.Parameter], decay: float) -> list[dict[str, object]]:
    """Weights decay; biases, scales and other vectors do not."""
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = ((matrices, decay), (vectors, 0.0))
    return [{"params": some, "weight_decay": value} for some, value in groups if some]
