"""The engine for sums over elements: each different window of a block of genes is read once.

A haplotype of a gene is then the windows that it has at the elements, each anchored at its element in every
haplotype, so that indels elsewhere do not move it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.dna import Codes
from hapsight.engine.outputs import GenePrediction, whole_values
from hapsight.engine.views import Sequences, margin, views, window_of
from hapsight.errors import ModelError
from hapsight.models.elements import ElementSum
from hapsight.sequence.edits import distinct_rows
from hapsight.sequence.haplotypes import FIRST_MARGIN, Haplotypes, Window, count_variants, find_haplotypes

__all__ = ["PersonalElements", "count_elements", "personal_elements", "predict_elements"]

Index = NDArray[np.intp]

_AROUND = 4 * FIRST_MARGIN
"""Bases around all elements in which variants are read at once; what a longer deletion needs is read anew."""


@dataclass(frozen=True, slots=True, eq=False)
class PersonalElements:
    """A gene's E elements in N people, D combinations of them being distinct; of the first track.

    Attributes
    ----------
    distances
        (E,) of their centres from the TSS; the first is the TSS itself.
    values
        (D, E) of the element model, such as log2(activity + 0.1).
    index
        (N, 2) which combination each person's haplotypes have.
    """

    gene: Gene
    distances: NDArray[np.int64]
    values: NDArray[np.float64]
    index: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class _Elements:
    """A gene's E elements in N people.

    Attributes
    ----------
    distances
        (E,) of their centres from the TSS.
    haplotypes
        Of each element's window.
    n_variants, dropped
        Of all windows; a variant near several counts once.
    """

    gene: Gene
    distances: NDArray[np.int64]
    haplotypes: tuple[Haplotypes, ...]
    n_variants: int
    dropped: Dropped

    @classmethod
    def of(cls, sequences: Sequences, model: ElementSum, gene: Gene) -> Self:
        beyond, reach = margin(sequences.read_out), model.element.window
        near = window_of(gene, model.window, beyond).interval.widen(_AROUND, _AROUND)
        variants = sequences.read_variants(near)

        def read(interval: Interval) -> Variants:
            inside = near.start <= interval.start and interval.end <= near.end
            return variants.within(interval) if inside else sequences.read_variants(interval)

        places = model.places(gene.contig, gene.tss)
        windows = [
            Window(gene.contig, int(place), reach.upstream + beyond, reach.downstream + beyond)
            for place in places
        ]
        found = tuple(find_haplotypes(window, read, sequences.fetch_reference) for window in windows)
        return cls(gene, places - gene.tss, found, *count_variants(windows, variants))

    def combinations(self) -> tuple[Index, Index]:
        """Which of its sequences each element has, (1 + D, E): of the reference (0), then of D haplotypes.

        And which of the D each person has, (N, 2).
        """
        rows = np.stack([1 + found.index.ravel() for found in self.haplotypes], axis=1)  # (2N, E)
        one, same = distinct_rows(rows.astype(np.uint32))
        return np.concatenate([np.zeros_like(rows[:1]), rows[one]]), same.reshape(-1, 2)


class _Distinct:
    """Different sequences, in the order in which they came."""

    def __init__(self) -> None:
        self._number: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._number)

    def number(self, found: Haplotypes) -> Index:
        """(1 + D,) the numbers of a window's reference and its D haplotypes."""
        codes = np.concatenate([found.reference[None], found.codes(0, len(found))])
        return np.array([self._number.setdefault(row.tobytes(), len(self)) for row in codes], np.intp)

    def codes(self) -> Codes:
        """(U, L) all of them."""
        return np.stack([np.frombuffer(row, np.uint8) for row in self._number])


def count_elements(sequences: Sequences, model: ElementSum, gene: Gene) -> tuple[int, float]:
    """Distinct passes and floating-point operations of one gene, its reference included."""
    distinct = _Distinct()
    for found in _Elements.of(sequences, model, gene).haplotypes:
        distinct.number(found)
    passes = len(distinct) * len(list(views(model.element, sequences.read_out)))
    return passes, passes * model.element.flop_per_pass


def predict_elements(
    sequences: Sequences,
    model: ElementSum,
    genes: Sequence[Gene],
    *,
    batch_size: int,
    device: torch.device | str,
) -> list[GenePrediction]:
    """Predict the reference and all distinct haplotypes of some genes, as `predict_genes` does.

    Raises
    ------
    ModelError
        A value is not finite; says in which gene.
    """
    read = _read(sequences, model, genes, batch_size, device)
    return [_prediction(sequences, model, found, values, flop) for found, values, flop in read]


def personal_elements(
    sequences: Sequences,
    model: ElementSum,
    genes: Sequence[Gene],
    *,
    batch_size: int,
    device: torch.device | str,
) -> Iterator[PersonalElements]:
    """Every person's elements of some genes; errors as of `predict_elements`."""
    for found, values, _ in _read(sequences, model, genes, batch_size, device):
        which, index = found.combinations()
        rows = zip(values, which[1:].T, strict=True)
        of_elements = np.stack([one[row, 0] for one, row in rows], axis=1)
        yield PersonalElements(found.gene, found.distances, of_elements, index)


def _read(
    sequences: Sequences,
    model: ElementSum,
    genes: Sequence[Gene],
    batch_size: int,
    device: torch.device | str,
) -> list[tuple[_Elements, list[NDArray[np.float64]], float]]:
    """Of each gene its elements, the values of each one's sequences (1 + D, T), and FLOP of new ones."""
    distinct, every, numbers, ends = _Distinct(), list[_Elements](), list[list[Index]](), [0]
    for gene in genes:
        every.append(_Elements.of(sequences, model, gene))
        numbers.append([distinct.number(found) for found in every[-1].haplotypes])
        ends.append(len(distinct))
    try:
        values = _values(sequences, model, distinct.codes(), batch_size, device)
    except ModelError as error:
        owner = int(np.searchsorted(ends, error.row or 0, side="right")) - 1
        raise error.at(f"gene {genes[owner].gene_id}") from error
    passes = np.diff(ends) * len(list(views(model.element, sequences.read_out)))
    return [
        (found, [values[number] for number in rows], count * model.element.flop_per_pass)
        for found, rows, count in zip(every, numbers, passes.tolist(), strict=True)
    ]


def _values(
    sequences: Sequences, model: ElementSum, codes: Codes, batch_size: int, device: torch.device | str
) -> NDArray[np.float64]:
    """(U, T) read-out of (U, L + 2 * beyond) codes, mean over its views."""
    beyond, every = margin(sequences.read_out), list(views(model.element, sequences.read_out))
    parts = [
        whole_values(model.element, view.read_out, view.of(codes, beyond), batch_size, device)
        for view in every
    ]
    return np.mean(parts, axis=0)  # type: ignore[no-any-return]


def _prediction(
    sequences: Sequences,
    model: ElementSum,
    found: _Elements,
    values: Sequence[NDArray[np.float64]],
    flop: float,
) -> GenePrediction:
    """A gene's values from those of each element's sequences, (1 + D, T)."""
    which, index = found.combinations()
    of_elements = np.stack([one[rows] for one, rows in zip(values, which.T, strict=True)], axis=1)
    made = model.combine(of_elements, found.distances, sequences.read_out.name)
    return GenePrediction(
        found.gene.gene_id,
        found.haplotypes[0].samples,
        made[0],
        made[1:],
        index,
        found.n_variants,
        found.dropped,
        flop,
    )
