"""Training on several processes, as ``torchrun`` starts them: gradients are averaged, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

__all__ = ["Processes", "own_device", "processes"]


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
