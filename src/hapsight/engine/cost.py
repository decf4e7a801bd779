"""What running a model on a gene takes: told from the number of variants near it, counted, or timed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hapsight.engine.views import margin, views
from hapsight.models.elements import ElementSum
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel, WindowedModel

if TYPE_CHECKING:
    import torch

    from hapsight.cohort.nouns import Gene
    from hapsight.engine.views import Sequences

__all__ = ["Cost", "StandIn", "flop_per_second", "plan_gene"]

_SEQUENCES_PER_VARIANT: Final = 1.4
"""Distinct haplotypes for each variant of a window: the mean over 125 genes of chr22 and 358 people, 1.35 at
10,500 bp and 1.40 at 131,072 bp."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Floating-point operations of a model and read-out.

    Attributes
    ----------
    views
        Passes that a value is the mean of.
    whole
        Of one pass of one sequence.
    local, read
        Of the local layers around one base that differs, and of all that comes behind them; None of a model
        that has no local layers.
    """

    views: int
    whole: float
    local: float | None = None
    read: float | None = None

    @classmethod
    def of(cls, model: SequenceModel, read_out: ReadOut) -> Cost:
        """What a model says of itself."""
        passes = sum(1 for _ in views(model, read_out))
        if isinstance(model, ElementSum):
            return cls(passes, model.flop_per_pass, model.element.flop_per_pass * model.covered, 0.0)
        if not isinstance(model, SharedModel):
            return cls(passes, model.flop_per_pass)
        return cls(passes, model.flop_per_pass, _local_flop(model), model.read_flop(read_out))

    def predicted(self, variants: float, people: int) -> float:
        """About how many the distinct haplotypes of a window take that holds so many variants."""
        distinct = _distinct(variants, people)
        if self.local is None or self.read is None:
            return self.views * (1 + distinct) * self.whole
        made = min(distinct * self.whole, _SEQUENCES_PER_VARIANT * variants * self.local)
        return self.views * (self.whole + made + distinct * self.read)

    def toggled(self, variants: float, people: int, backgrounds: int | None) -> float:
        """The same of every variant toggled on the reference and in distinct haplotypes.

        Parameters
        ----------
        backgrounds
            At most so many haplotypes; else all.
        """
        distinct = _distinct(variants, people)
        chosen = distinct if backgrounds is None else min(distinct, backgrounds)
        one = self.whole
        if self.local is not None and self.read is not None:
            one = min(one, self.local + self.read)
        return self.predicted(variants, people) + self.views * variants * (1 + chosen) * one


def _distinct(variants: float, people: int) -> float:
    return min(2.0 * people, _SEQUENCES_PER_VARIANT * variants)


def _local_flop(model: SharedModel) -> float:
    grid = model.grid
    flop = model.embed_flop(grid.before + grid.stride + grid.after)
    if isinstance(model, WindowedModel):
        flop += model.window_flop() * -(-model.window_length // model.window_step)
    return flop


_STRETCH_POSITIONS = 64
"""Embedding positions of the stretches that a shared model is timed on."""


class StandIn(SequenceModel):
    """A model that declares what another does, reads as much sequence, and computes next to nothing.

    Its values differ between sequences and mean nothing: it is for timing what comes after a model.
    """

    def __init__(self, model: SequenceModel) -> None:
        self.name, self.window, self.tracks = model.name, model.window, model.tracks
        self.read_outs, self.default_read_out = model.read_outs, model.default_read_out
        self.fingerprint = f"stand-in of {model.fingerprint}"
        self.flop_per_pass = 2.0 * model.window.length

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """See `SequenceModel`."""
        import torch

        places = torch.arange(codes.shape[1], device=codes.device, dtype=torch.float32)
        value = (codes.float() * torch.cos(places)).mean(dim=1, keepdim=True)
        return value.expand(-1, len(read_out.tracks)).contiguous()

    def to(self, device: torch.device) -> SequenceModel:
        """See `SequenceModel`: there are no parameters."""
        return self


def plan_gene(
    sequences: Sequences, gene: Gene, room: int = 2**29, own: ReadOut | None = None
) -> tuple[int, float]:
    """Distinct passes and floating-point operations of one gene, its reference included.

    Sequences that take more than `room` bytes lie in a temporary file. `own` is the gene's of `of_genes`.
    """
    from hapsight.engine.elements import count_elements
    from hapsight.engine.engine import gathered
    from hapsight.engine.shared import count_work

    model, read_out = sequences.model, sequences.read_out if own is None else own
    if isinstance(model, ElementSum):
        return count_elements(sequences, model, gene)
    found = sequences.find(gene)
    reads, flop = 0, 0.0
    for view in views(model, read_out):
        if isinstance(model, SharedModel):
            work = count_work(model, view.read_out, gathered(found, view, margin(read_out), room), room)
            reads, flop = reads + work.reads, flop + work.flop
        else:
            reads, flop = reads + 1 + len(found), flop + (1 + len(found)) * model.flop_per_pass
    return reads, flop


def flop_per_second(
    model: SequenceModel, read_out: ReadOut, batch_size: int, device: torch.device | str
) -> float:
    """Measure a model on random sequence: whole windows, or stretches where local work is shared.

    Of a shared model the local layers are timed: they are most of its work, or run at about its speed.
    """
    import torch

    model = model.element if isinstance(model, ElementSum) else model
    rng = np.random.default_rng(0)
    if isinstance(model, SharedModel):
        grid = model.grid
        rows, bases = 4, _STRETCH_POSITIONS * grid.stride + grid.before + grid.after
        flop = rows * model.embed_flop(bases)
    else:
        rows, bases = batch_size, model.window.length
        flop = rows * model.flop_per_pass
    batch = torch.from_numpy(rng.integers(0, 4, (rows, bases), dtype=np.uint8)).to(device)
    times = []
    with torch.inference_mode():
        for _ in range(3):
            start = time.perf_counter()
            found = model.embed(batch) if isinstance(model, SharedModel) else model.predict(batch, read_out)
            found.cpu()
            times.append(time.perf_counter() - start)
    return flop / min(times[1:])
