"""What the engine reads of a gene, what it gives, and plain passes over any sequences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.dna import Codes
from hapsight.engine.outputs import finite, of_shape
from hapsight.engine.views import margin, window_of
from hapsight.errors import ModelError
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.sequence.haplotypes import (
    FetchReference,
    Haplotypes,
    PersonalSequences,
    ReadVariants,
    find_haplotypes,
    personal_sequences,
)

__all__ = ["GenePrediction", "Sequences", "whole_values"]

_BASES = 2**20
"""Of the sequences of a batch, at most: the embeddings of 64 wide windows do not fit into memory."""


@dataclass(frozen=True, slots=True, eq=False)
class GenePrediction:
    """One gene's raw values, as the device gave them: T tracks, D distinct haplotypes, N people.

    Attributes
    ----------
    reference
        (T,) value of the reference sequence.
    distinct
        (D, T) value of each distinct haplotype.
    index
        (N, 2) row of `distinct` for each person's two haplotypes.
    flop
        Floating-point operations that the model took.
    """

    gene_id: str
    samples: tuple[str, ...]
    reference: NDArray[np.float64]
    distinct: NDArray[np.float64]
    index: NDArray[np.intp]
    n_variants: int
    dropped: Dropped
    flop: float

    @property
    def values(self) -> NDArray[np.float64]:
        """(N, 2, T) raw value of every person's two haplotypes."""
        return self.distinct[self.index]


@dataclass(frozen=True, slots=True)
class Sequences:
    """Where the personal sequences of genes come from, as one model and read-out want them."""

    model: SequenceModel
    read_out: ReadOut
    read_variants: ReadVariants
    fetch_reference: FetchReference

    def of(self, gene: Gene) -> tuple[PersonalSequences, Codes]:
        """A gene's haplotypes; and (1 + D, L + 2 * margin) codes, the reference first, as the model reads."""
        window = window_of(gene, self.model.window, margin(self.read_out))
        found = personal_sequences(window, self.read_variants, self.fetch_reference)
        return found, found.oriented(np.concatenate([found.reference[None], found.distinct]))

    def find(self, gene: Gene) -> Haplotypes:
        """A gene's haplotypes, to be built when they are needed."""
        window = window_of(gene, self.model.window, margin(self.read_out))
        return find_haplotypes(window, self.read_variants, self.fetch_reference)


def whole_values(
    model: SequenceModel,
    read_out: ReadOut,
    rows: Iterable[Codes],
    batch_size: int,
    device: torch.device | str,
) -> NDArray[np.float64]:
    """(R, T) read-out of R sequences, in batches of one shape; of fewer sequences where windows are wide.

    Raises
    ------
    ModelError
        It is not finite, or no read-out; `row` says of which sequence.
    """
    source, parts, done = iter(rows), list[torch.Tensor](), 0
    batch_size = max(1, min(batch_size, _BASES // model.window.length))
    with torch.inference_mode():
        while batch := list(islice(source, batch_size)):
            filled = batch + [batch[-1]] * (batch_size - len(batch))
            codes = torch.from_numpy(np.stack(filled)).to(device, non_blocking=True)
            try:
                made = of_shape(model, model.predict(codes, read_out), len(filled), len(read_out.tracks))
            except ModelError as error:
                error.row = done
                raise
            parts.append(made[: len(batch)].double())
            done += len(batch)
        return finite(model, torch.cat(parts).cpu().numpy(), "value")
