"""Counting and timing a model's work without doing it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from hapsight.cohort.nouns import Gene
from hapsight.dna import Codes
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel
from hapsight.predict.engine import Sequences
from hapsight.predict.shared import count_work
from hapsight.predict.views import margin, views

__all__ = ["calibration", "plan_gene"]

_STRETCH_POSITIONS = 64
"""Embedding positions of the stretches that a shared model is timed on."""


def plan_gene(sequences: Sequences, gene: Gene) -> tuple[int, float]:
    """Distinct passes and floating-point operations of one gene, its reference included."""
    model, read_out = sequences.model, sequences.read_out
    _, codes = sequences.of(gene)
    reads, flop = 0, 0.0
    for view in views(model, read_out):
        seen = view.of(codes, margin(read_out))
        if isinstance(model, SharedModel):
            work = count_work(model, view.read_out, seen)
            reads, flop = reads + work.reads, flop + work.flop
        else:
            reads, flop = reads + len(seen), flop + len(seen) * model.flop_per_pass
    return reads, flop


def calibration(
    model: SequenceModel, batch_size: int
) -> tuple[Codes, Callable[[torch.Tensor, ReadOut], torch.Tensor], float]:
    """A batch to time a model on, what to call with it, and its floating-point operations.

    Of a shared model the local layers are timed: they are most of its work, or run at about its speed.
    """
    rng = np.random.default_rng(0)
    if not isinstance(model, SharedModel):
        codes = rng.integers(0, 4, (batch_size, model.window.length), dtype=np.uint8)
        return codes, model.predict, batch_size * model.flop_per_pass
    grid = model.grid
    bases = _STRETCH_POSITIONS * grid.stride + grid.before + grid.after
    codes = rng.integers(0, 4, (4, bases), dtype=np.uint8)
    return codes, lambda batch, _: model.embed(batch), 4 * model.embed_flop(bases)
