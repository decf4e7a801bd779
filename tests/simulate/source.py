"""A small cohort to simulate from: two contigs, two populations, linked variants, some of them indels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hapsight.cohort.genotypes import GenotypePolicy
from hapsight.cohort.join import Cohort, CohortFiles, open_cohort
from tests.cohort.files import Record, write_bed, write_fasta, write_table, write_vcf

LENGTHS = {"chr1": 15_000, "chr2": 6_000}
GENES = {"g1": ("chr1", 2_000, "+"), "g2": ("chr1", 5_000, "-"), "g3": ("chr1", 5_800, "+"),
         "g4": ("chr1", 9_000, "-"), "g5": ("chr1", 13_000, "+"), "g6": ("chr2", 3_000, "+")}  # fmt: skip
POPULATIONS = ("CEU", "TSI")
FOUNDERS = 10


def write_source(folder: Path, people: int = 40, seed: int = 3, indels: float = 0.15) -> CohortFiles:
    """Write its files."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    genome = {name: "".join(rng.choice(list("ACGT"), length)) for name, length in LENGTHS.items()}
    samples = [f"P{i:03d}" for i in range(people)]
    records = [r for name, text in genome.items() for r in _records(rng, name, text, people, indels)]
    values = {
        name: (contig, tss, rng.gamma(2, 1, people).round(4).tolist())
        for name, (contig, tss, _) in GENES.items()
    }
    genes = [[name, contig, tss, strand] for name, (contig, tss, strand) in GENES.items()]
    sheet = [[s, POPULATIONS[i % 2]] for i, s in enumerate(samples)]
    return CohortFiles(
        genotypes=write_vcf(folder / "genotypes.vcf.gz", records, samples, contigs=LENGTHS),
        reference=write_fasta(folder / "genome.fa.gz", genome),
        expression=write_bed(folder / "expression.bed.gz", values, samples),
        genes=write_table(folder / "genes.tsv", [["gene_id", "chrom", "tss", "strand"], *genes]),
        samples=write_table(folder / "samples.tsv", [["sample_id", "population"], *sheet]),
    )


def open_source(folder: Path, **options: object) -> Cohort:
    """Write and open it."""
    return open_cohort(write_source(folder, **options), GenotypePolicy())[0]  # type: ignore[arg-type]


def _records(
    rng: np.random.Generator, contig: str, sequence: str, people: int, indels: float
) -> list[Record]:
    """A variant every 75 bp; the founders of a population are copied whole."""
    founder = np.array([rng.permutation(FOUNDERS) for _ in range(people)])[:, :2]  # (N, 2)
    population = np.arange(people) % 2
    records, position = [], 200
    while position < len(sequence) - 300:
        position += int(rng.integers(30, 120))
        carried = rng.random((2, FOUNDERS)) < rng.uniform(0.1, 0.6, (2, 1))
        alleles = carried[population[:, None], founder].astype(int)
        ref = alt = sequence[position]
        if rng.random() < indels:
            ref, alt = (sequence[position : position + 3], ref) if rng.random() < 0.5 else (ref, ref + "AC")
        else:
            alt = str(rng.choice([base for base in "ACGT" if base != ref]))
        calls = [f"{a}|{b}" for a, b in alleles]
        records.append(Record(position + 1, ref, alt, calls, f"{contig}v{position + 1}", contig))
    return records
