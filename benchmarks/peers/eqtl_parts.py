"""Processor seconds of the parts of ``hapsight eqtl CONFIG`` in one process, imports included."""

from __future__ import annotations

import time

import hapsight.cli.main
import hapsight.stages.eqtl

IMPORTS = time.process_time()

import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from benchmarks.eqtl_speed import Clock, Task, find_signals, map_task  # noqa: E402

from hapsight.run.config import Config, load_config  # noqa: E402
from hapsight.run.opened import Opened  # noqa: E402
from hapsight.stats.nulls import benjamini_hochberg  # noqa: E402


def read(config: Config) -> tuple[list[Task], np.ndarray]:
    """Check and join the cohort, and read every gene's variants as the command does; and its permutations."""
    units = hapsight.stages.eqtl.eqtl_units(Opened.from_config(config))
    tasks = [
        Task(window.dosage, expression, unit.covariates)
        for unit in units
        for window, expression in unit.windows(unit.reader())
    ]
    return tasks, units[0].permutations()


def seconds_of_parts(config: Config) -> dict[str, float]:
    """Seconds by part; tables are not written."""
    clock = Clock()
    tasks, permutations = clock("reading", read, config)
    tests = [map_task(clock, task, permutations) for task in tasks]
    p = np.array([test.beta.pval_beta for test in tests if test and test.beta])
    largest = float(p[benjamini_hochberg(p) <= config.eqtl.fdr].max(initial=0.0))
    find_signals(clock, tasks, tests, permutations, largest)
    return clock.seconds


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        loaded = load_config(Path(sys.argv[1])).model_copy(update={"output": Path(scratch) / "run"})
        print(json.dumps({"imports": IMPORTS} | seconds_of_parts(loaded)))
