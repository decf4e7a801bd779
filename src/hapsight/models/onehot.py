"""One-hot encoding of DNA codes, on whatever device they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

__all__ = ["layers_wanted", "one_hot", "with_gradients", "with_layers", "without_gradients"]

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
