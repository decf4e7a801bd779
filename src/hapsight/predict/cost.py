"""What running a model on a gene will take, told from the number of variants near it and nothing else."""

from __future__ import annotations

from typing import Final

from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel, WindowedModel
from hapsight.predict.views import views

__all__ = ["predicted_flop", "toggled_flop"]

_SEQUENCES_PER_VARIANT: Final = 1.4
"""Distinct haplotypes for each variant of a window: the mean over 125 genes of chr22 and 358 people, 1.35 at
10,500 bp and 1.40 at 131,072 bp."""


def predicted_flop(model: SequenceModel, read_out: ReadOut, variants: float, people: int) -> float:
    """About how many floating-point operations the distinct haplotypes of a window take.

    Parameters
    ----------
    variants
        In the window.
    """
    distinct = _distinct(variants, people)
    if not isinstance(model, SharedModel):
        return _views(model, read_out) * (1 + distinct) * model.flop_per_pass
    made = min(distinct * model.flop_per_pass, _SEQUENCES_PER_VARIANT * variants * _local_flop(model))
    return _views(model, read_out) * (model.flop_per_pass + made + distinct * model.read_flop(read_out))


def toggled_flop(
    model: SequenceModel, read_out: ReadOut, variants: float, people: int, backgrounds: int | None
) -> float:
    """The same of every variant toggled on the reference and in distinct haplotypes.

    Parameters
    ----------
    backgrounds
        At most so many haplotypes; else all.
    """
    distinct = _distinct(variants, people)
    chosen = distinct if backgrounds is None else min(distinct, backgrounds)
    one = model.flop_per_pass
    if isinstance(model, SharedModel):
        one = min(one, _local_flop(model) + model.read_flop(read_out))
    more = _views(model, read_out) * variants * (1 + chosen) * one
    return predicted_flop(model, read_out, variants, people) + more


def _distinct(variants: float, people: int) -> float:
    return min(2.0 * people, _SEQUENCES_PER_VARIANT * variants)


def _views(model: SequenceModel, read_out: ReadOut) -> int:
    return sum(1 for _ in views(model, read_out))


def _local_flop(model: SharedModel) -> float:
    """Of the local layers around one base that differs."""
    grid = model.grid
    flop = model.embed_flop(grid.before + grid.stride + grid.after)
    if isinstance(model, WindowedModel):
        flop += model.window_flop() * -(-model.window_length // model.window_step)
    return flop
