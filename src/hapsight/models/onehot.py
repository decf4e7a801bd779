"""One-hot encoding of DNA codes, on whatever device they are."""

from __future__ import annotations

import torch

__all__ = ["one_hot"]


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
    return (codes[:, None, :] == bases[:, None]).to(torch.float32)
