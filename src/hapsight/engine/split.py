"""Matrix products in another arithmetic than plain float32: the slow, obvious form on any device.

``float16x3``: each operand is scaled by row, split into two float16 numbers, and three of the four products
are summed in float32. ``tf32``: each operand is rounded to 10 bits of mantissa, as tensor cores read it.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

__all__ = ["rounded_to_tf32", "split_product", "tf32_product", "unfolded"]

TOP = 14
"""The largest number of a row is brought to 2 to the power of this, near the end of float16's range."""


def rounded_to_tf32(x: torch.Tensor) -> torch.Tensor:
    """float32 numbers rounded to the 10 bits of mantissa that TF32 keeps, ties away from zero."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x1000) & -0x2000).view(torch.float32)


def tf32_product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """``x @ w.mT`` of operands rounded to TF32, summed in float32: (..., M, K), (..., N, K)."""
    return rounded_to_tf32(x) @ rounded_to_tf32(w).mT


def split_product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """``x @ w.mT`` of operands in two float16 parts: (..., M, K), (..., N, K) to (..., M, N)."""
    (x_high, x_low, x_scale), (w_high, w_low, w_scale) = _parts(x), _parts(w)
    total = x_high @ w_high.mT + (x_high @ w_low.mT + x_low @ w_high.mT)
    return total / x_scale / w_scale.mT


def _parts(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Both parts of scaled rows, as float32, and the scales (..., M, 1)."""
    largest = torch.linalg.vector_norm(x, float("inf"), dim=-1, keepdim=True)
    scale = torch.exp2((TOP + 1.0 - torch.frexp(largest).exponent).clamp(max=127.0))
    scale = torch.where(largest > 0, scale, 1.0)
    scaled = x * scale
    high = scaled.half().float()
    return high, (scaled - high).half().float(), scale


def unfolded(x: torch.Tensor, kernel: int, padding: int, dilation: int) -> torch.Tensor:
    """What each output position of a convolution sees: (B, C, L) to (B, made, C * kernel)."""
    seen = F.unfold(x[:, :, None], (1, kernel), dilation=(1, dilation), padding=(0, padding))
    return seen.mT
