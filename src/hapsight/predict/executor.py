"""Run units of work on a crew: this process, several, or a cluster; what cannot be done is set aside.

A unit is *set aside* when it fails on every try, or when its worker dies on every try with nothing else
beside it. All others are finished first; then `IncompleteError` lists those set aside. Errors that a user
can mend (`HapsightError`) are not tried again: they come through at once.
"""

from __future__ import annotations

import re
import traceback
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Final, Generic, TypeVar

from hapsight.errors import HapsightError, IncompleteError

__all__ = ["Crew", "run_units"]

_ASK: Final = 5.0
"""Seconds between questions to a crew that finishes nothing."""

_BARREN: Final = 10
"""Crews that may break one after the other without having finished a unit."""

_SHOWN: Final = 20
"""Units that an error lists."""

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class Crew(ABC):
    """Who does units of work.

    Attributes
    ----------
    retries
        How often a unit that failed is handed to the crew again; 0 where the crew itself tries again.
    died
        What the future of a unit raises whose worker died.
    """

    retries: int
    died: ClassVar[tuple[type[Exception], ...]] = ()

    @abstractmethod
    def at_work(self, units: int) -> AbstractContextManager[Executor]:
        """An executor for so many units, for as long as the block lasts."""

    @abstractmethod
    def in_flight(self, executor: Executor) -> int:
        """How many units to hand over before one is finished."""

    def alone(self) -> Crew:
        """A crew that does one unit at a time: if a worker dies, it is that unit's doing."""
        return self

    def given_up(self, executor: Executor) -> IncompleteError | None:
        """Why nothing more can be expected of it, if so; asked while nothing is finished."""
        return None


def run_units(
    work: Callable[[Unit], Result],
    units: Sequence[Unit],
    workers: int = 1,
    crew: Crew | None = None,
    names: Sequence[str] = (),
) -> Iterator[Result]:
    """Results of ``work(unit)`` in the order in which they finish.

    Parameters
    ----------
    work
        A function of a module (other processes import it).
    workers
        Processes of this machine; with 1 all runs here. Ignored where a `crew` is given.
    names
        What to call the units in an error; else their numbers.

    Raises
    ------
    IncompleteError
        Some units were set aside, after all others were finished; or the crew is gone.
    HapsightError
        A unit found something that the user can mend.
    """
    from hapsight.predict.pool import local_crew

    crew = crew or local_crew(min(workers, max(len(units), 1)))
    job = _Job(work, units, names or [f"unit {n} of {len(units)}" for n in range(1, len(units) + 1)])
    barren = 0
    while job.queue:
        before = job.finished
        broken = yield from job.run(crew)
        barren = barren + 1 if broken and job.finished == before else 0
        if barren == _BARREN:
            raise IncompleteError(
                "Worker processes die before they finish anything.",
                got=f"{_BARREN} times in a row, {job.finished} of {len(units)} units done",
                fix="run with fewer workers if memory is short: finished units are kept",
            )
    for suspect in list(job.suspects):
        yield from job.run_alone(suspect, crew.alone())
    if job.aside:
        raise _set_aside(job.aside, len(units))


class _Job(Generic[Unit, Result]):
    """Units on their way.

    Attributes
    ----------
    queue
        Those to hand over.
    suspects
        Those that were being done when a worker died.
    aside
        Those that cannot be done, and why.
    """

    def __init__(self, work: Callable[[Unit], Result], units: Sequence[Unit], names: Sequence[str]) -> None:
        self._work, self._units, self._names = work, units, names
        self.queue = deque(range(len(units)))
        self.suspects: list[int] = []
        self.aside: dict[str, str] = {}
        self.finished = 0
        self._broken = False
        self._failures: Counter[int] = Counter()

    def run(self, crew: Crew) -> Generator[Result, None, bool]:
        """Do what is in the queue; returns whether the executor broke before the end."""
        flying: dict[Future[Result], int] = {}
        self._broken = False
        try:
            with crew.at_work(len(self.queue)) as executor:
                try:
                    self._hand_over(crew, executor, flying)
                    while flying:
                        done, _ = wait(flying, _ASK, FIRST_COMPLETED)
                        if not done and (error := crew.given_up(executor)):
                            raise error
                        for future in done:
                            yield from self._take(future, flying.pop(future), crew)
                        self._hand_over(crew, executor, flying)
                finally:
                    for future in flying:
                        future.cancel()
        except BrokenExecutor:
            self.queue.extendleft(flying.values())
            return True
        return self._broken

    def _hand_over(self, crew: Crew, executor: Executor, flying: dict[Future[Result], int]) -> None:
        """Fill up what is in flight, unless the executor is broken."""
        while self.queue and not self._broken and len(flying) < crew.in_flight(executor):
            try:
                future = executor.submit(self._work, self._units[self.queue[0]])
            except BrokenExecutor:
                self._broken = True
            else:
                flying[future] = self.queue.popleft()

    def _take(self, future: Future[Result], unit: int, crew: Crew) -> Iterator[Result]:
        """Take a finished unit's result, or decide what to do with one that failed."""
        try:
            result = future.result()
        except HapsightError:
            raise
        except crew.died:
            self.suspects.append(unit)
        except CancelledError:  # whoever was to do it is gone
            self._broken = True
            self.queue.appendleft(unit)
        except Exception as error:
            self._failed(unit, _in_words(error), crew.retries)
        else:
            self.finished += 1
            yield result

    def _failed(self, unit: int, why: str, retries: int) -> None:
        self._failures[unit] += 1
        if self._failures[unit] <= retries:
            self.queue.append(unit)
        else:
            self.aside[self._names[unit]] = why

    def run_alone(self, unit: int, crew: Crew) -> Iterator[Result]:
        """Do a unit with nothing beside it, and know of a death that it was this unit's."""
        self.queue.append(unit)
        while self.queue:
            self.suspects.clear()
            yield from self.run(crew)
            for _ in self.suspects:
                self._failed(unit, "its worker process died (killed, or out of memory)", crew.retries)


def _in_words(error: Exception) -> str:
    """An error in a line: kind, text, and where in the code it was raised."""
    where = str(
        error.__cause__ or "".join(traceback.format_tb(error.__traceback__))
    )  # a process's is its cause
    places = re.findall(r'File "(.+)", line (\d+)', where)
    place = f" ({Path(places[-1][0]).name}, line {places[-1][1]})" if places else ""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}{place}"


def _set_aside(aside: dict[str, str], total: int) -> IncompleteError:
    shown = [f"{name}: {why}" for name, why in list(aside.items())[:_SHOWN]]
    more = [f"and {len(aside) - _SHOWN} more"] if len(aside) > _SHOWN else []
    return IncompleteError(
        f"{len(aside)} of {total} units of work failed on every try and were set aside; the rest is done.",
        got=[*shown, *more],
        fix="mend what they name and run the same command again: finished units are kept",
    )
