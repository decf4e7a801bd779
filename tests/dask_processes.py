"""A Dask scheduler and workers as processes of their own, for tests and campaigns; loopback only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hapsight.cohort.expression import transform
from hapsight.run.config import Config
from hapsight.run.opened import Opened

ROOT = Path(__file__).resolve().parents[1]
DASHBOARD = ("--dashboard-address", "127.0.0.1:0")
"""Without it a worker's HTTP server listens on all addresses, with ``--no-dashboard`` too."""


def record_parcels(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Everything that is handed to a scheduler from now on."""
    from hapsight.run import cluster

    sent: list[bytes] = []
    pack = cluster.parcel

    def recorded(*given: Any) -> bytes:
        sent.append(pack(*given))
        return sent[-1]

    monkeypatch.setattr(cluster, "parcel", recorded)
    return sent


def require_nobody(parcels: list[bytes], config: Config) -> None:
    """No parcel has a person's name, or two neighbouring values of anybody's expression."""
    cohort = Opened.from_config(config).cohort
    values = transform(cohort.expression.values, config.expression.transform, config.expression.pseudocount)
    secret = [name.encode() for name in cohort.samples]
    secret += [row[start : start + 2].tobytes() for row in values for start in range(0, len(row) - 1, 2)]
    assert parcels
    assert not [word for word in secret for parcel in parcels if word in parcel]


class DaskProcesses:
    """A scheduler and its workers; leaving the ``with`` block kills them all."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self._environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}:{folder}", **environment}
        self._started: list[subprocess.Popen] = []

    def __enter__(self) -> DaskProcesses:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            self.kill(process)

    def scheduler(self, port: int = 0) -> subprocess.Popen:
        """Start a scheduler, and wait for its file."""
        self.file.unlink(missing_ok=True)
        options = ["--host", "127.0.0.1", "--port", str(port), "--scheduler-file", str(self.file)]
        process = self._start("dask_scheduler", options)
        deadline = time.monotonic() + 60
        while not self.file.exists():
            assert process.poll() is None, "the scheduler ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process

    def worker(self, *options: str) -> subprocess.Popen:
        """Start a worker with one thread; its nanny, a process more, starts it anew when it dies."""
        given = ["--scheduler-file", str(self.file), "--host", "127.0.0.1", "--nthreads", "1"]
        given += ["--local-directory", str(self.folder)]
        return self._start("dask_worker", [*given, *options])

    def kill(self, process: subprocess.Popen) -> None:
        """Kill a process that was started here, and its children, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _start(self, module: str, options: list[str]) -> subprocess.Popen:
        log = (self.folder / f"{module}.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *options, *DASHBOARD],
            cwd=ROOT,
            env=self._environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self._started.append(process)
        return process
