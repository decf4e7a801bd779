"""Counting and timing a model's work without doing it."""

from __future__ import annotations

import time

import numpy as np
import torch

from hapsight.cohort.nouns import Gene
from hapsight.engine.elements import count_elements
from hapsight.engine.engine import gathered
from hapsight.engine.sequences import Sequences
from hapsight.engine.shared import count_work
from hapsight.engine.views import margin, views
from hapsight.models.elements import ElementSum
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel

__all__ = ["flop_per_second", "plan_gene"]

_STRETCH_POSITIONS = 64
"""Embedding positions of the stretches that a shared model is timed on."""


def plan_gene(sequences: Sequences, gene: Gene, room: int = 2**29) -> tuple[int, float]:
    """Distinct passes and floating-point operations of one gene, its reference included.

    Sequences that take more than `room` bytes lie in a temporary file.
    """
    model, read_out = sequences.model, sequences.read_out
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
