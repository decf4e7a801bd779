"""The engine for models with local layers: each distinct chunk once, the rest once per distinct haplotype.

Exact, not approximate: a chunk carries the halo that its positions depend on, and is told apart by its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel, WindowedModel
from hapsight.predict.buffers import allocate
from hapsight.predict.sharing import (
    Chunks,
    DistinctChunks,
    best_core,
    cut_chunks,
    distinct_chunks,
    distinct_stretches,
)

__all__ = ["Work", "count_work", "plain_values", "shared_values"]

Values = NDArray[np.float64]

_EMBED_BASES = 32_768
"""Bases that are embedded in one batch."""

_ACTIVATIONS = 24
"""How many arrays of its embedding's size a model is taken to hold while it reads one haplotype."""


@dataclass(frozen=True, slots=True)
class Work:
    """Distinct work of one window.

    Attributes
    ----------
    chunks, stretch
        Distinct chunks, and the bases that each is computed from.
    windows
        Distinct windows of a `WindowedModel`; else 0.
    reads
        Distinct haplotypes as far as the read-out depends on them.
    flop
        Floating-point operations of all that.
    """

    chunks: int
    stretch: int
    windows: int
    reads: int
    flop: float


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """R haplotypes in terms of distinct things: U chunks, W distinct windows, H distinct rows."""

    chunks: Chunks
    distinct: DistinctChunks
    windows: DistinctChunks | None
    rows: NDArray[np.intp]  # (H,) one haplotype for each distinct row
    row_of: NDArray[np.intp]  # (R,)

    def work(self, model: SharedModel, read_out: ReadOut) -> Work:
        count, stretch = len(self.distinct.row), self.chunks.length
        flop = count * model.embed_flop(stretch) + len(self.rows) * model.read_flop(read_out)
        windows = 0
        if isinstance(model, WindowedModel) and self.windows is not None:
            windows = len(self.windows.row)
            flop += windows * model.window_flop()
        return Work(count, stretch, windows, len(self.rows), flop)


def count_work(model: SharedModel, read_out: ReadOut, codes: Codes) -> Work:
    """Count what `shared_values` would compute for (R, L) codes, without computing it."""
    return _plan(model, read_out, codes, None).work(model, read_out)


def shared_values(
    model: SharedModel,
    read_out: ReadOut,
    codes: Codes,
    *,
    device: torch.device | str,
    batch_size: int = 64,
    budget: int = 2 * 2**30,
    core: int | None = None,
) -> tuple[Values, Work]:
    """(R, T) read-out of (R, L) codes in the model's orientation, and what it took.

    Parameters
    ----------
    budget
        Bytes that embeddings may take in memory, and again what a batch of reads may; more embeddings than
        that go to a temporary file.
    core
        Embedding positions a chunk keeps; chosen by `best_core` where not given.
    """
    plan, device = _plan(model, read_out, codes, core), torch.device(device)
    embedding = _embed(model, codes, plan, device, budget)
    if isinstance(model, WindowedModel):
        values = _read_windows(model, read_out, plan, embedding, device, batch_size, budget)
    else:
        values = _read(model, read_out, plan, embedding, device, batch_size, budget)
    return values[plan.row_of], plan.work(model, read_out)


def plain_values(model: SequenceModel, read_out: ReadOut, codes: Codes, device: torch.device | str) -> Values:
    """(R, T) read-out of (R, L) codes, one forward pass for each: the plain way, to compare with."""
    with torch.inference_mode():
        rows = (torch.from_numpy(row[None]).to(device) for row in codes)
        return np.concatenate([model.predict(row, read_out).double().cpu().numpy() for row in rows])


def _plan(model: SharedModel, read_out: ReadOut, codes: Codes, core: int | None) -> _Plan:
    span, length = model.span(read_out), codes.shape[1]
    chunks = cut_chunks(model.grid, length, span, core or best_core(codes, model.grid, length, span))
    distinct = distinct_chunks(codes, chunks)
    _, rows, row_of = np.unique(distinct.index, axis=0, return_index=True, return_inverse=True)
    windows = None
    if isinstance(model, WindowedModel):
        start = np.arange(span[0], span[1] - model.window_length + 1, model.window_step) * model.grid.stride
        windows = distinct_stretches(codes[rows], start - model.grid.before, model.window_bases)
    return _Plan(chunks, distinct, windows, rows, row_of.reshape(-1))


