"""What the comparisons share: rows of the table, environments of the peers, and fair clocks."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".peers"
ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON", "VECLIB_MAXIMUM")
} | {"POLARS_MAX_THREADS": "1"}
TAIL = 300
"""Letters of a failed program's last words that are shown."""


class NotRunError(Exception):
    """Why a peer could not be run."""


@dataclass(frozen=True)
class Row:
    """One line of the table; processor seconds are None where something was not run."""

    what: str
    peer: str
    theirs: float | None = None
    ours: float | None = None
    agreement: str = ""

    def cells(self) -> list[str]:
        ratio = f"{self.theirs / self.ours:.2g}x" if self.theirs and self.ours else "-"
        return [self.what, self.peer, shown(self.theirs), shown(self.ours), ratio, self.agreement]


def shown(seconds: float | None) -> str:
    """Seconds with three digits."""
    return "-" if seconds is None else f"{seconds:.3g} s"


def markdown(rows: list[Row]) -> str:
    """The table."""
    head = ["what", "peer", "its time", "hapsight's", "ratio", "agreement"]
    lines = [head, ["---"] * len(head), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def say(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


def environment(name: str, recipe: Path) -> Path:
    """The folder of a peer's environment; made by its recipe the first time.

    Raises
    ------
    NotRunError
        It cannot be made.
    """
    folder = ENVIRONMENTS / name
    ready = folder / ".ready"
    if not ready.exists():
        say(f"Making {folder.relative_to(ROOT)}")
        succeed(["sh", str(recipe), str(folder)])
        ready.touch()
    return folder


def require(program: str, package: str) -> None:
    """Refuse where a program is missing.

    Raises
    ------
    NotRunError
        Says which Debian package has it.
    """
    if shutil.which(program) is None:
        raise NotRunError(f"{program} is not installed (Debian: {package})")


def succeed(command: list[str], **options: Any) -> str:
    """What a command prints.

    Raises
    ------
    NotRunError
        It failed; ends with its last words.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD, **options
    )
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        raise NotRunError(f"{' '.join(command[:2])} failed: {words[-TAIL:]}")
    return done.stdout


def processor_time() -> float:
    """Seconds so far, of this process and of those that it started and that ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def clock(work: Callable[..., Any], *arguments: Any) -> float:
    """Processor seconds of a call, all threads together: a busy machine changes them little."""
    started = processor_time()
    work(*arguments)
    return processor_time() - started


def in_turn(repeats: int, theirs: Callable[[], float], ours: Callable[[], float]) -> tuple[float, float]:
    """Least seconds of both, which take turns; a first turn of each, which compiles, is not counted."""
    turns = [(theirs(), ours()) for _ in range(repeats + 1)][1:]
    return min(turn[0] for turn in turns), min(turn[1] for turn in turns)


@dataclass
class Server:
    """A peer's process that answers lines of JSON."""

    command: list[str]
    process: subprocess.Popen[str] = field(init=False)
    version: str = field(init=False)

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | ONE_THREAD,
        )
        self.version = self._answer()["version"]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def ask(self, **task: Any) -> Any:
        """What the peer answers to a task."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        """The next line that is JSON: libraries print, too."""
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise NotRunError(f"{Path(self.command[-1]).name} ended without an answer")
