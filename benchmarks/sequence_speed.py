"""Haplotypes built per second in Enformer's window, on the cohort that comes with hapsight; one core.

    python benchmarks/sequence_speed.py [--length 196608] [--repeats 5]

Builds *every* haplotype of every person (716), not only the distinct ones, so that the figure can be put
beside other builders; then what `personal_sequences` takes, which builds distinct ones only. The floor is one
copy of that many bytes.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.resources import files
from pathlib import Path

import numpy as np

from hapsight.cohort.genes import read_genes
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.reference import Reference
from hapsight.sequence.edits import Carriers, Edits, build
from hapsight.sequence.haplotypes import Window, personal_sequences


def best(action, repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--length", type=int, default=196_608)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    folder = Path(str(files("hapsight") / "demo"))
    gene = read_genes(folder / "genes.tsv")[25]
    window = Window(gene.contig, gene.tss, options.length // 2, options.length // 2)
    reference = Reference(folder / "reference.fa.gz")
    variants, _ = GenotypeFile(folder / "genotypes.vcf.gz").read(window.interval)
    edits, carriers = Edits.of(variants), Carriers.of(variants.haplotypes)
    bases, offset = reference.fetch(window.interval), window.interval.start
    out = np.empty((variants.haplotypes.shape[1], window.length), np.uint8)

    def build_all() -> None:
        build(
            out, window.left, bases, offset, window.anchor, carriers.first, carriers.variant,
            edits.start, edits.removed, edits.inserted_first, edits.inserted,
        )  # fmt: skip

    def copy_all() -> None:
        out[:] = bases

    made = personal_sequences(window, variants.within, reference.fetch)
    distinct = lambda: personal_sequences(window, variants.within, reference.fetch)  # noqa: E731
    seconds = {"build": best(build_all, options.repeats), "floor": best(copy_all, options.repeats)}
    seconds["personal_sequences"] = best(distinct, options.repeats)
    result = {
        "window_bp": window.length,
        "haplotypes": len(out),
        "distinct": len(made.distinct),
        "variants": len(variants),
        "haplotypes_per_s": round(len(out) / seconds["build"]),
        "copies_per_s": round(len(out) / seconds["floor"]),
        "share_of_copy_speed": round(seconds["floor"] / seconds["build"], 2),
        "personal_sequences_s": round(seconds["personal_sequences"], 4),
        "haplotypes_served_per_s": round(len(out) / seconds["personal_sequences"]),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
