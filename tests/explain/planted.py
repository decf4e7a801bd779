"""A toy model that knows one motif, and cohorts in which one variant of each gene breaks or makes it.

The model reads the best match to the motif anywhere in its window, and a little of every base. Each gene has
one site; one variant lies in it (*causal*), the others around it. Expression follows the causal variant with
a sign of its own; in the null cohort expression follows nothing, and predictions are exchanged among people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.dna import Codes, encode
from hapsight.explain.motifs import AlleleWindow, Motif

Float = NDArray[np.float64]

SITE = "TGACGTCATT"
LENGTH, CENTRE, FLANK = 120, 55, 20


def motif(strength: float = 0.9) -> Motif:
    table = np.full((4, len(SITE)), (1.0 - strength) / 3)
    table[encode(SITE), np.arange(len(SITE))] = strength
    return Motif("P1", "planted", table)


class MotifModel:
    """Best match to the motif, and a small weight per place and base."""

    def __init__(self, seed: int = 0) -> None:
        self.small = 0.02 * np.random.default_rng(seed).standard_normal((LENGTH, 4))

    def __call__(self, codes: Codes) -> Float:
        """(B,) predictions of (B, L) codes."""
        width = len(SITE)
        windows = np.lib.stride_tricks.sliding_window_view(codes, width, axis=1)
        match = motif().log_odds[windows, np.arange(width)].sum(axis=2).max(axis=1)
        return match + self.small[np.arange(LENGTH), codes].sum(axis=1)


@dataclass(frozen=True)
class PlantedGene:
    """V variants, N people.

    Attributes
    ----------
    causal
        Which variant lies in the site.
    kind
        What its alternative allele does to the motif.
    sign
        Of the causal variant's effect on expression, relative to the model's.
    """

    reference: Codes
    position: NDArray[np.int64]
    alt: Codes
    dosage: NDArray[np.uint8]
    predicted: Float
    expression: Float
    causal: int
    kind: str
    sign: int

    def effects(self, model: MotifModel) -> Float:
        """(V,) in-silico mutagenesis on the reference."""
        mutated = np.repeat(self.reference[None], len(self.position), axis=0)
        mutated[np.arange(len(self.position)), self.position] = self.alt
        return model(mutated) - model(self.reference[None])[0]

    def window(self, v: int) -> AlleleWindow:
        place = int(self.position[v])
        return AlleleWindow(
            self.reference[place - FLANK : place],
            self.reference[place : place + 1],
            self.alt[v : v + 1],
            self.reference[place + 1 : place + 1 + FLANK],
        )


def plant(model: MotifModel, seed: int, people: int = 150, null: bool = False) -> PlantedGene:
    """One gene; a loss or a gain, with the model or against it, at random."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(0, 4, LENGTH).astype(np.uint8)
    reference[CENTRE : CENTRE + len(SITE)] = encode(SITE)
    inside = CENTRE + 4
    outside = rng.choice([p for p in range(FLANK, LENGTH - FLANK) if not CENTRE <= p < CENTRE + 10], 9, False)
    position = np.sort(np.append(outside, inside))
    causal = int(np.flatnonzero(position == inside)[0])
    alt = ((reference[position] + rng.integers(1, 4, 10)) % 4).astype(np.uint8)
    kind = ("loss", "gain")[int(rng.integers(2))]
    if kind == "gain":
        alt[causal], reference[inside] = reference[inside], alt[causal]
    alleles = rng.random((10, people, 2)) < rng.uniform(0.1, 0.5, 10)[:, None, None]
    haplotypes = np.repeat(reference[None], 2 * people, axis=0)
    carried = alleles.reshape(10, 2 * people)
    for v, place in enumerate(position):
        haplotypes[carried[v], place] = alt[v]
    predicted = model(haplotypes).reshape(people, 2).mean(axis=1)
    dosage = alleles.sum(axis=2).astype(np.uint8)
    sign = int(rng.choice([-1, 1]))
    expression = rng.standard_normal(people)
    if null:
        predicted = rng.permutation(predicted)
    else:
        expression += 1.5 * sign * (1 if kind == "gain" else -1) * dosage[causal]
    return PlantedGene(reference, position, alt, dosage, predicted, expression, causal, kind, sign)
