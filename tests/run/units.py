"""Units of work, good and bad, as any process can import them."""

import os
import signal
import sys


def double(unit: int) -> int:
    return 2 * unit


def fail_at_two(unit: int) -> int:
    if unit == 2:
        raise ValueError(f"unit {unit} has no name")
    return unit


def die_at_two(unit: int) -> int:
    if unit == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return unit


def loaded_of(packages: tuple[str, ...]) -> set[str]:
    """Those of some packages that this process has imported."""
    return sys.modules.keys() & set(packages)
