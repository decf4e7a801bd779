"""Half-life features of genes into Xpresso, which has an input for them beside the sequence.

Personal half-lives: spliced transcripts as a half-life model such as Saluki takes them.

The layout is that of Saluki (Agarwal and Kelley 2022, Genome Biology 23:245): 12,288 places of six numbers.
Its weights are not part of hapsight; anything with the method of `HalfLifeModel` will do.

Ribosome loads of people's 5' UTRs, by a model such as Framepool: a prior of what follows transcription.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene
from hapsight.dna import Codes, reverse_complement
from hapsight.engine.views import window_of
from hapsight.errors import InputError
from hapsight.sequence.haplotypes import FetchReference
from hapsight.sequence.transcripts import Mrna, PersonalTranscripts

if TYPE_CHECKING:
    from hapsight.models.xpresso import Xpresso

__all__ = [
    "CHANNELS",
    "LENGTH",
    "HalfLifeModel",
    "RibosomeLoadModel",
    "five_prime_utr",
    "half_life_predictions",
    "half_lives",
    "ribosome_loads",
    "six_tracks",
]


def half_life_predictions(
    model: Xpresso, genes: Sequence[Gene], features: NDArray[np.float64], fetch_reference: FetchReference
) -> NDArray[np.float64]:
    """Xpresso on the reference sequence of each gene, with the gene's own features.

    Parameters
    ----------
    features
        (G, H, 6): of each of G genes, H sets of features to try, standardised as in Xpresso's training.

    Returns
    -------
    (G, H) predictions, float64.
    """
    import torch

    found = np.empty(features.shape[:2])
    for row, gene, sets in zip(found, genes, features, strict=True):
        window = window_of(gene, model.window)
        codes = fetch_reference(window.interval)
        codes = np.ascontiguousarray(reverse_complement(codes) if window.reverse else codes)
        given = torch.from_numpy(codes).to(model.half_life.device), torch.from_numpy(sets)
        row[:] = model.predict_with_half_lives(*given).cpu().numpy()
    return found


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
    loads = model.predict([np.frombuffer(bytearray(utr), np.uint8) for utr in number])[which]
    means: NDArray[np.float64] = loads[made.index].mean(axis=1)
    return means
