"""What running a model on a gene will take, told from the number of variants near it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hapsight.engine.views import views
from hapsight.models.elements import ElementSum
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel, WindowedModel

__all__ = ["Cost"]

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
