"""Counts of either haplotype, and total expression, of people with one planted cis effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from hapsight.stats.alleles import allelic_regression


@dataclass(frozen=True)
class Design:
    """What is simulated; log2 throughout.

    Attributes
    ----------
    effect
        log2 ratio of the ALT haplotype to the other: the allelic fold change.
    maf, exonic
        Frequency of the driver; share of people whose reads tell the haplotypes apart.
    reads, rho
        Mean reads that do, of a person (Poisson); their overdispersion.
    noise
        Standard deviation of log2 total expression by what is the person's own (technical, environment).
    confounders
        The same of what is shared by genes (batches, cell state, trans effects) and was not taken out.
    """

    effect: float = 0.4
    maf: float = 0.3
    exonic: float = 0.6
    reads: float = 100
    rho: float = 0.01
    noise: float = 0.4
    confounders: float = 0.5


def draw(design: Design, people: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """ALT on haplotype 1 less 2, dosage, log2 total expression, reads of either haplotype (0 if not told)."""
    alleles = rng.random((people, 2)) < design.maf
    each = np.exp2(design.effect * alleles)
    told = rng.random(people) < design.exonic
    own, shared = rng.standard_normal((2, people))
    n = rng.poisson(design.reads, people) * told
    p, size = each[:, 0] / each.sum(axis=1), (1 - design.rho) / design.rho
    first = rng.binomial(n, rng.beta(p * size, (1 - p) * size))
    total = np.log2(each.sum(axis=1)) + design.noise * own + design.confounders * shared
    signed = alleles[:, 0].astype(float) - alleles[:, 1]
    return signed, alleles.sum(axis=1), total, first, n - first


def power(
    design: Design, people: int, draws: int, by: Literal["total", "ratio"], seed: int, level: float = 1e-3
) -> float:
    """Share of draws in which the effect has p below `level` and the right sign."""
    found = 0
    for number in range(draws):
        signed, dosage, total, first, second = draw(design, people, np.random.default_rng([seed, number]))
        if by == "total":
            fit = stats.linregress(dosage, total) if np.ptp(dosage) else None
            found += fit is not None and fit.pvalue < level and fit.slope > 0
        else:
            other = allelic_regression(first, second, signed)
            found += other.pval is not None and other.pval < level and other.slope > 0
    return found / draws
