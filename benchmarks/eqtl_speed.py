"""Seconds per gene of the eQTL mapping and of heritability, beside the floor of its arithmetic.

Run from the root of the project: ``python -m benchmarks.eqtl_speed --genes 20``. One core. The floor is the
one product that permutations cannot do without, (variants, people) x (people, permutations), at the speed
that this machine has for it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from tests.linear.cohort import real_genes
from threadpoolctl import threadpool_limits

from hapsight.least_squares import Design
from hapsight.stats.eqtl import CisDosage, nominal_scan
from hapsight.stats.eqtl_permutations import draw_permutations, independent_signals, map_gene
from hapsight.stats.heritability import cis_heritability

DEMO = Path(str(files("hapsight") / "demo"))
SIGNIFICANT = 0.01


class Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        found = work(*arguments)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        return found


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
    variants, signals, significant = [], 0, 0
    for gene in real_genes(wanted.cohort, wanted.genes):
        design = Design.of(358, gene.covariates)
        outcome = design.residuals(gene.expression)
        clock("floor of the permutations", product, gene.dosage.astype(np.float32), columns)
        cis = clock("dosages", CisDosage.of, gene.dosage, design)
        clock("nominal", nominal_scan, cis, outcome)
        test = clock("top variant, permutations, beta", map_gene, cis, outcome, permutations)
        clock("heritability", cis_heritability, gene.dosage, outcome, design)
        if test and test.beta and test.beta.pval_beta < SIGNIFICANT:
            arguments = (gene.dosage, outcome, gene.covariates, permutations, test, SIGNIFICANT)
            signals += len(clock("independent signals", independent_signals, *arguments))
            significant += 1
        variants.append(len(gene.dosage))
    gflop = 2e-9 * np.mean(variants) * 358 * wanted.permutations
    each = {name: round(seconds / wanted.genes, 4) for name, seconds in clock.seconds.items()}
    mapping = sum(each[name] for name in ("dosages", "nominal", "top variant, permutations, beta"))
    result = {
        "genes": wanted.genes,
        "variants_mean": round(float(np.mean(variants)), 1),
        "gflop_of_the_permutations": round(float(gflop), 2),
        "gflop_per_second_of_the_floor": round(float(gflop / each["floor of the permutations"]), 1),
        "seconds_per_gene": each,
        "mapping_seconds_per_gene": round(mapping, 4),
        "mapping_over_floor": round(mapping / each["floor of the permutations"], 2),
        "significant_genes": significant,
        "signals": signals,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
