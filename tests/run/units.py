"""Units of work, good and bad; a process that does one imports this light file alone."""

import os
import signal
import sys
import time
from pathlib import Path

from hapsight.errors import InputError


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


def die_always(unit: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return unit


def die_once(folder: str) -> str:
    """Kills its process the first time; the file remembers."""
    try:
        os.close(os.open(f"{folder}/tried", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return folder
    os.kill(os.getpid(), signal.SIGKILL)
    return folder


def refuse_at_two(unit: int) -> int:
    if unit == 2:
        raise InputError("A genotype is missing.", got=f"unit {unit}")
    return unit


def threads(_: int) -> tuple[str | None, ...]:
    """For all but NumPy, and for NumPy, whose threads wait for each other where other work has the cores."""
    return tuple(os.environ.get(f"{name}_NUM_THREADS") for name in ("NUMBA", "OPENBLAS"))


def pid_of(_: int) -> int:
    return os.getpid()


def meet(folder: str) -> int:
    """The process, once another one is in the folder too: on a busy machine one may do all units."""
    (Path(folder) / str(os.getpid())).touch()
    deadline = time.monotonic() + 60
    while len(os.listdir(folder)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.getpid()


def blocked(_: int) -> bool:
    """Whether Ctrl-C reaches this process, which it must not, even while it imports what it needs."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
