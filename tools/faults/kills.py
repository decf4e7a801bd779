"""Processes that are killed at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal

from tools.faults.cohort import Cohort

FEW = 0.05


def kill_parents(cohort: Cohort, kills: int, rng: random.Random, report: bool = False) -> dict[str, int]:
    """Kill the one process of a run, resume, and again; compare where a run reached its end."""
    found = {"kills": 0, "resumed to the end": 0, "lost": 0}
    cohort.clear()
    while found["kills"] < kills:
        run = cohort.run(report=report)
        if not run.wait(rng.uniform(FEW, (3 if report else 1) * cohort.seconds)):
            run.kill()
            found["kills"] += 1
        elif run.code == 0:
            compare(cohort, found)
        else:
            lost(run.said(), found)
    _end(cohort, "planted.toml", found, report)
    return found


def kill_workers(cohort: Cohort, kills: int, rng: random.Random) -> dict[str, int]:
    """Kill processes of the pool, now one, now all; the run itself goes on."""
    found = {"kills": 0, "resumed to the end": 0, "set aside": 0, "lost": 0}
    cohort.clear()
    while found["kills"] < kills:
        run = cohort.run("two.toml")
        while not run.wait(rng.uniform(FEW, cohort.seconds)) and found["kills"] < kills:
            workers = run.workers()
            for pid in rng.sample(workers, rng.randint(1, len(workers)) if workers else 0):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    found["kills"] += 1
        code = run.finish()
        if code == 0:
            compare(cohort, found)
        elif code == 3 and "its worker process died" in run.said():
            found["set aside"] += 1
        else:
            lost(run.said(), found)
    _end(cohort, "two.toml", found)
    return found


def _end(cohort: Cohort, config: str, found: dict[str, int], report: bool = False) -> None:
    run = cohort.run(config, report=report)
    if run.finish() != 0:
        lost(run.said(), found)
    compare(cohort, found)


def compare(cohort: Cohort, found: dict[str, int]) -> None:
    """Count a run that reached its end, and whether its tables are right; begin anew."""
    wrong = cohort.wrong()
    if wrong:
        lost(f"differ: {', '.join(wrong[:8])}", found)
    found["resumed to the end"] += 1
    cohort.clear()


def lost(why: str, found: dict[str, int]) -> None:
    """Count what must not be, and say it."""
    found["lost"] += 1
    print(f"  LOST: {why[-1500:]}", flush=True)
