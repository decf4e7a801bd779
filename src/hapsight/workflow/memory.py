"""Peak memory of this process and of its largest worker."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from pathlib import Path

__all__ = ["peak_mb", "reset_peak"]

_CLEAR = Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Start counting this process's peak anew, where the system can (Linux)."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return


def peak_mb() -> tuple[int, int]:
    """Peak resident memory in MB: of this process since `reset_peak`, and of its largest worker.

    Workers that have not ended count where the system tells of them (Linux).
    """
    unit = 1 if sys.platform == "darwin" else 1024
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    living = [_peak_of(child.pid) or 0 for child in multiprocessing.active_children()]
    own = _peak_of("self") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return own // 2**20, max([ended, *living]) // 2**20


def _peak_of(process: int | str | None) -> int | None:
    """Bytes that a process had at most; ``None`` where the system does not say."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024
    except (OSError, StopIteration):
        return None
