"""What the grammar says of people, and of each variant, by their sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.dna import Codes
from hapsight.sequence.haplotypes import personal_sequences
from hapsight.sequence.window import Window
from hapsight.simulate.grammar import Grammar

__all__ = ["PeopleScores", "VariantEffects", "score_people", "score_variants"]

Float = NDArray[np.float64]
ReadVariants = Callable[[Interval], Variants]
FetchReference = Callable[[Interval], Codes]


@dataclass(frozen=True, slots=True, eq=False)
class PeopleScores:
    """One gene's scores.

    Attributes
    ----------
    haplotype
        (N, 2) score of each person's haplotypes, log10 of expression.
    reference
        Score of the reference sequence.
    dropped
        Alleles that could not be applied since they overlap others of the same haplotype.
    """

    haplotype: Float
    reference: float
    dropped: Dropped

    @property
    def person(self) -> Float:
        """(N,) mean of the two haplotypes."""
        return np.asarray(self.haplotype.mean(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class VariantEffects:
    """Effects of the V variants within reach of one gene.

    Attributes
    ----------
    effect
        (V,) score of the reference sequence with ALT less that without, log10 of expression.
    change
        (V, M) how many instances of each motif ALT adds to the reference sequence (negative: takes away).
    """

    variants: Variants
    effect: Float
    change: NDArray[np.int64]


def score_people(gene: Gene, grammar: Grammar, read: ReadVariants, fetch: FetchReference) -> PeopleScores:
    """Score both haplotypes of everyone, by their sequences around the TSS."""
    made = personal_sequences(_window(gene, grammar), read, fetch)
    score = grammar.scores(np.vstack([made.reference[None], made.distinct]))
    return PeopleScores(score[1:][made.index], float(score[0]), made.dropped)


def score_variants(gene: Gene, grammar: Grammar, read: ReadVariants, fetch: FetchReference) -> VariantEffects:
    """Score each variant alone, on the reference sequence."""
    window = _window(gene, grammar)
    variants = read(window.interval).within(window.interval)
    singles = _one_by_one(variants)
    made = personal_sequences(window, singles.within, fetch)
    codes = np.vstack([made.reference[None], made.distinct])
    score, count = grammar.scores(codes), grammar.counts(codes)
    row = 1 + made.index.reshape(-1)[: len(variants)]
    return VariantEffects(variants, score[row] - score[0], count[row] - count[0])


def _window(gene: Gene, grammar: Grammar) -> Window:
    return Window(gene.contig, gene.tss, grammar.reach, grammar.reach + 1)


def _one_by_one(variants: Variants) -> Variants:
    """The variants in made-up people: the v-th haplotype carries the v-th variant and no other."""
    people = (len(variants) + 1) // 2
    alleles = np.eye(len(variants), 2 * people, dtype=np.uint8).reshape(len(variants), people, 2)
    return Variants(
        variants.contig,
        variants.position,
        variants.ref,
        variants.alt,
        variants.variant_id,
        alleles,
        tuple(str(i) for i in range(people)),
    )
