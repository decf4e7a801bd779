"""What each base around a variant is worth to a read-out, on the reference and with the variant.

Two measures. *Saturation*: every base is exchanged for the three others; a base is worth the value with it
less the mean over all four (mean-centred in-silico mutagenesis). *Gradient times input*: one pass forward and
one back, for models where 250 passes are too many; it is a first-order guess of the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Strand, Variants
from hapsight.dna import N_CODE, Codes, decode, reverse_complement
from hapsight.engine.engine import Valuer
from hapsight.engine.outputs import names_its_gene
from hapsight.errors import ConfigError
from hapsight.explain.ism import Distinct, ism_window
from hapsight.explain.mutations import Backgrounds, Pairs, pair_sequences
from hapsight.sequence.haplotypes import FetchReference, Window, coordinate_map

__all__ = ["REACH", "AlleleLogo", "Measure", "allele_logos"]

Float = NDArray[np.float64]
Measure = Literal["saturation", "gradient"]

REACH: Final = 20
"""Bases shown on either side of the variant."""


@dataclass(frozen=True, slots=True, eq=False)
class AlleleLogo:
    """n bases around a variant with one of its alleles, in the direction of transcription.

    Attributes
    ----------
    letters
        n letters; on the minus strand, the complements of the VCF's.
    worth
        (n, T) of each base, in the read-out's units; 0 where it is N.
    first, last
        The allele is ``letters[first:last]``.
    """

    letters: str
    worth: Float
    first: int
    last: int


@names_its_gene
def allele_logos(
    gene: Gene, valuer: Valuer, variant: Variants, fetch_reference: FetchReference, measure: Measure
) -> tuple[AlleleLogo, AlleleLogo]:
    """The bases around a variant with REF and with ALT, all else as on the reference.

    Parameters
    ----------
    variant
        One variant of the model's window; who carries it does not matter.

    Raises
    ------
    ConfigError
        The variant lies at the window's very edge; gradients are asked of a model that gives none.
    """
    window = ism_window(gene, valuer)
    carried = Backgrounds(window, variant, np.zeros((1, 1), np.uint8), np.zeros((0, 2), np.intp))
    pair = Pairs(np.array([0]), np.array([0]))
    made = pair_sequences(carried, pair, fetch_reference)
    codes = made.distinct[made.index[0]]  # (2, L) without and with, forward strand
    crafted = carried.crafted(pair)
    parts = [_part(window, crafted, haplotype) for haplotype in (1, 2)]
    find = _by_saturation if measure == "saturation" else _by_gradient
    worth = find(valuer, window, codes, [shown for shown, _, _ in parts])
    flipped = gene.strand is Strand.MINUS
    ref, alt = (
        _logo(row[shown], own, first, last, flipped)
        for row, own, (shown, first, last) in zip(codes, worth, parts, strict=True)
    )
    return ref, alt


def _part(window: Window, crafted: Variants, haplotype: int) -> tuple[slice, int, int]:
    """Which bases of a haplotype are shown, and where among them the allele begins and ends."""
    found = coordinate_map(window, lambda _: crafted, crafted.samples[0], haplotype)
    before = found.to_haplotype(int(crafted.position[0]) - 1)
    after = found.to_haplotype(int(crafted.end[0]))
    if before is None or after is None:
        raise ConfigError(
            "A variant at the edge of the model's window has no neighbours to show.",
            where=f"{crafted.contig}:{crafted.position[0] + 1}",
            expected=f"within {window.interval}",
        )
    start = max(0, before + 1 - REACH)
    shown = slice(start, min(window.length, after + REACH))
    return shown, before + 1 - start, after - start


def _by_saturation(valuer: Valuer, window: Window, codes: Codes, parts: list[slice]) -> list[Float]:
    """(n, T) of each sequence: the value of the base that is there less the mean over all four."""
    distinct, found = Distinct(valuer, window), []
    for row, part in zip(codes, parts, strict=True):
        places = np.arange(part.start, part.stop)
        mutants = np.repeat(row[None], 4 * len(places), axis=0)
        mutants[np.arange(len(mutants)), np.repeat(places, 4)] = np.tile(np.arange(4), len(places))
        rows = distinct.rows(mutants)
        by_base = distinct.values[rows].reshape(len(places), 4, -1)  # (n, 4, T)
        there = row[places].astype(np.intp)[:, None, None]
        own = np.take_along_axis(by_base, np.minimum(there, N_CODE - 1), axis=1)[:, 0]
        found.append(np.where(there[:, 0] == N_CODE, 0.0, own - by_base.mean(axis=1)))
    return found


def _by_gradient(valuer: Valuer, window: Window, codes: Codes, parts: list[slice]) -> list[Float]:
    """(n, T) of each sequence: the gradient at the base that is there."""
    from hapsight.explain.gradients import gradient_times_input, input_gradient

    oriented = reverse_complement(codes) if window.reverse else codes
    worth = gradient_times_input(input_gradient(valuer, oriented), oriented)  # (2, T, L)
    forward = worth[..., ::-1] if window.reverse else worth
    return [row[:, part].T for row, part in zip(forward, parts, strict=True)]


def _logo(codes: Codes, worth: Float, first: int, last: int, flipped: bool) -> AlleleLogo:
    if not flipped:
        return AlleleLogo(decode(codes), worth, first, last)
    n = len(codes)
    return AlleleLogo(decode(reverse_complement(codes)), worth[::-1], n - last, n - first)
