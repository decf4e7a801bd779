"""Simulate whole genomes: every person's rare variants and indels, on a stretch of real sequence.

    python tools/simulate_wgs.py COHORT OUT --people 421 --sites-per-kb 13 --indels 0.1 --seed 1

COHORT is a folder with `reference.fa.gz` and `genes.tsv` such as src/hapsight/demo; OUT gets a cohort of the
same genes with simulated genotypes and made-up expression, and `cohort.toml`. Needs msprime (GPL; it is not a
dependency of hapsight). Demography: the out-of-Africa history of Europeans in outline (Gravel et al. 2011):
1,032 people 920 generations ago, growth of 0.38 % a generation; recombination 1.1e-8; the mutation rate is
set so that the wanted density of sites comes out. There are no genotyping errors, so what people share is
overestimated a little.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msprime
import numpy as np
import polars as pl
import pysam

RECOMBINATION = 1.1e-8


def genealogies(people: int, length: int, seed: int):
    demography = msprime.Demography()
    demography.add_population(name="EUR", initial_size=34_000, growth_rate=0.0038)
    demography.add_population_parameters_change(time=920, population="EUR", initial_size=1_861, growth_rate=0)
    demography.add_population_parameters_change(time=2_040, population="EUR", initial_size=14_474)
    demography.add_population_parameters_change(time=5_920, population="EUR", initial_size=7_310)
    return msprime.sim_ancestry(
        {"EUR": people}, demography=demography, sequence_length=length,
        recombination_rate=RECOMBINATION, random_seed=seed,
    )  # fmt: skip


def mutations(trees, sites_per_kb: float, seed: int):
    """Mutate until the density is as wanted; returns the trees and the rate."""
    rate = 1.3e-8
    for _ in range(3):
        found = msprime.sim_mutations(trees, rate=rate, random_seed=seed, model=msprime.BinaryMutationModel())
        rate *= sites_per_kb / (found.num_sites / trees.sequence_length * 1000)
    return msprime.sim_mutations(
        trees, rate=rate, random_seed=seed, model=msprime.BinaryMutationModel()
    ), rate


def alleles(rng, sequence: str, at: int, indels: float) -> tuple[str, str]:
    """A substitution, or an indel of geometric length (mean 3)."""
    base = sequence[at]
    if rng.random() >= indels:
        return base, str(rng.choice([b for b in "ACGT" if b != base]))
    size = int(rng.geometric(1 / 3))
    if rng.random() < 0.55:
        return sequence[at : at + size + 1], base
    return base, base + "".join(rng.choice(list("ACGT"), size))


def write_genotypes(
    path: Path, trees, sequence: str, start: int, contig: str, length: int, indels: float, rng
) -> int:
    people = [f"S{i:04d}" for i in range(trees.num_samples // 2)]
    plain, count = path.with_suffix(""), 0
    with plain.open("w") as out:
        out.write(f"##fileformat=VCFv4.2\n##contig=<ID={contig},length={length}>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Phased genotype">\n')
        out.write(
            "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *people])
            + "\n"
        )
        free = 0
        for variant in trees.variants():
            at = int(variant.site.position)
            if at < free or set(sequence[at : at + 40]) - set("ACGT"):
                continue
            ref, alt = alleles(rng, sequence, at, indels)
            free, count = at + len(ref), count + 1
            calls = "\t".join(f"{a}|{b}" for a, b in np.minimum(variant.genotypes, 1).reshape(-1, 2))
            out.write(f"{contig}\t{start + at + 1}\tv{count}\t{ref}\t{alt}\t.\tPASS\t.\tGT\t{calls}\n")
    pysam.tabix_compress(str(plain), str(path), force=True)
    plain.unlink()
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=421)
    parser.add_argument("--sites-per-kb", type=float, default=13)
    parser.add_argument("--indels", type=float, default=0.1)
    parser.add_argument("--flank", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    genes = pl.read_csv(options.cohort / "genes.tsv", separator="\t")
    contig = genes["chrom"][0]
    start, end = genes["tss"].min() - options.flank, genes["tss"].max() + options.flank
    reference = (options.cohort / "reference.fa.gz").resolve()
    with pysam.FastaFile(str(reference)) as fasta:
        length = fasta.get_reference_length(contig)
        sequence = fasta.fetch(contig, start, end).upper()
    trees, rate = mutations(
        genealogies(options.people, end - start, options.seed), options.sites_per_kb, options.seed
    )
    rng = np.random.default_rng(options.seed)
    genotypes = options.out / "genotypes.vcf.gz"
    count = write_genotypes(genotypes, trees, sequence, start, contig, length, options.indels, rng)
    people = [f"S{i:04d}" for i in range(options.people)]
    made_up = rng.gamma(2, 1, (len(genes), len(people))).round(4)
    bed = genes.select(
        pl.col("chrom").alias("#chr"),
        (pl.col("tss") - 1).alias("start"),
        pl.col("tss").alias("end"),
        pl.col("gene_id").alias("phenotype_id"),
    )
    table = pl.concat([bed, pl.DataFrame(made_up, schema=people)], how="horizontal")
    table.write_csv(options.out / "expression.bed", separator="\t")
    (options.out / "cohort.toml").write_text(
        f'name = "simulated, {options.people} people"\noutput = "run"\n[cohort]\n'
        f'genotypes = "genotypes.vcf.gz"\nreference = "{reference}"\nexpression = "expression.bed"\n'
        f'genes = "{(options.cohort / "genes.tsv").resolve()}"\n[baseline]\nrun = false\n'
    )
    print(f"{count} variants, {count / (end - start) * 1000:.1f} a kb, mutation rate {rate:.2e}")


if __name__ == "__main__":
    main()
