"""Run a model once per distinct haplotype sequence, and give every person their value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.dna import Codes
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.sequence.haplotypes import (
    FetchReference,
    PersonalSequences,
    ReadVariants,
    personal_sequences,
)
from hapsight.sequence.window import Window

__all__ = ["GenePrediction", "predict_genes"]


@dataclass(frozen=True, slots=True, eq=False)
class GenePrediction:
    """One gene's raw values: T tracks, D distinct haplotypes, N people.

    Attributes
    ----------
    reference
        (T,) value of the reference sequence.
    distinct
        (D, T) value of each distinct haplotype.
    index
        (N, 2) row of `distinct` for each person's two haplotypes.
    """

    gene_id: str
    samples: tuple[str, ...]
    reference: NDArray[np.float32]
    distinct: NDArray[np.float32]
    index: NDArray[np.intp]
    n_variants: int
    dropped: Dropped

    @property
    def values(self) -> NDArray[np.float32]:
        """(N, 2, T) raw value of every person's two haplotypes."""
        return self.distinct[self.index]


def predict_genes(
    model: SequenceModel,
    read_out: ReadOut,
    genes: Sequence[Gene],
    read_variants: ReadVariants,
    fetch_reference: FetchReference,
    *,
    batch_size: int,
    device: torch.device,
) -> list[GenePrediction]:
    """Predict the reference and all distinct haplotypes of some genes.

    Sequences are built as batches need them, so memory holds about one batch and one gene's haplotypes.
    Every batch has `batch_size` rows (the last one is filled up), so that a sequence's value does not
    depend on how many others there are.
    """
    wanted = model.window
    made: list[PersonalSequences] = []

    def rows() -> Iterator[Codes]:
        for gene in genes:
            around = Window.around(gene, wanted.upstream, wanted.downstream, wanted.oriented)
            found = personal_sequences(around, read_variants, fetch_reference)
            yield found.oriented(found.reference)
            yield from found.oriented(found.distinct)
            made.append(_without_codes(found))

    values = _run(model, read_out, rows(), batch_size, device)
    ends = np.cumsum([1 + len(found.distinct) for found in made])
    return [
        GenePrediction(
            gene.gene_id, found.samples, part[0], part[1:], found.index, found.n_variants, found.dropped
        )
        for gene, found, part in zip(genes, made, np.split(values, ends)[: len(made)], strict=True)
    ]


def _without_codes(found: PersonalSequences) -> PersonalSequences:
    """The same, holding on to the number of sequences but not to their bases."""
    empty = np.empty((len(found.distinct), 0), np.uint8)
    return PersonalSequences(
        found.window, found.samples, empty[:0], empty, found.index, found.n_variants, found.dropped
    )


def _run(
    model: SequenceModel, read_out: ReadOut, rows: Iterable[Codes], batch_size: int, device: torch.device
) -> NDArray[np.float32]:
    """(R, T) read-out of R sequences, in batches of one shape."""
    source, parts = iter(rows), []
    with torch.inference_mode():
        while batch := list(islice(source, batch_size)):
            filled = batch + [batch[-1]] * (batch_size - len(batch))
            codes = torch.from_numpy(np.stack(filled)).to(device, non_blocking=True)
            parts.append(model.predict(codes, read_out)[: len(batch)].float().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty((0, len(read_out.tracks)), np.float32)
