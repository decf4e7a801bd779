"""Peak memory of this process and of its largest worker."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

__all__ = ["peak_mb", "reset_peak"]

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def reset_peak() -> None:
    """Start counting this process's peak anew, where the system can (Linux)."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return


def peak_mb() -> tuple[int, int]:
    """Peak resident memory in MB: of this process since `reset_peak`, and of its largest ended worker."""
    unit = 1 if sys.platform == "darwin" else 1024
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return _own_peak(unit) // 2**20, worker // 2**20


def _own_peak(unit: int) -> int:
    try:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
