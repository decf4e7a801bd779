"""Processor seconds per gene of the eQTL mapping and of heritability, beside the floor of its arithmetic.

Run from the root of the project: ``python -m benchmarks.eqtl_speed --genes 20``. One core. The floor is the
one product that permutations cannot do without, (variants, people) x (people, permutations), at the speed
that this machine has for it. `benchmarks.peers` puts the parts beside tensorQTL's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from tests.linear.cohort import real_genes
from threadpoolctl import threadpool_limits

from hapsight.least_squares import Design
from hapsight.stats.eqtl import CisDosage, nominal_scan
from hapsight.stats.eqtl_permutations import GeneTest, draw_permutations, independent_signals, map_gene
from hapsight.stats.heritability import cis_heritability

DEMO = Path(str(files("hapsight") / "demo"))
SIGNIFICANT = 0.01


class Clock:
    """Processor seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        started = time.process_time()
        found = work(*arguments)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started
        return found


@dataclass(frozen=True)
class Task:
    """A gene to map: (V, N) dosages, (N,) expression, (N, C) covariates."""

    dosage: np.ndarray
    expression: np.ndarray
    covariates: np.ndarray | None

    @property
    def design(self) -> Design:
        return Design.of(len(self.expression), self.covariates)


def map_task(clock: Clock, task: Task, permutations: np.ndarray) -> GeneTest | None:
    """Map a gene, part by part."""
    design = task.design
    outcome = design.residuals(task.expression)
    cis = clock("nominal", CisDosage.of, task.dosage, design)
    clock("nominal", nominal_scan, cis, outcome)
    clock("heritability", cis_heritability, task.dosage, outcome, design)
    return clock("permutations", map_gene, cis, outcome, permutations)


def find_signals(
    clock: Clock,
    tasks: Sequence[Task],
    tests: Sequence[GeneTest | None],
    permutations: np.ndarray,
    largest: float,
) -> tuple[int, int]:
    """Independent signals of the genes with `pval_beta` up to the `largest`: genes, signals."""
    chosen = [(task, test) for task, test in zip(tasks, tests, strict=True) if significant(test, largest)]
    found = 0
    for task, test in chosen:
        outcome = task.design.residuals(task.expression)
        arguments = (task.dosage, outcome, task.covariates, permutations, test, largest)
        found += len(clock("independent signals", independent_signals, *arguments))
    return len(chosen), found


def significant(test: GeneTest | None, largest: float) -> bool:
    return test is not None and test.beta is not None and test.beta.pval_beta <= largest


def product(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The floor: one product in single precision."""
    return rows @ columns


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohort", type=Path, default=DEMO, help="folder of a cohort of 358 people")
    parser.add_argument("--genes", type=int, default=20)
    parser.add_argument("--permutations", type=int, default=1000)
    wanted = parser.parse_args()
    rng, clock = np.random.default_rng(1), Clock()
    permutations = draw_permutations(358, wanted.permutations, rng)
    columns = rng.random((358, wanted.permutations), np.float32)
    genes = real_genes(wanted.cohort, wanted.genes)
    tasks = [Task(gene.dosage, gene.expression, gene.covariates) for gene in genes]
    tests = []
    for task in tasks:
        clock("floor of the permutations", product, task.dosage.astype(np.float32), columns)
        tests.append(map_task(clock, task, permutations))
    eqtl_genes, signals = find_signals(clock, tasks, tests, permutations, SIGNIFICANT)
    variants = float(np.mean([len(task.dosage) for task in tasks]))
    gflop = 2e-9 * variants * 358 * wanted.permutations
    each = {name: round(seconds / wanted.genes, 4) for name, seconds in clock.seconds.items()}
    mapping = each["nominal"] + each["permutations"]
    result = {
        "genes": wanted.genes,
        "variants_mean": round(variants, 1),
        "gflop_of_the_permutations": round(gflop, 2),
        "gflop_per_second_of_the_floor": round(gflop / each["floor of the permutations"], 1),
        "seconds_per_gene": each,
        "mapping_seconds_per_gene": round(mapping, 4),
        "mapping_over_floor": round(mapping / each["floor of the permutations"], 2),
        "significant_genes": eqtl_genes,
        "signals": signals,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
