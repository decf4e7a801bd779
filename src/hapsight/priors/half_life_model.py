"""Personal half-lives: spliced transcripts as a half-life model such as Saluki takes them.

The layout is that of Saluki (Agarwal and Kelley 2022, Genome Biology 23:245): 12,288 places of six numbers.
Its weights are not part of hapsight; anything with the method of `HalfLifeModel` will do.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.sequence.transcripts import Mrna, PersonalTranscripts

__all__ = ["CHANNELS", "LENGTH", "HalfLifeModel", "half_lives", "six_tracks"]

LENGTH: Final = 12_288
"""Places of Saluki's input."""

CHANNELS: Final = ("A", "C", "G", "T", "first base of a codon", "last base of an exon")

_TOGETHER: Final = 32
"""Transcripts that are predicted at once."""


class HalfLifeModel(Protocol):
    """A model of how long an mRNA lasts."""

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32 | np.float64]:
        """(B,) half-lives, on any scale, of (B, `LENGTH`, 6) transcripts."""


def six_tracks(mrna: Mrna, length: int = LENGTH) -> NDArray[np.float32]:
    """(length, 6) a transcript as Saluki takes it; columns `CHANNELS`.

    A base that is not known is 0 in all four. A shorter transcript begins at the first place and zeros
    follow; of a longer one its 3' end is taken, as Saluki's own program does.
    """
    whole = np.zeros((len(mrna.codes), 6), np.float32)
    whole[:, :4] = mrna.codes[:, None] == np.arange(4)
    whole[mrna.codon_starts, 4] = 1.0
    whole[mrna.splice_sites, 5] = 1.0
    kept = whole[-length:]
    return np.concatenate([kept, np.zeros((length - len(kept), 6), np.float32)])


def half_lives(model: HalfLifeModel, made: PersonalTranscripts) -> NDArray[np.float64]:
    """(N,) of each person, the mean over the two haplotypes; each different transcript is predicted once.

    Raises
    ------
    InputError
        The model gives other than one finite number for each transcript.
    """
    found = np.empty(len(made.distinct))
    for first in range(0, len(found), _TOGETHER):
        batch = np.stack([six_tracks(mrna) for mrna in made.distinct[first : first + _TOGETHER]])
        values = np.asarray(model.predict(batch), np.float64)
        if values.shape != (len(batch),) or not np.isfinite(values).all():
            raise InputError(
                "A half-life model must give one finite number for each transcript.",
                where=f"transcript {made.transcript.transcript_id} of gene {made.transcript.gene_id}",
                expected=(len(batch),),
                got=f"{values.shape}, {int((~np.isfinite(values)).sum())} not finite",
            )
        found[first : first + len(batch)] = values
    means: NDArray[np.float64] = found[made.index].mean(axis=1)
    return means
