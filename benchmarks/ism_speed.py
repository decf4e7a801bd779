"""Effects of every variant of a gene's window on the reference: shared work against one full pass for each.

    python benchmarks/ism_speed.py CONFIG [--genes 1] [--plain 8]

The first model of the configuration, which has local layers. `--plain` sequences of a gene are run one by
one, the time of the rest is in proportion. Prints a line of JSON per gene.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from hapsight.cohort.nouns import Gene
from hapsight.dna import reverse_complement
from hapsight.engine.shared import plain_values
from hapsight.explain.ism import ism_window, pair_effects
from hapsight.explain.mutations import REFERENCE, Backgrounds, pair_sequences, read_near
from hapsight.run.blocks import VariantReader
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.predict import ModelRun, load_models
from hapsight.stages.valued_units import valuer_of


def measure(opened: Opened, run: ModelRun, gene: Gene, plain: int) -> dict[str, object]:
    """Seconds both ways, and the largest difference of an effect relative to the largest value."""
    valuer, cohort = valuer_of(opened, run), opened.cohort
    window = ism_window(gene, valuer)
    reader = VariantReader(cohort.genotypes, cohort.reference, [window.interval])
    carried = Backgrounds.of_people(window, read_near(window, reader))
    pairs = carried.pairs(carried.inside, np.array([REFERENCE]))
    started = time.perf_counter()
    without, effects = pair_effects(carried, pairs, valuer, cohort.reference.fetch)
    shared_seconds = time.perf_counter() - started

    some = next(pairs.parts(plain))
    found = pair_sequences(carried, some, cohort.reference.fetch)
    codes = found.distinct[found.index[:, 1]]
    codes = reverse_complement(codes) if window.reverse else codes
    started = time.perf_counter()
    values = plain_values(run.model, run.read_out, codes, run.device)  # type: ignore[arg-type]
    seconds = (time.perf_counter() - started) * len(pairs) / len(some)
    difference = np.abs(values - (without + effects)[: len(some)]).max() / np.abs(values).max()
    return {
        "gene_id": gene.gene_id,
        "variants": len(pairs),
        "plain_seconds": round(seconds, 2),
        "timed": len(some),
        "shared_seconds": round(shared_seconds, 2),
        "ratio": round(seconds / shared_seconds, 1),
        "largest_difference": float(difference),
    }


def main() -> None:
    """Measure genes evenly spread over the list."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--genes", type=int, default=1)
    parser.add_argument("--plain", type=int, default=8)
    wanted = parser.parse_args()
    opened = Opened.from_config(load_config(wanted.config))
    run, genes = load_models(opened)[0], opened.cohort.genes
    for i in np.linspace(0, len(genes) - 1, wanted.genes).round().astype(int):
        print(json.dumps({"model": run.label, **measure(opened, run, genes[i], wanted.plain)}), flush=True)


if __name__ == "__main__":
    main()
