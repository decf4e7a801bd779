"""The cohort of a campaign, runs of hapsight on it, and what they must leave behind."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

GENES = ("up1", "down1", "null1", "null2")
HEAVY = (
    "hapsight.cli.main",
    "hapsight.report.build",
    "hapsight.stages.check",
    "hapsight.stages.direction",
    "hapsight.stages.evaluate",
    "hapsight.stages.gene_pages",
    "hapsight.stages.drivers",
    "hapsight.pipeline",
    "hapsight.engine.engine",
    "tests.planted",
    "altair",
)


@dataclass
class Run:
    """A command that is running in a fork of this process."""

    pid: int
    log: Path
    code: int | None = None

    def ended(self) -> bool:
        """Whether it has ended; its exit code, or minus the signal, is in `code`."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for the end."""
        end = time.monotonic() + seconds
        while not self.ended() and time.monotonic() < end:
            time.sleep(0.01)
        return self.ended()

    def finish(self) -> int:
        """Wait for the end; a run that hangs for minutes is a fault of its own."""
        if not self.wait(300):
            self.kill()
            raise TimeoutError(f"a run hung: {self.said()}")
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        """kill -9; its workers are not told."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait(30)

    def workers(self) -> list[int]:
        """Processes of its pool."""
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            return [int(pid) for pid in children if _is_worker(int(pid))]
        return []

    def said(self) -> str:
        """What it printed."""
        return self.log.read_text(errors="replace")


def _is_worker(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@dataclass
class Cohort:
    """A planted cohort whose tables are known.

    Attributes
    ----------
    expected
        Digest of every table, seal and list of an undisturbed run.
    seconds
        That an undisturbed run takes.
    """

    folder: Path
    expected: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def written(cls, folder: Path) -> Cohort:
        """Write the cohort and do the undisturbed run."""
        folder.mkdir(parents=True, exist_ok=True)
        sys.path.insert(0, str(folder))
        for name in HEAVY:
            importlib.import_module(name)
        cohort = cls(folder)
        assert in_fork(lambda: _write(folder), folder / "write.log").finish() == 0
        for _ in range(2):  # the second finds everything compiled
            cohort.clear()
            start = time.monotonic()
            run = cohort.run()
            assert run.finish() == 0, run.said()
            cohort.seconds = time.monotonic() - start
        run = cohort.run(report=True)
        assert run.finish() == 0, run.said()
        cohort.expected = cohort.digests()
        print(f"undisturbed: {len(cohort.expected)} files, {cohort.seconds:.1f} s; {folder}", flush=True)
        return cohort

    @property
    def output(self) -> Path:
        """The run folder."""
        return self.folder / "run"

    def run(
        self,
        config: str = "planted.toml",
        before: Callable[[], None] = lambda: None,
        report: bool = False,
        log: str = "run.log",
    ) -> Run:
        """Start ``hapsight run``; `before` is called in its process. The report takes most of the time."""

        def command() -> None:
            before()
            import hapsight.report.build
            from hapsight.cli.main import main

            if not report:
                hapsight.report.build.build_report = lambda folder: folder
            sys.argv = ["hapsight", "run", str(self.folder / config)]
            main()

        return in_fork(command, self.folder / log)

    def clear(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.output, ignore_errors=True)

    def digests(self, output: Path | None = None) -> dict[str, str]:
        """Digest of every file that must not depend on what happened on the way."""
        output = output or self.output
        files = [p for p in output.rglob("*") if p.suffix in (".parquet", ".json", ".csv")]
        return {
            str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path.name != "run.json"
        }

    def wrong(self, output: Path | None = None) -> list[str]:
        """Files that differ from the undisturbed run's, are missing, or are left over."""
        found = self.digests(output)
        leftovers = [p.name for p in (output or self.output).rglob(".*.tmp")]
        wanted = self.expected
        if not any(name.startswith("report/") for name in found):
            wanted = {name: digest for name, digest in wanted.items() if not name.startswith("report/")}
        names = sorted(found.keys() | wanted.keys())
        return [name for name in names if found.get(name) != wanted.get(name)] + leftovers


def in_fork(work: Callable[[], None], log: Path) -> Run:
    """Call a function in a fork that has a session and a log of its own."""
    pid = os.fork()
    if pid:
        return Run(pid, log)
    code = 1
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _write(folder: Path) -> None:
    from tests.entry_point import offer_model
    from tests.planted import write_planted

    text = write_planted(folder, people=24, names=GENES).config.read_text()
    text = re.sub(r"genes_per_unit = \d", "genes_per_unit = 1", text)
    text = text.replace("[baseline]\n", '[baseline]\nmethods = ["elastic_net", "blup"]\n')
    text += "permutations = 99\n[eqtl]\npermutations = 99\ngenes_per_unit = 1\n"
    (folder / "planted.toml").write_text(text)
    two = text.replace("workers = 1", "workers = 2").replace("[predict]\n", "[predict]\nworkers = 2\n")
    (folder / "two.toml").write_text(two)
    cluster = '[cluster]\nscheduler = "dask/scheduler.json"\npatience = 40\n'
    (folder / "cluster.toml").write_text(text + cluster)
    offer_model(folder, "toy", "tests.planted:load_toy")
