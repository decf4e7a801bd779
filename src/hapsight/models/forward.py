"""A forward pass: codes one-hot, with gradients or without, the shapes that models refuse, output bins.

A first convolution over DNA, with its pooling, as table look-ups is four times faster on a CPU: the kernel
is six bases wide and the input has four channels of which at most one is on, so each position's value is
the sum of two rows of a table of trimers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from typing import Final

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.dna import N_CODE
from hapsight.errors import ConfigError, InputError
from hapsight.models.protocol import ReadOut, SequenceModel

__all__ = [
    "REDUCE",
    "evaluation",
    "index_on",
    "layers_wanted",
    "of_tracks",
    "one_hot",
    "pooled_by_trimers",
    "reduce_bins",
    "require_positions",
    "require_read_out",
    "require_stretch",
    "require_window",
    "trimer_table",
    "with_gradients",
    "with_layers",
    "without_gradients",
]

_inputs: ContextVar[list[torch.Tensor] | None] = ContextVar("inputs", default=None)
"""Where `one_hot` leaves what it made; ``None`` outside of `with_gradients`."""

_layers: ContextVar[bool] = ContextVar("layers", default=False)
"""Whether this runs inside of `with_layers`."""


def one_hot(codes: torch.Tensor) -> torch.Tensor:
    """One channel for each of A, C, G, T; N and every other code is zero in all four.

    Parameters
    ----------
    codes
        (B, L) uint8, A, C, G, T, N = 0..4.

    Returns
    -------
    (B, 4, L) float32, contiguous, on the device of `codes`.
    """
    bases = torch.arange(4, dtype=codes.dtype, device=codes.device)
    encoded = (codes[:, None, :] == bases[:, None]).to(torch.float32)
    inputs = _inputs.get()
    if inputs is not None:
        inputs.append(encoded.requires_grad_())
    return encoded


@contextmanager
def with_gradients() -> Iterator[list[torch.Tensor]]:
    """Let models keep the graph of what they compute; gives the one-hot inputs that they make inside."""
    inputs: list[torch.Tensor] = []
    token = _inputs.set(inputs)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield inputs
    finally:
        _inputs.reset(token)


@contextmanager
def with_layers() -> Iterator[None]:
    """Let models compute with their layers as they are, in this thread: no tables instead of products.

    Gradients and other arithmetics see the products of layers only, and of the thread that asks for them.
    """
    token = _layers.set(True)
    try:
        yield
    finally:
        _layers.reset(token)


def layers_wanted() -> bool:
    """Whether this runs inside of `with_layers` or `with_gradients`."""
    return _layers.get() or _inputs.get() is not None


@contextmanager
def without_gradients() -> Iterator[None]:
    """``torch.no_grad``, but inside of `with_gradients` nothing."""
    if _inputs.get() is not None:
        yield
    else:
        with torch.no_grad():
            yield


POOL: Final = 30
"""Positions pooled to one."""

_POSITIONS_AT_ONCE: Final = 2_100
"""Positions of the first layer held at once on a CPU (1 MB), a multiple of the pooling's 30."""


def trimer_table(conv: nn.Conv1d) -> torch.Tensor:
    """Tabulate what each trimer adds to each channel of a convolution of width 6 over DNA.

    Returns
    -------
    (250, C): row ``25a + 5b + c`` for codes a, b, c (0..4) in the first half of the kernel,
    125 rows further on for the second half.
    """
    bases = F.pad(conv.weight, (0, 0, 0, 1)).permute(2, 1, 0)  # (6, 5, C), N adds nothing
    halves = [
        a[:, None, None] + b[None, :, None] + c[None, None, :] for a, b, c in (bases[:3], bases[3:])
    ]  # each (5, 5, 5, C)
    return torch.cat([half.flatten(0, 2) for half in halves])


def pooled_by_trimers(codes: torch.Tensor, table: torch.Tensor, conv: nn.Conv1d) -> torch.Tensor:
    """First convolution, ReLU and pooling of one sequence, as sums of two table rows a position.

    Six multiplications of a 4-channel one-hot become one addition, and the full layer (10500, 128)
    never exists; equal to the convolution but for the order of six additions.

    Parameters
    ----------
    codes
        (L,) uint8, L a multiple of 30.
    table
        (250, C) `trimer_table` of `conv`.

    Returns
    -------
    (C, L / 30)
    """
    padded = F.pad(codes.clamp(max=N_CODE).int(), (2, 3), value=N_CODE)  # (L + 5,)
    trimer = 25 * padded[:-2] + 5 * padded[1:-1] + padded[2:]  # (L + 3,)
    rows = torch.stack([trimer[:-3], trimer[3:] + 125], dim=1)  # (L, 2)
    pooled = [
        F.embedding_bag(part, table, mode="sum").view(-1, POOL, table.shape[1]).amax(1)  # (P / 30, C)
        for part in torch.split(rows, _POSITIONS_AT_ONCE)
    ]
    return F.relu(torch.cat(pooled) + conv.get_parameter("bias")).T


