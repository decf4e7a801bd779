"""Ribosome loads of people's 5' UTRs, by a model such as Framepool: a prior of what follows transcription."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.sequence.transcripts import Mrna, PersonalTranscripts

__all__ = ["RibosomeLoadModel", "five_prime_utr", "ribosome_loads"]

SHORTEST = 3
"""Bases of a 5' UTR that can be read."""


class RibosomeLoadModel(Protocol):
    """A model of the mean ribosome load of an mRNA, such as `hapsight.models.framepool.Framepool`."""

    def predict(self, utrs: Sequence[Codes]) -> NDArray[np.float64]:
        """(U,) loads of U 5' UTRs, 5' to 3', that end before the start codon."""


def five_prime_utr(mrna: Mrna) -> Codes:
    """What lies before the first coding base that is left; a new upstream start codon is part of it."""
    return mrna.codes[: int(mrna.codon_starts[0])] if len(mrna.codon_starts) else mrna.codes[:0]


def ribosome_loads(model: RibosomeLoadModel, made: PersonalTranscripts) -> NDArray[np.float64] | None:
    """(N,) of each person, the mean over the two haplotypes; each different 5' UTR is predicted once.

    None for a transcript whose start codon is not annotated, or of which somebody's 5' UTR is shorter than 3
    bases.
    """
    utrs = [five_prime_utr(mrna) for mrna in made.distinct]
    if made.transcript.phase or min(map(len, utrs)) < SHORTEST:
        return None
    number: dict[bytes, int] = {}
    which = np.array([number.setdefault(utr.tobytes(), len(number)) for utr in utrs])
    loads = model.predict([np.frombuffer(utr, np.uint8) for utr in number])[which]
    means: NDArray[np.float64] = loads[made.index].mean(axis=1)
    return means
