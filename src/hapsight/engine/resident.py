"""The engine on a GPU: sequences, distinct embeddings and what is read from them stay on the device.

The same steps as `hapsight.engine.shared` on a CPU, and the same numbers. Nothing waits for the device until
the values are asked for, so that the CPU finds the next gene's distinct work meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.engine.outputs import of_shape
from hapsight.engine.sharing import Plan
from hapsight.models.protocol import ReadOut, SharedModel, WindowedModel

__all__ = ["bytes_on_device", "resident_values"]

EMBED_BASES = 2**20
"""Bases that are embedded in one batch, as far as the memory for it reaches."""

BYTES_PER_BASE = 8 * 2**10
"""What a base takes while it is embedded: some 1,000 channels at half resolution, twice, with products."""


def bytes_on_device(model: SharedModel, plan: Plan, codes: torch.Tensor) -> int:
    """Bytes of what `resident_values` keeps: sequences, numbers of positions, embeddings, windows."""
    numbers = 8 * plan.distinct.index.size
    table = 4 * len(plan.distinct.row) * model.grid.channels
    windows = 0
    if isinstance(model, WindowedModel) and plan.windows is not None:
        windows = 4 * len(plan.windows.row) * model.window_features
    return codes.nbytes + numbers + table + windows


def resident_values(
    model: SharedModel,
    read_out: ReadOut,
    codes: torch.Tensor,
    plan: Plan,
    device: torch.device,
    batch: int,
    room: int,
) -> torch.Tensor:
    """(H, T) float64 values of the distinct rows, on the device; the device may still be at work on them.

    Parameters
    ----------
    codes
        (R, L) of all haplotypes, on the CPU.
    batch
        Haplotypes that are read at once; the last batch is filled up.
    room
        Bytes that a batch of stretches may take.
    """
    with torch.inference_mode():
        table = _embedded(model, codes, plan, device, room)  # (D, channels)
        rows = _sent(plan.rows, device)
        numbers = _sent(plan.distinct.index, device)[rows]  # (H, P)
        if isinstance(model, WindowedModel):
            windows = _windows(model, table, numbers, plan, batch, device)  # (H, windows) -> features
            read = partial(_read_windows, model, windows, read_out)
        else:
            read = partial(_read, model, table, numbers, read_out)
        return _in_batches(read, len(rows), batch, device).double()


def _read(
    model: SharedModel, table: torch.Tensor, numbers: torch.Tensor, read_out: ReadOut, some: torch.Tensor
) -> torch.Tensor:
    given = model.read(table[numbers[some].long()], read_out)
    return of_shape(model, given, len(some), len(read_out.tracks))


def _read_windows(
    model: WindowedModel,
    windows: Callable[[torch.Tensor], torch.Tensor],
    read_out: ReadOut,
    some: torch.Tensor,
) -> torch.Tensor:
    given = model.read_windows(windows(some), read_out)
    return of_shape(model, given, len(some), len(read_out.tracks))


def _embedded(
    model: SharedModel, codes: torch.Tensor, plan: Plan, device: torch.device, room: int
) -> torch.Tensor:
    """(D, channels) every distinct position; stretches of one length in one batch."""
    there, stretches = _sent(codes.numpy(), device), plan.stretches
    table: torch.Tensor | None = None
    most = max(1, min(EMBED_BASES, room // BYTES_PER_BASE))
    starts, in_row = _sent(stretches.start, device), _sent(stretches.row, device)
    for some, length in _groups(stretches.length, most):
        chosen = _sent(some, device)
        place = starts[chosen][:, None] + torch.arange(length, device=device)
        row = in_row[chosen][:, None]
        given = model.embed(there[row, place])
        made = of_shape(model, given, len(some), length // model.grid.stride, model.grid.channels)
        wanted = np.concatenate([np.arange(stretches.first[s], stretches.first[s + 1]) for s in some])
        member = np.repeat(np.arange(len(some)), np.diff(stretches.first)[some])
        if table is None:
            table = torch.empty((len(plan.distinct.row), made.shape[2]), dtype=made.dtype, device=device)
        source = _sent(member * made.shape[1] + stretches.skip[wanted], device)
        table[_sent(wanted, device)] = made.flatten(0, 1)[source]
    assert table is not None, "a window has at least one position"
    return table


def _sent(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """A copy on the device, by a stream of its own: it does not wait for what the device is computing."""
    here = torch.from_numpy(array)
    if device.type != "cuda":
        return here.to(device)
    computing, copying = torch.cuda.current_stream(device), _copying_stream(device)
    with torch.cuda.stream(copying):
        there = here.to(device)
    computing.wait_stream(copying)
    there.record_stream(computing)
    return there


@lru_cache
def _copying_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _groups(lengths: NDArray[np.intp], most: int) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Stretches of one length, as many as have `most` bases together; and that length."""
    for length in np.unique(lengths):
        members = np.flatnonzero(lengths == length)
        size = max(1, most // int(length))
        for first in range(0, len(members), size):
            yield members[first : first + size], int(length)


def _windows(
    model: WindowedModel,
    table: torch.Tensor,
    numbers: torch.Tensor,
    plan: Plan,
    batch: int,
    device: torch.device,
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Compute every distinct window once; gives (B, windows, window_features) of some distinct rows."""
    assert plan.windows is not None
    row = _sent(plan.windows.row, device)
    begin = _sent(plan.windows.place * model.window_step, device)
    inside = torch.arange(model.window_length, device=device)

    def embed(some: torch.Tensor) -> torch.Tensor:
        positions = numbers[row[some][:, None], begin[some][:, None] + inside]  # (B, window_length)
        given = model.embed_window(table[positions.long()])
        return of_shape(model, given, len(some), model.window_features)

    features = _in_batches(embed, len(row), batch, device)
    index = _sent(plan.windows.index, device)
    return lambda some: features[index[some].long()]


def _in_batches(
    function: Callable[[torch.Tensor], torch.Tensor], count: int, size: int, device: torch.device
) -> torch.Tensor:
    """`function` of 0 to count - 1, `size` at a time, the last batch filled up."""
    parts = []
    for first in range(0, count, size):
        some = torch.arange(first, first + size, device=device).clamp(max=count - 1)
        parts.append(function(some)[: count - first])
    return torch.cat(parts)
