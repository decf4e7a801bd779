"""Run units of work in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from hapsight.errors import IncompleteError

__all__ = ["run_units"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that libraries read when they are imported."""

Unit = TypeVar("Unit")
Result = TypeVar("Result")


def run_units(
    work: Callable[[Unit], Result], units: Sequence[Unit], workers: int = 1, executor: Executor | None = None
) -> Iterator[Result]:
    """Results of ``work(unit)`` in the order in which they finish.

    Parameters
    ----------
    work
        A function of a module (other processes import it).
    workers
        Processes; with 1 all runs here. Ignored where an `executor` is given.

    Raises
    ------
    IncompleteError
        A worker process died; what others had finished is kept.
    """
    if executor is not None:
        yield from _collect(work, units, executor)
    elif workers == 1 or len(units) <= 1:
        yield from map(work, units)
    else:
        context = multiprocessing.get_context("spawn")
        count = min(workers, len(units))
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)
        with pool, _threads_of_new_processes((os.cpu_count() or 1) // count):
            yield from _collect(work, units, pool)


@contextmanager
def _threads_of_new_processes(count: int) -> Iterator[None]:
    """Give new processes so many threads for linear algebra, unless the user has said how many."""
    mine = {name: str(max(1, count)) for name in _THREADS if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            del os.environ[name]


def _end_with_parent() -> None:
    """Let a worker end when its parent does, even if the parent was killed and could not say so."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _collect(work: Callable[[Unit], Result], units: Sequence[Unit], executor: Executor) -> Iterator[Result]:
    futures = [executor.submit(work, unit) for unit in units]
    try:
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise IncompleteError(
            "A worker process died (killed, or out of memory).",
            fix="run the same command again with fewer workers: finished units are kept",
        ) from error
    finally:
        for future in futures:
            future.cancel()
