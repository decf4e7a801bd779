"""Run a model on what is distinct among people's haplotypes, and give every person their values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.dna import Codes
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel
from hapsight.predict.shared import shared_values
from hapsight.predict.views import View, margin, views
from hapsight.predict.windows import window_of
from hapsight.sequence.haplotypes import (
    FetchReference,
    PersonalSequences,
    ReadVariants,
    personal_sequences,
)

__all__ = ["GenePrediction", "Sequences", "predict_genes", "whole_values"]


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
    flop
        Floating-point operations that the model took.
    """

    gene_id: str
    samples: tuple[str, ...]
    reference: NDArray[np.float32]
    distinct: NDArray[np.float32]
    index: NDArray[np.intp]
    n_variants: int
    dropped: Dropped
    flop: float

    @property
    def values(self) -> NDArray[np.float32]:
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
        window = window_of(gene, self.model, margin(self.read_out))
        found = personal_sequences(window, self.read_variants, self.fetch_reference)
        return found, found.oriented(np.concatenate([found.reference[None], found.distinct]))


def predict_genes(
    sequences: Sequences,
    genes: Sequence[Gene],
    *,
    batch_size: int,
    device: torch.device | str,
    budget: int = 2 * 2**30,
) -> list[GenePrediction]:
    """Predict the reference and all distinct haplotypes of some genes.

    Memory holds one gene's haplotypes, one batch, and embeddings up to `budget` bytes. Batches have one
    shape (the last one is filled up), so that a sequence's value does not depend on how many there are.
    """
    model, read_out, device = sequences.model, sequences.read_out, torch.device(device)
    if not genes:
        return []
    made: dict[str, PersonalSequences] = {}
    means: dict[int, NDArray[np.float64]] = {}
    flop = np.zeros(len(genes))
    all_views = list(views(model, read_out))
    for view in all_views:
        parts: Iterable[tuple[NDArray[np.float64], float]]
        if isinstance(model, SharedModel):
            parts = _shared(model, sequences, view, genes, made, batch_size, device, budget)
        else:
            parts = _whole(model, sequences, view, genes, made, batch_size, device)
        for g, (values, took) in enumerate(parts):
            means[g] = means.get(g, np.zeros(1)) + values / len(all_views)
            flop[g] += took
    return [
        _prediction(gene, made[gene.gene_id], np.asarray(mean, np.float32), float(took))
        for gene, mean, took in zip(genes, means.values(), flop, strict=True)
    ]


def _prediction(
    gene: Gene, found: PersonalSequences, values: NDArray[np.float32], flop: float
) -> GenePrediction:
    return GenePrediction(
        gene.gene_id, found.samples, values[0], values[1:], found.index, found.n_variants, found.dropped, flop
    )


def _shared(
    model: SharedModel,
    sequences: Sequences,
    view: View,
    genes: Sequence[Gene],
    made: dict[str, PersonalSequences],
    batch_size: int,
    device: torch.device,
    budget: int,
) -> Iterator[tuple[NDArray[np.float64], float]]:
    """(1 + D, T) values and FLOP of each gene, local work shared between its haplotypes."""
    for gene in genes:
        found, codes = sequences.of(gene)
        made[gene.gene_id] = _without_codes(found)
        seen = view.of(codes, margin(sequences.read_out))
        values, work = shared_values(
            model, view.read_out, seen, device=device, batch_size=batch_size, budget=budget
        )
        yield values, work.flop


def _whole(
    model: SequenceModel,
    sequences: Sequences,
    view: View,
    genes: Sequence[Gene],
    made: dict[str, PersonalSequences],
    batch_size: int,
    device: torch.device,
) -> Iterator[tuple[NDArray[np.float64], float]]:
    """(1 + D, T) values and FLOP of each gene, whole windows, batches across genes."""

    def rows() -> Iterator[Codes]:
        for gene in genes:
            found, codes = sequences.of(gene)
            made[gene.gene_id] = _without_codes(found)
            yield from view.of(codes, margin(sequences.read_out))

    values = whole_values(model, view.read_out, rows(), batch_size, device)
    ends = np.cumsum([1 + len(made[gene.gene_id].distinct) for gene in genes])
    for part in np.split(values, ends)[: len(genes)]:
        yield part, len(part) * model.flop_per_pass


def _without_codes(found: PersonalSequences) -> PersonalSequences:
    """The same, holding on to the number of sequences but not to their bases."""
    empty = np.empty((len(found.distinct), 0), np.uint8)
    return PersonalSequences(
        found.window, found.samples, empty[:0], empty, found.index, found.n_variants, found.dropped
    )


def whole_values(
    model: SequenceModel,
    read_out: ReadOut,
    rows: Iterable[Codes],
    batch_size: int,
    device: torch.device | str,
) -> NDArray[np.float64]:
    """(R, T) read-out of R sequences, in batches of one shape."""
    source, parts = iter(rows), []
    with torch.inference_mode():
        while batch := list(islice(source, batch_size)):
            filled = batch + [batch[-1]] * (batch_size - len(batch))
            codes = torch.from_numpy(np.stack(filled)).to(device, non_blocking=True)
            parts.append(model.predict(codes, read_out)[: len(batch)].double().cpu().numpy())
    return np.concatenate(parts)
