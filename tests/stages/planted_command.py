"""The command line with the toy model registered; each of its batches takes PLANTED_DELAY seconds."""

from __future__ import annotations

import os
import time

import torch

from hapsight.cli.main import main
from hapsight.models.protocol import ReadOut
from hapsight.models.registry import register
from tests.planted import ToyModel


class SlowToy(ToyModel):
    """The toy model, slow enough to be killed at work."""

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        time.sleep(float(os.environ.get("PLANTED_DELAY", "0")))
        return super().predict(codes, read_out)


def load(weights: str | None = None, *, device: object = "cpu") -> SlowToy:
    """A loader, as the registry wants it."""
    return SlowToy()


if __name__ == "__main__":
    with register("toy", load):
        main()
