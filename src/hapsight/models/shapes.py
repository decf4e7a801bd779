"""Shapes that a model can read, as all models refuse others."""

from __future__ import annotations

import torch

from hapsight.errors import InputError
from hapsight.models.protocol import ReadOut, SequenceModel

__all__ = ["require_positions", "require_stretch", "require_window"]


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
