"""What models have in common: the shapes that they refuse, how they are evaluated, output bins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Final

import torch

from hapsight.errors import ConfigError, InputError
from hapsight.models.onehot import without_gradients
from hapsight.models.protocol import ReadOut, SequenceModel

__all__ = [
    "REDUCE",
    "evaluation",
    "index_on",
    "of_tracks",
    "reduce_bins",
    "require_positions",
    "require_read_out",
    "require_stretch",
    "require_window",
]


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
