"""Who does a run's units of work, and the one way in which every stage has them done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import polars as pl

from hapsight.errors import IncompleteError, plural
from hapsight.run.config import Config
from hapsight.run.executor import Crew, local_crew, pools_kept, run_units
from hapsight.run.opened import Opened, Progress
from hapsight.run.store import NamedUnit, UnitStore

__all__ = [
    "SetAside",
    "UnitOfWork",
    "compute",
    "compute_each",
    "compute_here",
    "crew_of",
    "staffed",
    "work_in_words",
]


class UnitOfWork(Protocol):
    """What is done once, by whoever is free."""

    @property
    def name(self) -> str:
        """What to call it where it cannot be done."""

    def done(self) -> bool:
        """Whether it is done already."""


Unit = TypeVar("Unit", bound=UnitOfWork)
Block = TypeVar("Block", bound=NamedUnit)
Result = TypeVar("Result")


def staffed(config: Config, workers: int | None = None, scheduler: str | None = None) -> Config:
    """The configuration with other workers: so many processes, for models too; or those of a scheduler."""
    changes: dict[str, object] = {}
    if workers is not None:
        predict = config.predict.model_copy(update={"workers": workers or os.cpu_count() or 1})
        changes |= {"workers": workers, "predict": predict}
    if scheduler is not None:
        changes["cluster"] = config.cluster.model_copy(update={"scheduler": scheduler})
    return config.model_copy(update=changes)


def crew_of(opened: Opened, models: bool = False, files: Sequence[Path] = ()) -> Crew:
    """The crew for linear units, or for those that run models.

    Parameters
    ----------
    files
        That the units read beside the cohort's.
    """
    config, cluster = opened.config, opened.config.cluster
    if cluster.scheduler is None:
        workers = config.predict.workers if models else config.workers or os.cpu_count() or 1
        return local_crew(workers, cluster.retries)
    from hapsight.run.cluster import Cluster
    from hapsight.run.guard import Guard

    sizes = [(Path(entry["path"]), int(entry["bytes"])) for entry in opened.inputs]
    sizes += [(path, path.stat().st_size) for path in files]
    return Cluster(
        cluster.scheduler,
        Guard(opened.folder.mark(), tuple(sizes)),
        cluster.resources if models else {},
        cluster.retries,
        cluster.patience,
        cluster.unencrypted,
    )


def compute(
    crew: Crew,
    label: str,
    work: Callable[[Unit], Result],
    units: Sequence[Unit],
    progress: Progress,
    finished: Callable[[Result], object] = lambda _: None,
) -> int:
    """Have the units done that are not yet done; returns how many these were.

    Parameters
    ----------
    finished
        Called with what `work` returned of each, as it is finished.

    Raises
    ------
    IncompleteError
        Some were set aside, after all others were finished.
    """
    todo = [unit for unit in units if not unit.done()]
    kept = len(units) - len(todo)
    progress(label, kept, len(units))
    names = [f"{label}, {unit.name}" for unit in todo]
    crew = crew.for_units(len(units))
    for done, found in enumerate(run_units(work, todo, crew=crew, names=names), start=kept + 1):
        finished(found)
        progress(label, done, len(units))
    return len(todo)


def compute_here(
    store: UnitStore,
    units: Sequence[Block],
    tables_of: Callable[[Block], Mapping[str, pl.DataFrame]],
    label: str,
    progress: Progress,
    before: Callable[[], object] = lambda: None,
) -> int:
    """Have the units made in this process that are not yet there; returns how many these were.

    Parameters
    ----------
    tables_of
        Makes the tables of a unit.
    before
        Called before the first unit, where there is one to make.
    """
    todo = [unit for unit in units if not store.done(unit.name, unit.key)]
    kept = len(units) - len(todo)
    progress(label, kept, len(units))
    if todo:
        before()
    for done, unit in enumerate(todo, start=kept + 1):
        store.write(unit.name, unit.key, tables_of(unit))
        progress(label, done, len(units))
    return len(todo)


class SetAside:
    """Lets the rest of a run go on where part of it could not be done, and says so in the end."""

    def __init__(self) -> None:
        self._errors: list[IncompleteError] = []

    @contextmanager
    def later(self) -> Iterator[None]:
        """Keep an `IncompleteError` of the block for the end."""
        try:
            yield
        except IncompleteError as error:
            self._errors.append(error)

    def report(self) -> None:
        """Raise what was kept, if anything was.

        Raises
        ------
        IncompleteError
            The one error, or all of them in one.
        """
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise IncompleteError(
                "Several stages are not complete; the rest is done.",
                got="\n".join(["", *(f"    {line}" for e in self._errors for line in str(e).splitlines())]),
            )


def compute_each(
    opened: Opened,
    work: Callable[[Unit], object],
    groups: Sequence[tuple[str, Sequence[Unit]]],
    progress: Progress,
) -> dict[str, Any]:
    """`compute` of several labelled groups of units; returns what the stage's record says of them.

    Raises
    ------
    IncompleteError
        Some were set aside, after all others of all groups were finished.
    """
    aside, computed = SetAside(), 0
    with pools_kept():
        for label, units in groups:
            with aside.later():
                computed += compute(crew_of(opened), label, work, units, progress)
    aside.report()
    every = sum(len(units) for _, units in groups)
    return {"computed": computed, "detail": work_in_words(computed, every)}


def work_in_words(computed: int, every: int, what: str = "unit") -> str:
    """How many of a stage's units were computed now, and how many were there."""
    return f"{plural(computed, what)} computed, {every - computed} kept"
