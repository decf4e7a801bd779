"""What a process settles before it works: how threads wait, what memory it keeps, when garbage is sought."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Final

__all__ = ["settle"]

_WAITING: Final = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1"}

_KEPT: Final = 32 << 20
"""Arrays below this size (bytes) lie in memory that the process keeps; glibc knows no higher limit."""

_SPARE: Final = 256 << 20
"""Bytes of memory no longer used that are not handed back."""

_MALLOPT: Final = {"MALLOC_TRIM_THRESHOLD_": (-1, _SPARE), "MALLOC_MMAP_THRESHOLD_": (-3, _KEPT)}
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
