"""A gene's distinct haplotypes as a model takes them, and their differentiable read-outs.

What people share is computed once in training as in prediction: the local layers run on distinct stretches
(`hapsight.engine.sharing`), and their gradients flow back through the same stretches. Where the local
layers are frozen, their outputs are computed once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils import parametrize

from hapsight.dna import Codes
from hapsight.engine.buffers import allocate
from hapsight.engine.outputs import of_shape
from hapsight.engine.sharing import DistinctPositions, Stretches, cut_stretches, distinct_positions
from hapsight.models.onehot import with_gradients
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel

__all__ = ["CachedView", "GeneInput", "SharedView", "View", "WholeView", "cached"]

Index = NDArray[np.intp]

_EMBED_BASES: Final = 32_768
"""Bases that are embedded in one batch."""

_READ_TOGETHER: Final = 64
"""Haplotypes that are read in one batch where no gradient is wanted."""


class View(Protocol):
    """One way to present D haplotypes of a gene to a model (a strand, a shift)."""

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out of these haplotypes, with a graph inside of `with_gradients`."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it holds."""


@dataclass(frozen=True, slots=True, eq=False)
class GeneInput:
    """A gene's haplotypes, in every view whose mean is the read-out."""

    views: Sequence[View]

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out of the distinct haplotypes `rows`; differentiable inside of `with_gradients`."""
        return torch.stack([view.values(rows) for view in self.views]).mean(dim=0)

    def predict(self, rows: Index) -> NDArray[np.float64]:
        """(B,) the same numbers, without gradients."""
        parts = [np.empty(0)]
        with with_gradients(), torch.no_grad():  # the same arithmetic as in training, and no graph
            for first in range(0, len(rows), _READ_TOGETHER):
                values = self.values(rows[first : first + _READ_TOGETHER])
                parts.append(values.double().cpu().numpy())
        return np.concatenate(parts)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it holds."""
        return sum(view.nbytes for view in self.views)


@dataclass(frozen=True, slots=True, eq=False)
class WholeView:
    """Haplotypes of a model that has no local layers: (D, L) codes."""

    model: SequenceModel
    read_out: ReadOut
    codes: Codes
    device: torch.device

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out, one whole pass each."""
        codes = torch.from_numpy(np.ascontiguousarray(self.codes[rows])).to(self.device)
        given = self.model.predict(codes, self.read_out)
        return of_shape(self.model, given, len(rows), len(self.read_out.tracks))[:, 0]

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""
        return self.codes.nbytes


class SharedView:
    """Haplotypes (D, L) of a model with local layers, in terms of their distinct positions."""

    def __init__(self, model: SharedModel, read_out: ReadOut, codes: Codes, device: torch.device) -> None:
        self.model, self.read_out, self.device = model, read_out, device
        self.codes = np.ascontiguousarray(codes)
        span = model.span(read_out)
        self.distinct: DistinctPositions = distinct_positions(self.codes, model.grid, span)
        self.stretches: Stretches = cut_stretches(self.distinct, model.grid, codes.shape[1], span)
        counts = np.diff(self.stretches.first)
        self._stretch_of = np.repeat(np.arange(len(self.stretches)), counts)  # (positions,)

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out; each distinct position that the haplotypes have is computed once."""
        index = self.distinct.index[rows]  # (B, P)
        needed, place = np.unique(index, return_inverse=True)
        with parametrize.cached():  # low-rank additions are added once, not for every batch of stretches
            table = self.positions(needed)  # (K, C)
            embedding = table[torch.from_numpy(place.reshape(index.shape)).to(self.device)]  # (B, P, C)
            given = self.model.read(embedding, self.read_out)
        return of_shape(self.model, given, len(rows), len(self.read_out.tracks))[:, 0]

    def positions(self, needed: Index) -> torch.Tensor:
        """(K, C) embedding of these distinct positions, on the device."""
        stretches, of = self.stretches, self._stretch_of[needed]
        found, order = [], []
        for members in self._batches(np.unique(of)):
            codes = self._codes_of(members)
            positions, channels = codes.shape[1] // self.model.grid.stride, self.model.grid.channels
            embedded = of_shape(self.model, self.model.embed(codes), len(codes), positions, channels)
            asked = np.flatnonzero(np.isin(of, members))
            row = np.searchsorted(members, of[asked])
            skip = stretches.skip[needed[asked]]
            found.append(embedded[torch.from_numpy(row), torch.from_numpy(skip)])
            order.append(asked)
        back = np.argsort(np.concatenate(order))
        return torch.cat(found)[torch.from_numpy(back).to(self.device)]

    def _batches(self, stretches: Index) -> Sequence[Index]:
        """Stretches of one length together, in ascending order within a batch, not too many at once."""
        batches: list[Index] = []
        lengths = self.stretches.length[stretches]
        for length in np.unique(lengths):
            members = stretches[lengths == length]
            size = max(1, _EMBED_BASES // int(length))
            batches += [members[first : first + size] for first in range(0, len(members), size)]
        return batches

    def _codes_of(self, members: Index) -> torch.Tensor:
        at, length = self.stretches.start, self.stretches.length
        rows = [self.codes[self.stretches.row[s], at[s] : at[s] + length[s]] for s in members]
        return torch.from_numpy(np.stack(rows)).to(self.device)

    @property
    def nbytes(self) -> int:
        """Bytes of codes and index."""
        return self.codes.nbytes + self.distinct.index.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class CachedView:
    """Haplotypes whose embedding is known: a (positions, C) table on the CPU, and each one's (D, P) rows."""

    model: SharedModel
    read_out: ReadOut
    table: torch.Tensor
    index: Index
    device: torch.device

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out; only the layers behind the embedding run."""
        embedding = self.table[torch.from_numpy(self.index[rows])].to(self.device)  # (B, P, C)
        given = self.model.read(embedding, self.read_out)
        return of_shape(self.model, given, len(rows), len(self.read_out.tracks))[:, 0]

    @property
    def nbytes(self) -> int:
        """Bytes of table and index, in memory or in a file."""
        return self.table.nbytes + self.index.nbytes


def cached(view: SharedView, budget: int) -> CachedView:
    """Compute all of a view's positions once; beyond `budget` bytes they go to a temporary file."""
    count, table = len(view.distinct.row), None
    step = max(1, _EMBED_BASES // view.model.grid.stride)
    with torch.no_grad():
        for first in range(0, count, step):
            made = view.positions(np.arange(first, min(first + step, count))).cpu()
            if table is None:
                table = allocate((count, made.shape[1]), made.dtype, budget)
            table[first : first + len(made)] = made
    assert table is not None, "a window has at least one position"
    return CachedView(view.model, view.read_out, table, view.distinct.index, view.device)
