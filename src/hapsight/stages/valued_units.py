"""Units of work that ask a model for values of any sequences, wherever they are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.run.crew import UnitOfWork, compute, crew_of
from hapsight.run.executor import Here
from hapsight.run.models import ModelSource, model_here
from hapsight.run.opened import Opened, Progress
from hapsight.stages.predict import ModelRun, guard_precision

if TYPE_CHECKING:
    from hapsight.engine.values import Valuer

__all__ = ["ValuedUnit", "ValuerSource", "compute_values", "valuer_of"]


@dataclass(frozen=True, slots=True)
class ValuerSource:
    """How any process gets what gives a model's values.

    Attributes
    ----------
    fingerprint
        Of the model whose values these are to be.
    budget
        Bytes for embeddings.
    """

    source: ModelSource
    fingerprint: str
    read_out: ReadOut
    batch_size: int
    budget: int | None

    @classmethod
    def of(cls, opened: Opened, run: ModelRun) -> ValuerSource:
        """As the configuration wants a model run, if that keeps differences between people."""
        guard_precision(opened, run)
        config = opened.config.predict
        return cls(
            run.source,
            run.fingerprint,
            run.read_out,
            config.batch_size,
            config.budget,
        )

    def valuer(self, model: SequenceModel, device: str) -> Valuer:
        """With a model that is loaded onto a device."""
        from hapsight.engine.values import Valuer

        return Valuer(model.local(), self.read_out, device, self.batch_size, self.budget)

    def load(self) -> Valuer:
        """In a process that may not have the model yet.

        Raises
        ------
        WeightsError
            What is loaded here is another model.
        """
        return self.valuer(model_here(self.source, self.fingerprint), self.source.device)


def valuer_of(opened: Opened, run: ModelRun) -> Valuer:
    """What gives a model's values here, as the configuration wants it run."""
    return ValuerSource.of(opened, run).valuer(run.model, run.device)


class ValuedUnit(UnitOfWork, Protocol):
    """A unit that needs a model's values."""

    @property
    def values(self) -> ValuerSource:
        """How any process gets them."""

    def save(self, valuer: Valuer) -> None:
        """Do the work and store what comes of it."""


def compute_values(
    opened: Opened, run: ModelRun, label: str, units: Sequence[ValuedUnit], progress: Progress
) -> int:
    """Have a model's units done that are not yet done; returns how many these were.

    Raises
    ------
    IncompleteError
        Some were set aside, after all others were finished.
    """
    if not units:
        return 0
    crew = crew_of(opened, models=True)
    work = partial(_save_with, valuer_of(opened, run)) if isinstance(crew, Here) else _save_elsewhere
    return compute(crew, label, work, units, progress)


def _save_with(valuer: Valuer, unit: ValuedUnit) -> str:
    unit.save(valuer)
    return unit.name


def _save_elsewhere(unit: ValuedUnit) -> str:
    unit.save(unit.values.load())
    return unit.name
