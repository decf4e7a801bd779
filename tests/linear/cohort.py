"""Genes to fit: real ones of the shared cohort, and simulated ones with planted effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hapsight.cohort.expression import read_expression, transform
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.people import read_covariates

CIS = 1_000_000


@dataclass(frozen=True)
class RealGene:
    """One gene of the real cohort, log10 expression; V cis variants, N people, C covariates."""

    gene_id: str
    dosage: np.ndarray  # (V, N) uint8
    distance: np.ndarray  # (V,) bases from the TSS
    expression: np.ndarray  # (N,)
    covariates: np.ndarray  # (N, C)


def real_genes(folder: Path, count: int) -> Iterator[RealGene]:
    """`count` genes of the cohort in a folder, evenly spaced along the chromosome."""
    expression = read_expression(folder / "expression.bed.gz")
    covariates, _ = read_covariates(folder / "covariates.tsv", expression.samples)
    order = np.array([covariates.samples.index(sample) for sample in expression.samples])
    genotypes = GenotypeFile(folder / "genotypes.vcf.gz", expression.samples)
    for i in np.linspace(0, len(expression.genes) - 1, count).round().astype(int):
        gene = expression.genes[i]
        variants, _ = genotypes.read(gene.cis(CIS))
        yield RealGene(
            gene.gene_id,
            variants.dosage,
            np.abs(variants.position - gene.tss),
            transform(expression.values[i], "log10"),
            covariates.values[order],
        )


def simulated_dosage(n_variants: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """(V, n) uint8 dosages in linkage: each haplotype variant copies its neighbour or is drawn anew."""
    alleles = np.empty((n_variants, n, 2), np.uint8)
    for v in range(n_variants):
        fresh = (rng.random((n, 2)) < rng.uniform(0.1, 0.5)).astype(np.uint8)
        copied = rng.random((n, 2)) < 0.9
        alleles[v] = np.where(copied, alleles[v - 1], fresh) if v else fresh
        if v % 7 == 3:
            alleles[v] = 1 - alleles[v - 1]
    return alleles.sum(axis=2, dtype=np.uint8)


def simulated_gene(
    n_variants: int, n: int, seed: int, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dosage (V, n), outcome (n,) with three causal variants, and ten folds (n,)."""
    rng = np.random.default_rng(seed)
    dosage = simulated_dosage(n_variants, n, rng)
    causal = rng.choice(n_variants, 3, replace=False)
    outcome = rng.normal(size=3) @ dosage[causal] + noise * rng.normal(size=n)
    return dosage, outcome, rng.permutation(n) % 10
