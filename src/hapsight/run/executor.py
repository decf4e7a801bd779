"""Run units of work on a crew: this process, several, or a cluster; what cannot be done is set aside.

A unit is *set aside* when it fails on every try, or when its worker dies on every try with nothing else
beside it. All others are finished first; then `IncompleteError` lists those set aside. Errors that a user
can mend (`HapsightError`) are not tried again: they come through at once.

Crews of one machine: this process, or several processes beside it.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import threading
import traceback
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Generic, TypeVar

from threadpoolctl import threadpool_limits

from hapsight.errors import HapsightError, IncompleteError
from hapsight.process import not_interrupted, settle

__all__ = ["Crew", "Here", "Pool", "local_crew", "pools_kept", "run_units"]

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

    def for_units(self, units: int) -> Crew:
        """The crew for so many units: no process is started for a single one."""
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


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that libraries read when they are imported."""

_kept: ContextVar[dict[int, ProcessPoolExecutor] | None] = ContextVar("_kept", default=None)
"""Pools by their number of processes, while they are kept."""


def local_crew(workers: int, retries: int = 2) -> Crew:
    """The crew of this process where one worker is enough, else so many others."""
    return Here(retries) if workers == 1 else Pool(workers, retries)


@dataclass(frozen=True, slots=True)
class Here(Crew):
    """A crew of this process alone: one unit after the other.

    NumPy gets one thread: a gene's matrices are small, and threads that wait for each other take longer where
    other work has the cores. (Layers of models have their own threads.)
    """

    retries: int = 2

    def __str__(self) -> str:
        return "1 process"

    @contextmanager
    def at_work(self, units: int) -> Iterator[Executor]:
        """See `Crew`."""
        with threadpool_limits(limits=1, user_api="blas"):
            yield _Inline()

    def in_flight(self, executor: Executor) -> int:
        """See `Crew`."""
        return 1


class _Inline(Executor):
    """Does what is submitted at once."""

    def submit(  # type: ignore[override]
        self, work: Callable[..., Result], /, *arguments: object
    ) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(frozen=True, slots=True)
class Pool(Crew):
    """New processes of this machine; a unit each at a time.

    A worker that dies takes the others of its pool with it. What they were at is done again, alone.
    """

    workers: int
    retries: int = 2
    died: ClassVar = (BrokenProcessPool,)

    def __str__(self) -> str:
        return f"{self.workers} processes"

    @contextmanager
    def at_work(self, units: int) -> Iterator[Executor]:
        """See `Crew`."""
        count = max(1, min(self.workers, units))
        with _threads_of_new_processes((os.cpu_count() or 1) // count), _pool_of(count) as pool:
            yield pool

    def in_flight(self, executor: Executor) -> int:
        """See `Crew`."""
        return self.workers

    def alone(self) -> Crew:
        """See `Crew`."""
        return Pool(1, self.retries)

    def for_units(self, units: int) -> Crew:
        """See `Crew`."""
        return Here(self.retries) if units == 1 else self


@contextmanager
def pools_kept(apart: bool = False) -> Iterator[None]:
    """Keep the processes of pools from one stage to the next: each start costs some 2 s of imports.

    Parameters
    ----------
    apart
        End those of this block with it, whatever is kept around it.
    """
    if _kept.get() is not None and not apart:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        for pool in (_kept.get() or {}).values():
            pool.shutdown()
        _kept.reset(token)


@contextmanager
def _pool_of(count: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes: new ones, which end with the block, unless pools are kept."""
    kept = _kept.get()
    if kept is None:
        with _new_pool(count) as pool:
            try:
                yield pool
            except KeyboardInterrupt as error:
                _end(pool, error)
                raise
        return
    size = min((size for size in kept if size >= count), default=count)
    pool = _sound(kept.pop(size, None)) or _new_pool(size)
    try:
        yield pool
    except BaseException as error:
        _end(pool, error)
        raise
    kept[size] = pool


def _end(pool: ProcessPoolExecutor, error: BaseException) -> None:
    """End a pool: once its units are done, or, where the user interrupts, at once."""
    if isinstance(error, KeyboardInterrupt):
        for process in list((pool._processes or {}).values()):  # none but ours; public from Python 3.14 on
            process.terminate()
    pool.shutdown(cancel_futures=True)


def _sound(pool: ProcessPoolExecutor | None) -> ProcessPoolExecutor | None:
    """A pool whose processes live."""
    if pool is None:
        return None
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool:
        pool.shutdown()
        return None
    return pool


def _new_pool(count: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    with not_interrupted():
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin)
        for _ in range(count):  # a process starts where there is something to do and none is idle
            pool.submit(os.getpid)
    return pool


@contextmanager
def _threads_of_new_processes(count: int) -> Iterator[None]:
    """Give new processes so many threads, NumPy one as in `Here`, unless the user has said how many."""
    mine = {name: str(max(1, count)) for name in _THREADS} | {"OPENBLAS_NUM_THREADS": "1"}
    mine = {name: threads for name, threads in mine.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            del os.environ[name]


def _begin() -> None:
    settle()
    _end_with_parent()


def _end_with_parent() -> None:
    """Let a worker end when its parent does, even if the parent was killed and could not say so."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