def require_window(model: SequenceModel, title: str, codes: torch.Tensor, length: int) -> None:
    """Refuse codes that are not (B, length).

    Parameters
    ----------
    title
        The model's name as people write it.
    """
    if codes.ndim != 2 or codes.shape[1] != length:
        raise InputError(
            f"{title} reads sequences of one length only.",
            where=model.name,
            expected=f"(sequences, {length})",
            got=tuple(codes.shape),
        )


def require_read_out(
    model: SequenceModel,
    title: str,
    read_out: ReadOut,
    length: int,
    reduce: Sequence[str],
    *,
    unit: str = "bins",
) -> None:
    """Refuse a read-out of bins or tracks that the model does not have, or that combines them otherwise.

    Parameters
    ----------
    length
        How many bins the model has.
    reduce
        The ways in which it combines them.
    unit
        What its bins are called.
    """
    counts = {unit: (read_out.bins, length), "tracks": (read_out.tracks, len(model.tracks))}
    for what, (indices, count) in counts.items():
        if not indices or min(indices) < 0 or max(indices) >= count:
            raise ConfigError(
                f"A read-out asks for {what} that {title} does not have.",
                where=f"{model.name}, read-out {read_out.name}",
                expected=f"at least one, each 0 to {count - 1}",
                got=indices,
            )
    if read_out.reduce not in reduce:
        raise ConfigError(
            f"A read-out asks for what {title} does not have: it combines {unit} in an unknown way.",
            where=f"{model.name}, read-out {read_out.name}",
            expected=", ".join(reduce),
            got=repr(read_out.reduce),
        )


def require_stretch(model: SequenceModel, title: str, codes: torch.Tensor, stride: int) -> None:
    """Refuse codes that are not (B, S), S a multiple of the embedding's stride above 0."""
    if codes.ndim != 2 or codes.shape[1] % stride or not codes.shape[1]:
        raise InputError(
            f"{title} embeds stretches of whole positions only.",
            where=model.name,
            expected=f"(sequences, a multiple of {stride})",
            got=tuple(codes.shape),
        )


def require_positions(
    model: SequenceModel, title: str, embedding: torch.Tensor, read_out: ReadOut, shape: tuple[int, int]
) -> None:
    """Refuse an embedding that is not (B, positions, channels) of this `shape`."""
    if embedding.ndim != 3 or embedding.shape[1:] != shape:
        raise InputError(
            f"An embedding does not have the positions that a read-out of {title} depends on.",
            where=f"{model.name}, read-out {read_out.name}",
            expected=f"(sequences, {shape[0]}, {shape[1]})",
            got=tuple(embedding.shape),
        )


REDUCE: Final = ("mean", "sum")
"""Ways to combine bins."""


def reduce_bins(y: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
    """Combine the asked bins, (B, P, T) -> (B, T)."""
    return torch.mean(y, dim=1) if read_out.reduce == "mean" else torch.sum(y, dim=1)


def index_on(indices: Sequence[int], device: torch.device) -> torch.Tensor:
    """Bins or tracks as an index, which is copied to a device once: a copy waits for all that runs there."""
    return _index(tuple(indices), device)


@lru_cache(maxsize=256)
def _index(indices: tuple[int, ...], device: torch.device) -> torch.Tensor:
    with torch.inference_mode(False):  # a gradient may need it later
        return torch.tensor(indices, dtype=torch.int64, device=device)


@contextmanager
def evaluation() -> Iterator[None]:
    """No gradients unless they are asked for, and full float32 on a GPU (no TF32).

    Without cuDNN: its float32 convolutions are slower than im2col and cuBLAS (27 against 43 TFLOP/s, H200).
    """
    with (
        without_gradients(),
        torch.backends.cudnn.flags(enabled=False, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        yield


def of_tracks(read_out: ReadOut, wanted: tuple[int, ...] | None) -> ReadOut:
    """Give the read-out with other tracks, under a name that says so."""
    if wanted is None or wanted == read_out.tracks:
        return read_out
    listed = " ".join(map(str, wanted))
    bins = read_out.description.partition(", ")[2]
    return replace(
        read_out,
        name=f"{read_out.name}, tracks {listed}",
        tracks=wanted,
        description=f"tracks {listed}, {bins}",
    )
