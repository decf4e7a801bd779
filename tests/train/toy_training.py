"""A toy task, and a program that trains it: to be killed, and to be run by several processes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hapsight.train.loop import TrainArguments, fit


class Line:
    """Learn a linear function, with dropout so that torch's generator matters."""

    def __init__(self, dropout: float = 0.2, kill_at: int | None = None) -> None:
        torch.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))
        self.kill_at = kill_at
        self.scores: list[float] = []

    def loss(self, step: int, micro: int, rank: int, world: int) -> torch.Tensor:
        if step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.model.train()
        x, y = self.data([7, step, micro * world + rank])
        return ((self.model(x)[:, 0] - y) ** 2).mean()

    def validate(self) -> dict[str, float]:
        self.model.eval()
        x, y = self.data([8])
        with torch.no_grad():
            error = float(((self.model(x)[:, 0] - y) ** 2).mean())
        self.scores.append(-error)
        return {"score": -error, "error": error}

    @staticmethod
    def data(seed: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        x = np.random.default_rng(seed).standard_normal((16, 5)).astype(np.float32)
        return torch.from_numpy(x), torch.from_numpy(x @ np.arange(5, dtype=np.float32))


def arguments(**changes: float) -> TrainArguments:
    usual: dict[str, float] = {
        "max_steps": 30,
        "learning_rate": 0.02,
        "weight_decay": 0.01,
        "warmup_steps": 4,
        "clip_norm": 1.0,
        "accumulate": 2,
        "validate_every": 5,
        "patience": 100,
        "seed": 1,
        "checkpoint_every": 4,
    }
    return TrainArguments(**{**usual, **changes})  # type: ignore[arg-type]


def main(folder: str, kill_at: str) -> None:
    torch.set_num_threads(1)
    task = Line(kill_at=int(kill_at) if kill_at else None)
    fit(task, arguments(), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
