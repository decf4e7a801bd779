"""The toy model, slow enough to be killed at work: each of its batches takes PLANTED_DELAY seconds."""

from __future__ import annotations

import os
import time

import torch

from hapsight.models.protocol import ReadOut
from tests.planted import ToyModel


class SlowToy(ToyModel):
    """The toy model, after a wait."""

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        time.sleep(float(os.environ.get("PLANTED_DELAY", "0")))
        return super().predict(codes, read_out)