def _embed(model: SharedModel, codes: Codes, plan: _Plan, device: torch.device, budget: int) -> torch.Tensor:
    """(U, core, channels) wanted positions of every distinct chunk, on the CPU."""
    chunks, distinct = plan.chunks, plan.distinct
    start, skip = chunks.start[distinct.place], chunks.skip[distinct.place]
    made: torch.Tensor | None = None
    size = max(1, _EMBED_BASES // chunks.length)
    for part in _batches(len(start), size):
        rows = [codes[distinct.row[u], start[u] : start[u] + chunks.length] for u in part]
        found = _filled(np.stack(rows), size, device, model.embed).cpu()
        if made is None:
            made = allocate((len(start), chunks.core, found.shape[2]), found.dtype, budget)
        for u, one in zip(part, found, strict=False):
            made[u] = one[skip[u] : skip[u] + chunks.core]
    assert made is not None, "a window has at least one chunk"
    return made


def _read(
    model: SharedModel,
    read_out: ReadOut,
    plan: _Plan,
    embedding: torch.Tensor,
    device: torch.device,
    batch_size: int,
    budget: int,
) -> Values:
    """(H, T) values of the distinct rows."""
    span = plan.chunks.last - plan.chunks.first
    one = _ACTIVATIONS * span * embedding.shape[2] * embedding.element_size()
    size = max(1, min(batch_size, budget // one, len(plan.rows)))
    parts = []
    for part in _batches(len(plan.rows), size):
        gathered = torch.stack([_row(plan, embedding, plan.rows[h]) for h in part])
        values = _filled(gathered, size, device, lambda batch: model.read(batch, read_out))
        parts.append(values[: len(part)].double().cpu().numpy())
    return np.concatenate(parts)


def _row(plan: _Plan, embedding: torch.Tensor, row: int) -> torch.Tensor:
    """(span, channels): a haplotype's embedding, put together from its chunks."""
    parts = embedding[torch.from_numpy(plan.distinct.index[row])]  # (K, core, channels)
    head = parts[:-1].flatten(0, 1)
    return torch.cat([head, parts[-1, plan.chunks.repeated :]])


def _read_windows(
    model: WindowedModel,
    read_out: ReadOut,
    plan: _Plan,
    embedding: torch.Tensor,
    device: torch.device,
    batch_size: int,
    budget: int,
) -> Values:
    """(H, T) values of the distinct rows, each distinct window computed once."""
    assert plan.windows is not None
    windows = plan.windows
    features = allocate((len(windows.row), model.window_features), embedding.dtype, budget)
    order = np.argsort(windows.row, kind="stable")  # windows of one row lie in the same chunks
    for part in _batches(len(order), batch_size):
        found = [
            _positions(
                plan, embedding, plan.rows[windows.row[w]], windows.place[w] * model.window_step, model
            )
            for w in order[part]
        ]
        made = _filled(torch.stack(found), batch_size, device, model.embed_window).cpu()
        features[torch.from_numpy(order[part])] = made[: len(part)]
    size = max(1, min(batch_size, budget // (8 * windows.index.shape[1] * model.window_features)))
    parts = []
    for part in _batches(len(plan.rows), size):
        gathered = features[torch.from_numpy(windows.index[part])]  # (B, windows, window_features)
        values = _filled(gathered, size, device, lambda batch: model.read_windows(batch, read_out))
        parts.append(values[: len(part)].double().cpu().numpy())
    return np.concatenate(parts)


def _positions(
    plan: _Plan, embedding: torch.Tensor, row: int, begin: int, model: WindowedModel
) -> torch.Tensor:
    """(window_length, channels) from position `begin` of the span on, in one haplotype."""
    at = np.arange(begin, begin + model.window_length)
    place = np.minimum(at // plan.chunks.core, len(plan.chunks) - 1)
    inside = at - place * plan.chunks.core
    inside[place == len(plan.chunks) - 1] += plan.chunks.repeated
    chunk = plan.distinct.index[row, place]
    return embedding[torch.from_numpy(chunk), torch.from_numpy(inside)]


def _batches(count: int, size: int) -> Iterator[NDArray[np.intp]]:
    for first in range(0, count, size):
        yield np.arange(first, min(first + size, count))


def _filled(
    rows: NDArray[np.uint8] | torch.Tensor,
    size: int,
    device: torch.device,
    function: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """`function` of a batch filled up to `size` rows, so that every batch has one shape."""
    batch = torch.as_tensor(rows)
    missing = size - len(batch)
    if missing:
        batch = torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])])
    with torch.inference_mode():
        return function(batch.to(device))
