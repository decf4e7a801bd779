"""The engine for models with local layers: each distinct position once, the rest once per distinct haplotype.

Exact, not approximate: a stretch carries the halo that its positions depend on, and they are told apart by
its bytes.

On a GPU everything stays on the device: the same steps, the same numbers, waited for only when needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.engine.buffers import Buffer
from hapsight.engine.outputs import finite, finite_values, of_shape
from hapsight.engine.sharing import (
    LONGEST,
    Plan,
    cut_stretches,
    distinct_positions,
    distinct_rows,
    distinct_stretches,
)
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel, WindowedModel

__all__ = [
    "Started",
    "Work",
    "bytes_on_device",
    "count_work",
    "plain_values",
    "plan_of",
    "shared_values",
    "start_shared",
]

Values = NDArray[np.float64]

_EMBED_BASES = 16_384
"""Bases that are embedded in one batch where embeddings are kept on the CPU.

Larger arrays go back to the system after each layer, and getting them anew takes longer than the layer:
`mini` takes 1.4 ms a kilobase instead of 0.85.
"""

_EMBED_BASES_ON_DEVICE = 2**20
"""The same where everything stays on the device, as far as the memory for it reaches."""

_BYTES_PER_BASE = 8 * 2**10
"""What a base takes while it is embedded: some 1,000 channels at half resolution, twice, with products."""

_ACTIVATIONS = 24
"""How many arrays of its embedding's size a model is taken to hold while it reads one haplotype."""

_CPU_BATCH = 16 * 2**20
"""Bytes of such arrays in a batch on a CPU, whose caches a larger one leaves: 8 of a narrow Enformer's
haplotypes at once take a fifth longer than one by one."""


@dataclass(frozen=True, slots=True)
class Work:
    """Distinct work of one window.

    Attributes
    ----------
    positions
        Distinct embedding positions.
    bases
        Bases of the stretches that they are computed from.
    windows
        Distinct windows of a `WindowedModel`; else 0.
    reads
        Distinct haplotypes as far as the read-out depends on them.
    flop
        Floating-point operations of all that.
    """

    positions: int
    bases: int
    windows: int
    reads: int
    flop: float


def _work(plan: Plan, model: SharedModel, read_out: ReadOut) -> Work:
    """What it takes a model to compute all of a plan once."""
    lengths, counts = np.unique(plan.stretches.length, return_counts=True)
    flop = sum(count * model.embed_flop(int(bases)) for bases, count in zip(lengths, counts, strict=True))
    flop += len(plan.rows) * model.read_flop(read_out)
    windows = 0
    if isinstance(model, WindowedModel) and plan.windows is not None:
        windows = len(plan.windows.row)
        flop += windows * model.window_flop()
    bases = int(plan.stretches.length.sum())
    return Work(len(plan.distinct.row), bases, windows, len(plan.rows), float(flop))


def count_work(model: SharedModel, read_out: ReadOut, codes: Codes | Buffer, budget: int = 2 * 2**30) -> Work:
    """Count what `shared_values` would compute for (R, L) codes, without computing it."""
    return _work(plan_of(model, read_out, _in_buffer(codes), budget), model, read_out)


@dataclass(frozen=True, slots=True, eq=False)
class Started:
    """Work that a device may still be at.

    Attributes
    ----------
    made
        (H, T) values of the distinct rows, on the CPU once the device has `copied` them.
    row_of
        (R,) which of them each haplotype has.
    """

    model: SharedModel
    made: torch.Tensor
    row_of: NDArray[np.intp]
    work: Work
    copied: torch.cuda.Event | None = None

    def values(self) -> Values:
        """(R, T) values of all haplotypes, once they are there.

        Raises
        ------
        ModelError
            One is not finite.
        """
        if self.copied is not None:
            self.copied.synchronize()
        return finite(self.model, self.made.numpy(), "value")[self.row_of]


def shared_values(
    model: SharedModel,
    read_out: ReadOut,
    codes: Codes | Buffer,
    *,
    device: torch.device | str,
    batch_size: int = 64,
    budget: int = 2 * 2**30,
    longest: int = LONGEST,
) -> tuple[Values, Work]:
    """(R, T) read-out of (R, L) codes in the model's orientation, and what it took; see `start_shared`."""
    started = start_shared(
        model, read_out, codes, device=device, batch_size=batch_size, budget=budget, longest=longest
    )
    return started.values(), started.work


