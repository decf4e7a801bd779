"""How time and memory of the linear stages grow with people, one gene: measured, and a law fitted.

    python tools/linear_growth.py OUT.json --people 358 1000 2504 5000 10000 --variants 1000

Dosages are of a simulated mosaic (haplotypes copied from 400 founders, a switch every 20 variants); one
causal variant explains a tenth of the outcome. Variants are common: those rarer than 1 % enter no method.
Growth is a power law, cost = c people^k, by least squares of the logarithms at the three largest numbers of
people. Memory is the most that NumPy holds beyond the dosages. A stage that would take more than 20 seconds
by the cube of people is left out from there on.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hapsight.least_squares import Design
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import Predictors
from hapsight.linear.informed import fit_susie
from hapsight.linear.methods import method_named
from hapsight.stats.eqtl import CisDosage, nominal_scan
from hapsight.stats.heritability import cis_heritability
from hapsight.stats.nulls import permutation_null, permutations, random_weights_null

FOUNDERS, SWITCH, LIMIT = 400, 20, 20.0


def dosages(people: int, variants: int) -> np.ndarray:
    """(V, N) uint8 of a mosaic."""
    rng = np.random.default_rng(1)
    frequency = rng.beta(0.8, 0.8, variants).clip(0.02, 0.98)
    founders = rng.random((variants, FOUNDERS)) < frequency[:, None]
    found = np.zeros((variants, people), np.uint8)
    for _ in range(2):
        for start in range(0, variants, SWITCH):
            found[start : start + SWITCH] += founders[start : start + SWITCH][
                :, rng.integers(0, FOUNDERS, people)
            ]
    return found


def stages(dosage: np.ndarray, draws: int = 1000) -> dict[str, Callable[[], object]]:
    """What is done for one gene, by stage."""
    people, rng = dosage.shape[1], np.random.default_rng(2)
    causal = dosage[len(dosage) // 2].astype(float)
    outcome = 0.33 * (causal - causal.mean()) / causal.std() + 0.95 * rng.standard_normal(people)
    design, options = Design.of(people, rng.standard_normal((people, 20))), ElasticNetOptions()
    found: dict[str, Callable[[], object]] = {
        name: lambda name=name: method_named(name, options).fit(
            Predictors.of(dosage, options.min_maf), outcome, np.random.default_rng(3)
        )
        for name in ("top_snp", "elastic_net", "blup")
    }
    flat = np.zeros(len(dosage))
    found["susie"] = lambda: fit_susie(Predictors.of(dosage, 0.01), outcome, flat - np.log(len(flat)))
    found["eqtl scan"] = lambda: nominal_scan(CisDosage.of(dosage, design), outcome)
    found["random weights"] = lambda: random_weights_null(dosage, outcome, draws, np.random.default_rng(4))
    orders = permutations([None] * people, draws, rng)
    found["permutations"] = lambda: permutation_null(causal, outcome, orders)
    found["heritability"] = lambda: cis_heritability(dosage, outcome, design)
    return found


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Processor seconds, and MB at most beyond what was there before."""
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return seconds, peak


def grow(people: list[int], variants: int, only: Sequence[str] = ()) -> dict[str, dict[str, object]]:
    """Of each stage: seconds and MB at each number of people that takes less than `LIMIT`, and exponents."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, work in stages(dosages(people[0], variants)).items():
        if not only or name in only:
            work()  # compiled
    for n in people:
        for name, work in stages(dosages(n, variants)).items():
            if only and name not in only:
                continue
            own = found.setdefault(name, {"people": [], "seconds": [], "mb": []})
            if own["seconds"] and own["seconds"][-1] * (n / own["people"][-1]) ** 3 > LIMIT:
                continue
            seconds, peak = measured(work)
            own["people"].append(n)
            own["seconds"].append(seconds)
            own["mb"].append(peak)
            print(n, name, f"{seconds:.3f} s, {peak:.0f} MB", flush=True)
    return {
        name: own | {"k": exponent(own, "seconds"), "k_mb": exponent(own, "mb")}
        for name, own in found.items()
    }


def exponent(own: dict[str, list[float]], of: str) -> float:
    """Over the three largest numbers of people, where what does not depend on people weighs least."""
    return float(np.polyfit(np.log(own["people"][-3:]), np.log(own[of][-3:]), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, nargs="+", default=[358, 1000, 2504, 5000, 10_000])
    parser.add_argument("--variants", type=int, default=1000)
    parser.add_argument("--only", nargs="+", default=[], help="these stages; else all")
    given = parser.parse_args()
    given.out.write_text(json.dumps(grow(given.people, given.variants, given.only), indent=1))


if __name__ == "__main__":
    main()
