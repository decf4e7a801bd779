"""Faults of disks, clocks and users: each must end in a clear error, and be mended by running again."""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tools.faults.cohort import Cohort

Fault = Callable[[Cohort, random.Random], dict[str, int]]

YEAR = 365 * 86_400


class _Count:
    """Tries, those that ended as they must, and the others."""

    def __init__(self) -> None:
        self.found = {"tries": 0, "clear errors": 0, "right in the end": 0, "lost": 0}

    def error(self, ok: bool, said: str) -> None:
        """A run that had to fail."""
        self.found["tries"] += 1
        self.found["clear errors"] += ok
        self.lose(not ok, said)

    def right(self, code: int, wrong: list[str], said: str) -> None:
        """A run that had to end well."""
        ok = code == 0 and not wrong
        self.found["right in the end"] += ok
        self.lose(not ok, f"exit {code}, differ: {wrong[:5]}, said: {said}")

    def lose(self, really: bool, why: str) -> None:
        """Something that must not be."""
        if really:
            self.found["lost"] += 1
            print(f"  LOST: {why[-1500:]}", flush=True)


def full_disk(cohort: Cohort, rng: random.Random) -> dict[str, int]:
    """Files that cannot grow beyond some size (RLIMIT_FSIZE), in 6 tries on a fresh run."""
    count = _Count()
    for _ in range(6):
        cohort.clear()
        size = rng.randint(300, 12_000)
        run = cohort.run(before=lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
        code, said = run.finish(), run.said()
        count.error(code == 1 and "cannot be written" in said and "Traceback" not in said, said)
        again = cohort.run()
        count.right(again.finish(), cohort.wrong(), again.said())
    return count.found


def full_tmpfs(cohort: Cohort, rng: random.Random) -> dict[str, int]:
    """A file system of a few blocks that is full; then it grows, then it is read-only, then it is mended."""
    count = _Count()
    for _ in range(4):
        cohort.clear()
        cohort.output.mkdir()
        if _mount(cohort.output, f"size={rng.randint(40, 360)}k", "-t", "tmpfs", "tmpfs"):
            return count.found | {"skipped: not privileged": 1}
        try:
            run = cohort.run()
            code, said = run.finish(), run.said()
            count.error(code == 1 and "No space left" in said and "Traceback" not in said, said)
            _mount(cohort.output, "remount,size=64m,ro")
            run = cohort.run()
            code, said = run.finish(), run.said()
            count.error(code == 1 and "Read-only file system" in said and "Traceback" not in said, said)
            _mount(cohort.output, "remount,size=64m,rw")
            again = cohort.run()
            count.right(again.finish(), cohort.wrong(), again.said())
        finally:
            subprocess.run(["umount", str(cohort.output)], check=True)
    return count.found


def _mount(folder: Path, options: str, *what: str) -> int:
    command = ["mount", "-o", options, *what, str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def flipped_bytes(cohort: Cohort, rng: random.Random) -> dict[str, int]:
    """Bytes of stored units and seals that change on disk; all tables must be as before."""
    count = _Count()
    _whole(cohort)
    for _ in range(12):
        units = [
            path for path in cohort.output.rglob("*") if path.name.startswith(("block-", "independent-"))
        ]
        for path in rng.sample(units, 2):
            _spoil(path, rng)
        count.found["tries"] += 1
        again = cohort.run()
        count.right(again.finish(), cohort.wrong(), again.said())
    return count.found


def _spoil(path: Path, rng: random.Random) -> None:
    """A flipped bit, a lost end, zeros as a crashed machine leaves, or nothing at all."""
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data))
    kind = rng.choice(("flip", "cut", "zeros", "empty"))
    if kind == "flip":
        data[place] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[place:]
    else:
        data = bytearray(len(data) if kind == "zeros" else 0)
    path.write_bytes(data)


def clock(cohort: Cohort, rng: random.Random) -> dict[str, int]:
    """Files from the future, and from 1970; finished units must count as finished."""
    count = _Count()
    for jump in (2 * YEAR, -time.time() + 1, rng.uniform(-YEAR, YEAR)):
        _whole(cohort)
        when = time.time() + jump
        victim = rng.choice(sorted(cohort.output.rglob("block-*.json")))
        victim.unlink()
        files = [p for p in cohort.folder.rglob("*") if p.is_file()]
        for path in files:
            os.utime(path, (when, when))
        kept = {p: p.stat().st_ino for p in cohort.output.rglob("block-*.json")}
        count.found["tries"] += 1
        again = cohort.run()
        count.right(again.finish(), cohort.wrong(), again.said())
        repeated = [p.name for p, inode in kept.items() if p.stat().st_ino != inode]
        count.lose(bool(repeated), f"done again: {repeated}")
    return count.found


def two_runs(cohort: Cohort, rng: random.Random) -> dict[str, int]:
    """Two at once on one folder: one is refused, or comes when the other has ended."""
    count = _Count()
    for _ in range(5):
        cohort.clear()
        first = cohort.run()
        time.sleep(rng.uniform(0.0, 0.6 * cohort.seconds))
        second = cohort.run(log="second.log")
        codes = sorted((first.finish(), second.finish()))
        said = (second if second.code else first).said()
        refused = codes == [0, 1] and "Another hapsight process works in this run folder" in said
        count.error(refused or codes == [0, 0], said)
        count.right(codes[0], cohort.wrong(), said)
    return count.found


def _whole(cohort: Cohort) -> None:
    shutil.rmtree(cohort.output, ignore_errors=True)
    run = cohort.run()
    assert run.finish() == 0, run.said()


FAULTS: dict[str, Fault] = {
    "disk full (RLIMIT_FSIZE)": full_disk,
    "disk full, read-only (tmpfs)": full_tmpfs,
    "bytes of stored units": flipped_bytes,
    "clock jumps": clock,
    "two runs on one folder": two_runs,
}
