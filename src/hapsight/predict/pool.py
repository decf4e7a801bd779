"""Crews of one machine: this process, or several processes beside it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from threadpoolctl import threadpool_limits

from hapsight.predict.executor import Crew

__all__ = ["Here", "Pool", "local_crew", "pools_kept"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that libraries read when they are imported."""

_kept: ContextVar[dict[int, ProcessPoolExecutor] | None] = ContextVar("_kept", default=None)
"""Pools by their number of processes, while they are kept."""

Result = TypeVar("Result")


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
        with _pool_of(count) as pool, _threads_of_new_processes((os.cpu_count() or 1) // count):
            yield pool

    def in_flight(self, executor: Executor) -> int:
        """See `Crew`."""
        return self.workers

    def alone(self) -> Crew:
        """See `Crew`."""
        return Pool(1, self.retries)


@contextmanager
def pools_kept() -> Iterator[None]:
    """Keep the processes of pools from one stage to the next: each start costs some 2 s of imports."""
    if _kept.get() is not None:
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
            yield pool
        return
    pool = _sound(kept.pop(count, None)) or _new_pool(count)
    try:
        yield pool
    except BaseException:
        pool.shutdown()
        raise
    kept[count] = pool


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
    return ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)


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
