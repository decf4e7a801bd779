"""Values of any sequences, whatever model and read-out: the engine without the people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.engine.engine import share
from hapsight.engine.sequences import whole_values
from hapsight.engine.shared import shared_values
from hapsight.engine.views import margin, views
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel

__all__ = ["Valuer"]


@dataclass(frozen=True, slots=True)
class Valuer:
    """A model and read-out, with what it takes to run them.

    Attributes
    ----------
    budget
        Bytes for sequences, embeddings and a batch, a third for each; None: as the device usually has.
    """

    model: SequenceModel
    read_out: ReadOut
    device: str
    batch_size: int = 64
    budget: int | None = None

    @property
    def beyond(self) -> int:
        """Bases on either side of the model's window that the read-out needs for its shifts."""
        return margin(self.read_out)

    def __call__(self, codes: Codes) -> tuple[NDArray[np.float64], float]:
        """(R, T) values of (R, L + 2 * beyond) codes in the model's orientation, and the FLOP they took.

        Work is shared between the sequences where the model's first layers are local.
        """
        every = list(views(self.model, self.read_out))
        mean = np.zeros((len(codes), len(self.read_out.tracks)))
        flop = 0.0
        for view in every if len(codes) else []:
            seen = view.of(codes, self.beyond)
            values, took = self._of_view(view.read_out, seen)
            mean += values / len(every)
            flop += took
        return mean, flop

    def _of_view(self, read_out: ReadOut, seen: Codes) -> tuple[NDArray[np.float64], float]:
        if not isinstance(self.model, SharedModel):
            values = whole_values(self.model, read_out, seen, self.batch_size, self.device)
            return values, len(seen) * self.model.flop_per_pass
        values, work = shared_values(
            self.model,
            read_out,
            seen,
            device=self.device,
            batch_size=self.batch_size,
            budget=share(self.budget, self.device),
        )
        return values, work.flop
