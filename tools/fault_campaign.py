"""Kill and starve runs at random moments, resume them, and compare their tables with an undisturbed run's.

    python -m tools.fault_campaign --kills 100

A small planted cohort. Every command is a fork of this process, which has imported everything, so that a
try takes seconds. This process itself computes nothing: libraries start no threads before the fork.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.faults.clusters import kill_cluster
from tools.faults.cohort import Cohort
from tools.faults.kills import kill_parents, kill_workers
from tools.faults.places import FAULTS
from tools.faults.stages import KILLED, STAGES, end_stage


def main() -> int:
    """Run the campaign; the exit code is 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of all kinds of processes together")
    parser.add_argument("--ends", type=int, default=10, help="SIGTERMs of each stage, and SIGKILLs of some")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=None, help="kinds of faults")
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    cohort = Cohort.written(asked.folder or Path(tempfile.mkdtemp(prefix="hapsight-faults-")))
    of_workers, of_reports, of_clusters = asked.kills // 4, asked.kills // 20, asked.kills // 4
    of_parents = asked.kills - of_workers - of_reports - of_clusters
    kinds: dict[str, Callable[[], dict[str, int]]] = {
        "kill -9 of the parent": lambda: kill_parents(cohort, of_parents, rng),
        "kill -9, the report too": lambda: kill_parents(cohort, of_reports, rng, report=True),
        "kill -9 of workers": lambda: kill_workers(cohort, of_workers, rng),
        "kill -9 on a cluster": lambda: kill_cluster(cohort, of_clusters, rng),
    }
    kinds |= {
        f"SIGTERM, {name}": lambda name=name: end_stage(cohort, name, asked.ends, rng) for name in STAGES
    }
    kinds |= {
        f"kill -9, {name}": lambda name=name: end_stage(cohort, name, asked.ends, rng, signal.SIGKILL)
        for name in KILLED
    }
    kinds |= {name: lambda fault=fault: fault(cohort, rng) for name, fault in FAULTS.items()}
    lost = 0
    for name, work in kinds.items():
        if asked.only is None or any(wanted in name for wanted in asked.only):
            start = time.monotonic()
            found = work()
            lost += found["lost"]
            print(f"{name:32} {json.dumps(found)} {time.monotonic() - start:.0f} s", flush=True)
    print("nothing lost" if not lost else f"{lost} LOST: {cohort.folder}")
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
