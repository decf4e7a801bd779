"""What becomes of a read-out where a stretch of the reference is deleted, shuffled, or masked by N.

Shuffled DNA in which every dinucleotide is as frequent as before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval, Strand, Variants
from hapsight.dna import N_CODE, Codes, decode
from hapsight.engine.engine import Valuer
from hapsight.engine.outputs import names_its_gene
from hapsight.explain.ism import Distinct, ism_window, pair_effects
from hapsight.explain.mutations import REFERENCE, Backgrounds, pair_sequences
from hapsight.sequence.haplotypes import FetchReference, Window

__all__ = [
    "ElementEffects",
    "carried_by_nobody",
    "element_effects",
    "misfit",
    "reference_effects",
    "shuffled_dinucleotides",
]

_LETTERS = 5


def shuffled_dinucleotides(codes: Codes, rng: np.random.Generator) -> Codes:
    """Shuffle a sequence (L,) so that the counts of all dinucleotides, and its ends, stay.

    A sequence is a walk over its letters along its dinucleotides; another walk along the same ones is drawn
    (Altschul and Erickson 1985, Mol Biol Evol 2, 526): the dinucleotide by which each letter is left for the
    last time is drawn until these lead from every letter to the end, and the others come in any order. N
    counts as a letter.
    """
    if len(codes) < 3:
        return codes.copy()
    leaves = [codes[1:][codes[:-1] == letter] for letter in range(_LETTERS)]
    last = _last_exits(leaves, int(codes[-1]), rng)
    queues = [_ordered(exits, last[letter], rng) for letter, exits in enumerate(leaves)]
    walk, used = np.empty_like(codes), [0] * _LETTERS
    at = int(codes[0])
    for place in range(len(codes)):
        walk[place] = at
        if place + 1 < len(codes):
            used[at] += 1
            at = int(queues[at][used[at] - 1])
    return walk


def _last_exits(leaves: list[Codes], end: int, rng: np.random.Generator) -> dict[int, int]:
    """Index of the exit that each letter is left by last: together they lead to `end` from everywhere."""
    letters = [letter for letter, exits in enumerate(leaves) if len(exits) and letter != end]
    while True:
        last = {letter: int(rng.integers(len(leaves[letter]))) for letter in letters}
        if all(_leads_to(end, letter, leaves, last) for letter in letters):
            return last | {letter: -1 for letter in range(_LETTERS) if letter not in last}


def _leads_to(end: int, letter: int, leaves: list[Codes], last: dict[int, int]) -> bool:
    for _ in range(_LETTERS):
        if letter == end:
            return True
        letter = int(leaves[letter][last[letter]])
    return letter == end


def _ordered(exits: Codes, last: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A letter's exits in any order, but for the last one (-1: none is fixed)."""
    if last < 0:
        return rng.permutation(exits)
    return np.append(rng.permutation(np.delete(exits, last)), exits[last])


Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ElementEffects:
    """What becomes of a read-out of T tracks without an element.

    Attributes
    ----------
    reference
        (T,) value of the reference sequence.
    deletion
        (T,) change where the element is cut out and the window refilled from beyond.
    shuffle, shuffle_sd
        (T,) mean and standard deviation (divided by n) of the changes over the shuffled draws.
    mask
        (T,) change where the element is all N.
    """

    reference: Float
    deletion: Float
    shuffle: Float
    shuffle_sd: Float
    mask: Float


@names_its_gene
def reference_effects(
    gene: Gene, variants: Variants, valuer: Valuer, fetch_reference: FetchReference
) -> Float:
    """(V, T) effects of variants, each alone on the reference; all must lie in the gene's window."""
    carried = carried_by_nobody(ism_window(gene, valuer), variants)
    pairs = carried.pairs(np.arange(len(variants)), np.array([REFERENCE]))
    return pair_effects(carried, pairs, valuer, fetch_reference)[1]


def misfit(gene: Gene, element: Interval, valuer: Valuer) -> str | None:
    """Why an element cannot be taken out of a gene's window; ``None`` where it can.

    The base before the element must be there as well, as the anchor of the deletion.
    """
    if gene.strand is None and valuer.model.window.oriented:
        either = [misfit(replace(gene, strand=strand), element, valuer) for strand in Strand]
        return either[0] if either[0] == either[1] is not None else "the gene's strand is not known"
    window = ism_window(gene, valuer).interval
    if element.start <= gene.tss < element.end:
        return "the element holds the TSS"
    if element.end <= window.start or element.start >= window.end:
        return "beyond the model's window"
    if element.start <= window.start or element.end > window.end:
        return "reaches out of the model's window"
    return None


@names_its_gene
def element_effects(
    gene: Gene,
    element: Interval,
    valuer: Valuer,
    fetch_reference: FetchReference,
    rng: np.random.Generator,
    draws: int = 10,
) -> ElementEffects:
    """Take an element out of a gene's window in three ways; `misfit` must have nothing against it.

    Parameters
    ----------
    draws
        Shuffled sequences, each with the element's own dinucleotides.
    """
    window = ism_window(gene, valuer)
    codes = fetch_reference(window.interval)
    place = slice(element.start - window.interval.start, element.end - window.interval.start)
    stretches = [shuffled_dinucleotides(codes[place], rng) for _ in range(draws)]
    stretches.append(np.full(len(element), N_CODE, np.uint8))
    made = np.repeat(codes[None], 2 + len(stretches), axis=0)
    made[1] = _without(window, element, fetch_reference)
    made[2:, place] = stretches
    distinct = Distinct(valuer, window)
    rows = distinct.rows(made)
    values = distinct.values[rows]
    change = values - values[0]
    shuffled = change[2:-1]
    return ElementEffects(values[0], change[1], shuffled.mean(axis=0), shuffled.std(axis=0), change[-1])


def _without(window: Window, element: Interval, fetch_reference: FetchReference) -> Codes:
    """(L,) codes of the window where the element is deleted, the TSS where it was."""
    start = element.start - 1
    bases = decode(fetch_reference(Interval(element.contig, start, element.end)))
    nobody = np.empty((1, 0, 2), np.uint8)
    deletion = Variants(
        element.contig, np.array([start], np.int64), (bases,), (bases[0],), ("deletion",), nobody, ()
    )
    carried = carried_by_nobody(window, deletion)
    pairs = carried.pairs(np.array([0]), np.array([REFERENCE]))
    found = pair_sequences(carried, pairs, fetch_reference)
    return np.asarray(found.distinct[found.index[0, 1]])


def carried_by_nobody(window: Window, variants: Variants) -> Backgrounds:
    """Backgrounds of one person who carries none of the variants."""
    none = np.zeros((len(variants), 1, 2), np.uint8)
    alone = Variants(
        variants.contig, variants.position, variants.ref, variants.alt, variants.variant_id, none, ("nobody",)
    )
    return Backgrounds.of_people(window, alone)