def start_shared(
    model: SharedModel,
    read_out: ReadOut,
    codes: Codes | Buffer,
    *,
    device: torch.device | str,
    batch_size: int = 64,
    budget: int = 2 * 2**30,
    longest: int = LONGEST,
    resident: bool | None = None,
    plan: Plan | None = None,
) -> Started:
    """Begin to read (R, L) codes in the model's orientation; a GPU works on while the CPU goes on.

    Parameters
    ----------
    budget
        Bytes that embeddings may take in memory, again what a batch of reads may, and again the codes and
        which distinct position they have in each place; embeddings and numbers beyond that go to temporary
        files. On a GPU: what stays there, and again what a batch may take; a window that needs more goes
        through the CPU's memory batch by batch.
    longest
        Bases of the longest stretch that is computed at once.
    resident
        Whether everything stays on the device; None: on a GPU, where it fits.
    plan
        What `plan_of` found, if it was asked before.
    """
    sequences, device = _in_buffer(codes), torch.device(device)
    plan = plan_of(model, read_out, sequences, budget, longest) if plan is None else plan
    work = _work(plan, model, read_out)
    if resident is None:
        resident = device.type != "cpu" and bytes_on_device(model, plan, sequences.tensor) <= budget
    if resident:
        few = (
            1 << (len(plan.rows) - 1).bit_length()
        )  # powers of two: few shapes, and little that is filled up
        most = max(1, min(batch_size, few, budget // _bytes_of_read(model, plan)))
        size = _least_filled(len(plan.rows), most)
        made = resident_values(model, read_out, sequences.tensor, plan, device, size, budget)
        return _copying(Started(model, made, plan.row_of, work))
    embedding = _embed(model, sequences, plan, device, budget)
    if isinstance(model, WindowedModel):
        values = _read_windows(model, read_out, plan, embedding, device, batch_size, budget)
    else:
        values = _read(model, read_out, plan, embedding, device, batch_size, budget)
    return Started(model, torch.from_numpy(values), plan.row_of, work)


def _least_filled(rows: int, most: int) -> int:
    """Size of batches, `most` to half of that in steps of 8, with which the last is filled up least."""
    sizes = range(most, (most - 1) // 2, -8)
    return min(sizes, key=lambda size: -rows % size)


def _copying(started: Started) -> Started:
    """The same with its values on their way to the CPU; later work of the device need not be waited for."""
    if not started.made.is_cuda:
        return started
    there = torch.empty(started.made.shape, dtype=started.made.dtype, pin_memory=True)
    there.copy_(started.made, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record(torch.cuda.current_stream(started.made.device))
    return replace(started, made=there, copied=copied)


def _bytes_of_read(model: SharedModel, plan: Plan) -> int:
    """Bytes that reading one haplotype takes, about."""
    return _ACTIVATIONS * int(plan.distinct.index.shape[1]) * model.grid.channels * 4


def plain_values(model: SequenceModel, read_out: ReadOut, codes: Codes, device: torch.device | str) -> Values:
    """(R, T) read-out of (R, L) codes, one forward pass for each: the plain way, to compare with."""
    with torch.inference_mode():
        rows = (torch.from_numpy(row[None]).to(device) for row in codes)
        return np.concatenate(
            [finite_values(model, read_out, model.predict(row, read_out), 1) for row in rows]
        )


def _in_buffer(codes: Codes | Buffer) -> Buffer:
    return codes if isinstance(codes, Buffer) else Buffer.of(np.ascontiguousarray(codes))


def plan_of(
    model: SharedModel, read_out: ReadOut, codes: Buffer, budget: int, longest: int = LONGEST
) -> Plan:
    """Find the distinct work of (R, L) codes; see `start_shared` for the budget."""
    span, grid = model.span(read_out), model.grid
    left = max(0, budget - codes.resident)
    distinct = distinct_positions(codes, grid, span, left)
    stretches = cut_stretches(distinct, grid, codes.tensor.shape[1], span, longest)
    rows, row_of = distinct_rows(distinct.numbers)
    windows = None
    if isinstance(model, WindowedModel):
        start = np.arange(span[0], span[1] - model.window_length + 1, model.window_step) * grid.stride
        windows = distinct_stretches(codes, start - grid.before, model.window_bases, rows)
    return Plan(distinct, stretches, windows, rows, row_of)


def _embed(model: SharedModel, sequences: Buffer, plan: Plan, device: torch.device, budget: int) -> Buffer:
    """(D, channels) every distinct position, on the CPU; stretches of one length in one batch."""
    stretches, codes = plan.stretches, sequences.tensor.numpy()
    made: Buffer | None = None
    for some, length in _groups(stretches.length, _EMBED_BASES):
        rows = [codes[stretches.row[s], stretches.start[s] : stretches.start[s] + length] for s in some]
        with torch.inference_mode():
            given = model.embed(torch.from_numpy(np.stack(rows)).to(device))
            found = of_shape(model, given, len(rows), length // model.grid.stride, model.grid.channels).cpu()
        if made is None:
            made = Buffer.allocate((len(plan.distinct.row), found.shape[2]), found.dtype, budget)
        for s, one in zip(some, found, strict=True):
            wanted = slice(int(stretches.first[s]), int(stretches.first[s + 1]))
            made.tensor[wanted] = one[torch.from_numpy(stretches.skip[wanted])]
        sequences.drop()
        made.drop()
    assert made is not None, "a window has at least one position"
    return made


def _read(
    model: SharedModel,
    read_out: ReadOut,
    plan: Plan,
    embedding: Buffer,
    device: torch.device,
    batch_size: int,
    budget: int,
) -> Values:
    """(H, T) values of the distinct rows."""
    table = embedding.tensor
    room = min(budget, _CPU_BATCH) if device.type == "cpu" else budget
    size = max(1, min(batch_size, room // _bytes_of_read(model, plan), len(plan.rows)))
    parts = []
    for part in _batches(len(plan.rows), size):
        gathered = table[plan.distinct.of(plan.rows[part])]  # (B, P, channels)
        embedding.drop()
        plan.distinct.numbers.drop()
        values = _filled(gathered, size, device, lambda batch: model.read(batch, read_out))
        parts.append(finite_values(model, read_out, values, size)[: len(part)])
    return np.concatenate(parts)


def _read_windows(
    model: WindowedModel,
    read_out: ReadOut,
    plan: Plan,
    embedding: Buffer,
    device: torch.device,
    batch_size: int,
    budget: int,
) -> Values:
    """(H, T) values of the distinct rows, each distinct window computed once."""
    assert plan.windows is not None
    windows, table = plan.windows, embedding.tensor
    features = Buffer.allocate((len(windows.row), model.window_features), table.dtype, budget)
    order = np.argsort(windows.row, kind="stable")  # windows of one row share positions
    inside = np.arange(model.window_length)
    for part in _batches(len(order), batch_size):
        some = order[part]
        row, begin = plan.rows[windows.row[some]], windows.place[some] * model.window_step
        positions = plan.distinct.index[row[:, None], begin[:, None] + inside]  # (B, window_length)
        gathered = table[torch.from_numpy(positions).long()]
        made = _filled(gathered, batch_size, device, model.embed_window)
        made = of_shape(model, made, batch_size, model.window_features).cpu()
        features.tensor[torch.from_numpy(some)] = made[: len(some)]
        for buffer in (embedding, features, plan.distinct.numbers):
            buffer.drop()
    size = max(1, min(batch_size, budget // (8 * windows.index.shape[1] * model.window_features)))
    parts = []
    for part in _batches(len(plan.rows), size):
        gathered = features.tensor[windows.of(part)]  # (B, windows, window_features)
        features.drop()
        values = _filled(gathered, size, device, lambda batch: model.read_windows(batch, read_out))
        parts.append(finite_values(model, read_out, values, size)[: len(part)])
    return np.concatenate(parts)


def _groups(lengths: NDArray[np.intp], most: int) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Stretches of one length, as many as have `most` bases together; and that length."""
    for length in np.unique(lengths):
        members = np.flatnonzero(lengths == length)
        size = max(1, most // int(length))
        for first in range(0, len(members), size):
            yield members[first : first + size], int(length)


def _batches(count: int, size: int) -> Iterator[NDArray[np.intp]]:
    for first in range(0, count, size):
        yield np.arange(first, min(first + size, count))


def _filled(
    batch: torch.Tensor,
    size: int,
    device: torch.device,
    function: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """`function` of a batch filled up to `size` rows, so that every batch has one shape."""
    missing = size - len(batch)
    if missing:
        batch = torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])])
    with torch.inference_mode():
        return function(batch.to(device))


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
            read = partial(_read_resident_windows, model, windows, read_out)
        else:
            read = partial(_read_resident, model, table, numbers, read_out)
        return _in_batches(read, len(rows), batch, device).double()


def _read_resident(
    model: SharedModel, table: torch.Tensor, numbers: torch.Tensor, read_out: ReadOut, some: torch.Tensor
) -> torch.Tensor:
    given = model.read(table[numbers[some].long()], read_out)
    return of_shape(model, given, len(some), len(read_out.tracks))


def _read_resident_windows(
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
    most = max(1, min(_EMBED_BASES_ON_DEVICE, room // _BYTES_PER_BASE))
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
