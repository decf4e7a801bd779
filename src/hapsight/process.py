"""What a process settles before it works: how threads wait, what memory it keeps, when garbage is sought.

Processes that it starts, which Ctrl-C does not reach: it is this one that answers.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["not_interrupted", "settle"]

_WAITING: Final = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1"}

_KEPT: Final = 32 << 20
"""Arrays below this size (bytes) lie in memory that the process keeps; glibc knows no higher limit."""

_SPARE: Final = 128 << 20
"""Bytes of memory no longer used that are not handed back."""

_MALLOPT: Final = {
    "MALLOC_TRIM_THRESHOLD_": (-1, _SPARE),
    "MALLOC_MMAP_THRESHOLD_": (-3, _KEPT),
    "MALLOC_ARENA_MAX": (-8, 1),  # else each thread keeps memory of its own
}
"""The variables in which a user may say it, with glibc's number of the setting and our value."""


def settle() -> None:
    """Settle the process, and those that it starts; what the user has set stays. Before NumPy is imported.

    Threads that wait busily for each other take five times the processor time where cores are taken: those of
    a model wait passively, and NumPy has one, since a gene's matrices are small. Memory that is handed back
    after each array is cleared by the system before it is had again: half of the system's time in a run.
    Garbage is sought among the objects of imports, which stay to the end, and in the end it is not sought.
    """
    for name, value in _WAITING.items():
        os.environ.setdefault(name, value)
    gc.set_threshold(20_000, 20, 20)
    atexit.register(gc.freeze)
    if sys.platform == "linux":
        _keep_memory()


def _keep_memory() -> None:
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None or any(name in os.environ for name in _MALLOPT):
        return
    for number, value in _MALLOPT.values():
        mallopt(number, value)


@contextmanager
def not_interrupted() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, from their first moment on: it is this one's to answer.

    One that imports what it needs would end with a traceback. What is pressed meanwhile is not lost. Python's
    tracker of semaphores takes those of a process that was terminated away without a warning.
    """
    from multiprocessing import resource_tracker

    warnings = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [warnings, "ignore:resource_tracker:UserWarning"]))
    try:
        resource_tracker.ensure_running()  # it would let interrupts in again
    finally:
        if warnings is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = warnings
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
