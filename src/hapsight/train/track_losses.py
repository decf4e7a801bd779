"""Losses of predicted tracks against counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import torch

__all__ = ["SMALLEST", "TRACK_LOSSES", "poisson", "poisson_multinomial"]

SMALLEST: Final = 1e-6
"""Added to predictions before their logarithm."""

TOTAL_WEIGHT: Final = 0.5
"""Weight of the totals against the shape in `poisson_multinomial`."""


def poisson(predicted: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Mean over bins of ``p - y log p``, without the constant ``log y!``; (B, P, T) each, to (T,)."""
    predicted = predicted + SMALLEST
    return (predicted - observed * torch.log(predicted)).mean(dim=(0, 1))


def poisson_multinomial(
    predicted: torch.Tensor, observed: torch.Tensor, total_weight: float = TOTAL_WEIGHT
) -> torch.Tensor:
    """A window's total by Poisson, and its shape given the total by the multinomial; (B, P, T) each, to (T,).

    Per bin; with P the sum of predictions p over the window's bins and Y that of counts y it is
    ``(total_weight (P - Y log P) - sum y log(p / P)) / bins``: Poisson itself at a weight of 1, and the
    shape of peaks before their height at less (BPNet, Avsec et al. 2021; Borzoi, Linder et al. 2025).
    """
    predicted = predicted + SMALLEST
    total, counts = predicted.sum(dim=1), observed.sum(dim=1)  # (B, T)
    height = total - counts * torch.log(total)
    shape = counts * torch.log(total) - (observed * torch.log(predicted)).sum(dim=1)
    return (total_weight * height + shape).mean(dim=0) / predicted.shape[1]


TRACK_LOSSES: Final[Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = MappingProxyType(
    {"poisson": poisson, "poisson_multinomial": poisson_multinomial}
)
"""Losses by name."""
