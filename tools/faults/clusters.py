"""A run on a Dask scheduler and its workers, any of which are killed at random moments."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from tests.dask_processes import DaskProcesses
from tools.faults.cohort import Cohort, Run
from tools.faults.kills import FEW, compare, lost

WORKERS = 2
TRIES = 6
PAUSE = (0.5, 8.0)
"""Seconds between two kills: at least, at most."""
LONELY = ("--death-timeout", "15")
"""A worker that finds no scheduler for so many seconds ends, and is started anew."""


class Services:
    """A scheduler and workers of this machine; what was killed is started anew, as by a service manager."""

    def __init__(self, dask: DaskProcesses) -> None:
        self._dask = dask
        self._scheduler = dask.scheduler()
        self._port = int(json.loads(dask.file.read_text())["address"].rpartition(":")[2])
        self._workers = [dask.worker(*LONELY) for _ in range(WORKERS)]

    def kill_scheduler(self) -> None:
        """Kill it, and start another at its address."""
        self._dask.kill(self._scheduler)
        self._scheduler = self._dask.scheduler(self._port)

    def kill_worker(self, rng: random.Random) -> None:
        """Kill the process that does units, which its nanny starts anew, or both, which is done here."""
        place = rng.randrange(WORKERS)
        child = _child(self._workers[place])
        if child is not None and rng.random() < 0.5:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        else:
            self._dask.kill(self._workers[place])
            self._workers[place] = self._dask.worker(*LONELY)

    def tend(self) -> None:
        """Start anew the workers that have ended, as they do when they find no scheduler."""
        for place, worker in enumerate(self._workers):
            if worker.poll() is not None:
                self._workers[place] = self._dask.worker(*LONELY)


def _child(nanny: subprocess.Popen[bytes]) -> int | None:
    """The process that does units, if there is one."""
    with contextlib.suppress(OSError):
        for pid in Path(f"/proc/{nanny.pid}/task/{nanny.pid}/children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    return None


def kill_cluster(cohort: Cohort, kills: int, rng: random.Random) -> dict[str, int]:
    """Kill scheduler, workers and the run itself; run again until it ends well, and compare."""
    found = {"kills": 0, "scheduler": 0, "workers": 0, "parent": 0}
    found |= {"resumed to the end": 0, "incomplete, run again": 0, "lost": 0}
    folder = cohort.folder / "dask"
    with DaskProcesses(folder, PYTHONPATH=_path(cohort)) as dask:
        services = Services(dask)
        cohort.clear()
        while found["kills"] < kills:
            _disturbed(cohort, services, kills, rng, found)
        _ended(cohort, services, found)
    return found


def _path(cohort: Cohort) -> str:
    return f"{Path(__file__).resolve().parents[2]}:{cohort.folder}"


def _disturbed(
    cohort: Cohort, services: Services, kills: int, rng: random.Random, found: dict[str, int]
) -> None:
    """One command, until it ends or is killed."""
    run = cohort.run("cluster.toml")
    while not run.wait(rng.uniform(*PAUSE)) and found["kills"] < kills:
        services.tend()
        victim = rng.choice(("scheduler", "workers", "workers", "parent"))
        found["kills"] += 1
        found[victim] += 1
        if victim == "parent":
            run.kill()
            return
        if victim == "scheduler":
            services.kill_scheduler()
        else:
            services.kill_worker(rng)
    _judge(cohort, _finish(run, services), run, found)


def _finish(run: Run, services: Services) -> int:
    """Wait for its end, workers tended."""
    deadline = time.monotonic() + 300
    while not run.wait(1.0) and time.monotonic() < deadline:
        services.tend()
    return run.finish()


def _judge(cohort: Cohort, code: int, run: Run, found: dict[str, int]) -> None:
    if code == 0:
        compare(cohort, found)
    elif code == 3 and "Traceback" not in run.said():
        found["incomplete, run again"] += 1
    else:
        lost(f"exit {code}: {run.said()}", found)


def _ended(cohort: Cohort, services: Services, found: dict[str, int]) -> None:
    """Nothing is killed any more: a command ends well, at the latest when what was set aside is done."""
    for _ in range(TRIES):
        run = cohort.run("cluster.toml")
        code = _finish(run, services)
        _judge(cohort, code, run, found)
        if code == 0:
            return
        time.sleep(FEW)
    lost(f"{TRIES} undisturbed commands did not end well", found)
