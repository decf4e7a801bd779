"""Statistics of a large cohort, streamed gene by gene: correlations and every null; one core.

    OMP_NUM_THREADS=1 python benchmarks/statistics_scale.py [--genes 50] [--people 1000] [--variants 400]

Dosages, predictions and expression of a gene are made up when its turn comes and then forgotten; making them
is not in the times. Prints seconds a gene by part, peak memory, the floor (operations of the two products of
the random-weights null at the measured speed of one product of that shape), and what `--whole` genes would
take: extrapolated unless `--genes` is as many.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hapsight.run.run_folder import peak_mb
from hapsight.stats.correlation import correlate
from hapsight.stats.nulls import (
    benjamini_hochberg,
    empirical_p,
    null_test,
    permutation_null,
    permutations,
    random_weights_null,
)


class Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - start


def gene(options: argparse.Namespace, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V, N) dosages in blocks of linkage, (N,) predictions of a linear model, (N,) expression."""
    frequency = rng.uniform(0.01, 0.5, options.variants)
    founders = rng.random((64, options.variants)) < frequency
    haplotypes = founders[rng.integers(0, 64, (2, options.people))]
    dosage = haplotypes.sum(axis=0).T.astype(np.uint8)
    predicted = rng.standard_normal(options.variants) @ dosage
    return dosage, predicted, rng.standard_normal(options.people)


def floor_seconds(options: argparse.Namespace, repeats: int = 5) -> tuple[float, float]:
    """GFLOP of a gene's products and the seconds that one core takes for one product of that shape."""
    v = options.variants
    left, right = np.ones((options.draws, v)), np.ones((v, v))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    speed = 2 * options.draws * v * v / min(times)
    gram = v * v * options.people  # half of a product, in single precision at twice the speed
    flop = 2 * options.draws * v * v + gram / 2
    return flop / 1e9, flop / speed


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("genes", 50), ("people", 1000), ("variants", 400), ("draws", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--whole", type=int, default=20_000, help="genes of a whole genome")
    options = parser.parse_args()
    rng, clock = np.random.default_rng(1), Clock()
    with clock("permutations, once"):
        orders = permutations(["A", "B", "C", "D"] * (options.people // 4), options.draws, rng)
    pvalues = []
    for _ in range(options.genes):
        dosage, predicted, observed = gene(options, rng)
        with clock("correlations"):
            found = correlate(predicted, observed)
        with clock("random weights"):
            null = random_weights_null(dosage, observed, options.draws, rng)
            tested = null_test(found.pearson_r, null)
        with clock("permutation"):
            exchanged = empirical_p(abs(found.pearson_r), permutation_null(predicted, observed, orders))
        pvalues.append((tested.pval_empirical, tested.pval_sasse2023, exchanged, found.pval_nominal))
    with clock("q-values, all genes"):
        for column in np.array(pvalues).T:
            benjamini_hochberg(column)
    once = {part: clock.seconds.pop(part) for part in ("permutations, once", "q-values, all genes")}
    a_gene = {part: 1e3 * seconds / options.genes for part, seconds in clock.seconds.items()}
    gflop, floor = floor_seconds(options)
    total = sum(a_gene.values())
    result = {
        "genes": options.genes,
        "people": options.people,
        "variants": options.variants,
        "draws_each": options.draws,
        "ms_a_gene": {part: round(ms, 2) for part, ms in a_gene.items()} | {"all": round(total, 2)},
        "floor_ms_a_gene": round(1e3 * floor, 2),
        "floor_gflop_a_gene": round(gflop, 3),
        "ms_once": {part: round(1e3 * seconds, 1) for part, seconds in once.items()},
        "peak_mb": peak_mb()[0],
        f"minutes_for_{options.whole}_genes": round(total * options.whole / 60_000, 1),
        "extrapolated": options.genes < options.whole,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
