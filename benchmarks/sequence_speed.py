"""Haplotypes built per second in Enformer's window, on the cohort that comes with hapsight; one core.

    python benchmarks/sequence_speed.py [--length 196608] [--repeats 5]

Builds *every* haplotype of every person (716), not only the distinct ones, so that the figure can be put
beside other builders; then what `personal_sequences` takes: finding the distinct ones, and building them. The
floor is one copy of that many bytes.
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
from hapsight.sequence.edits import Carriers, Edits
from hapsight.sequence.haplotypes import Window, find_haplotypes, personal_sequences
from hapsight.sequence.kernel import build


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
            out, window.length, window.left, bases, offset, window.anchor, carriers.first, carriers.variant,
            edits.start, edits.removed, edits.inserted_first, edits.inserted, None,
        )  # fmt: skip

    def copy_all() -> None:
        out[:] = bases

    given = window, variants.within, reference.fetch
    found = find_haplotypes(*given)
    seconds = {
        "build": best(build_all, options.repeats),
        "floor": best(copy_all, options.repeats),
        "find": best(lambda: find_haplotypes(*given), options.repeats),
        "build_distinct": best(lambda: found.codes(0, len(found)), options.repeats),
        "personal_sequences": best(lambda: personal_sequences(*given), options.repeats),
    }
    result = {
        "window_bp": window.length,
        "haplotypes": len(out),
        "distinct": len(found),
        "variants": len(variants),
        "haplotypes_per_s": round(len(out) / seconds["build"]),
        "copies_per_s": round(len(out) / seconds["floor"]),
        "share_of_copy_speed": round(seconds["floor"] / seconds["build"], 2),
        "find_s": round(seconds["find"], 5),
        "build_distinct_s": round(seconds["build_distinct"], 5),
        "find_per_build": round(seconds["find"] / seconds["build_distinct"], 2),
        "personal_sequences_s": round(seconds["personal_sequences"], 4),
        "haplotypes_served_per_s": round(len(out) / seconds["personal_sequences"]),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
