"""Losses on one gene in several people: what is learnt about differences between people.

All take P predictions and P observations of one gene. Which scale the observations are on goes with the
loss (`hapsight.train.priors`); predictions are on the model's own.

Losses of predicted tracks against counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import torch
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError

__all__ = [
    "LOSSES",
    "SMALLEST",
    "TRACK_LOSSES",
    "Loss",
    "Scale",
    "at_least_float32",
    "loss_named",
    "mean_plus_difference",
    "mse",
    "mse_plus_pairs",
    "pairwise_bce",
    "pairwise_mse",
    "poisson",
    "poisson_multinomial",
]

Scale = Literal["z", "level", "counts"]
"""``z``: within the gene; ``level``: between genes too; ``counts``: as measured, not negative."""

ALPHA: Final = 0.5
"""Share of the single-person part in `mse_plus_pairs`."""

DIFFERENCE_WEIGHT: Final = 10.0
"""Weight of people's differences in `mean_plus_difference`; the mean's is 1."""

_ANSCOMBE: Final = 3.0 / 8.0


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss by name, and the scale of what it is compared with."""

    name: str
    scale: Scale
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

    def __call__(self, predicted: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
        """Loss, a scalar, of (P,) predictions and (P,) observations of one gene.

        People are compared in float32 at least, whatever autocast and the predictions are.

        Raises
        ------
        ConfigError
            Fewer than two people, or shapes that differ.
        """
        if predicted.shape != observed.shape or predicted.ndim != 1 or len(predicted) < 2:
            raise ConfigError(
                f"The loss {self.name} compares people within one gene.",
                expected="one prediction and one observation of each of at least 2 people",
                got=f"predictions {tuple(predicted.shape)}, observations {tuple(observed.shape)}",
            )
        with torch.autocast(predicted.device.type, enabled=False):
            return self.function(at_least_float32(predicted), at_least_float32(observed))


def at_least_float32(x: torch.Tensor) -> torch.Tensor:
    """The tensor, in float32 where it has fewer digits."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def mse(predicted: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Mean squared error of single people, on z-scores. Known to fail: nothing asks for the differences."""
    return torch.mean((predicted - observed) ** 2)


def pairwise_mse(predicted: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Mean over pairs of people of the squared error of their difference, on z-scores.

    The mean of ``(e_i - e_j)^2`` over pairs is twice the variance (n - 1) of the errors e.
    """
    return 2.0 * torch.var(predicted - observed, correction=1)


def pairwise_bce(predicted: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over pairs of people of "the first has more", on counts (or RPKM).

    The probability that is aimed at is ``Phi(d / sqrt 2)``, d the difference of Anscombe's
    ``2 sqrt(y + 3/8)``, whose variance is 1 for Poisson counts (Anscombe 1948, Biometrika 35:246). The
    predicted one is the logistic function of the difference of predictions.
    """
    first, second = torch.triu_indices(len(predicted), len(predicted), offset=1, device=predicted.device)
    stable = 2.0 * torch.sqrt(observed + _ANSCOMBE)
    wanted = torch.special.ndtr((stable[first] - stable[second]) / math.sqrt(2.0))
    return F.binary_cross_entropy_with_logits(predicted[first] - predicted[second], wanted)


def mse_plus_pairs(predicted: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Half `mse`, half `pairwise_mse`, on z-scores."""
    return ALPHA * mse(predicted, observed) + (1.0 - ALPHA) * pairwise_mse(predicted, observed)


def mean_plus_difference(predicted: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Squared error of the people's mean, plus ten times that of their differences from it, on levels."""
    error = predicted - observed
    return torch.mean(error) ** 2 + DIFFERENCE_WEIGHT * torch.var(error, correction=0)


LOSSES: Final = {
    loss.name: loss
    for loss in (
        Loss("mse", "z", mse),
        Loss("pairwise_mse", "z", pairwise_mse),
        Loss("pairwise_bce", "counts", pairwise_bce),
        Loss("mse_plus_pairs", "z", mse_plus_pairs),
        Loss("mean_plus_difference", "level", mean_plus_difference),
    )
}
"""The losses by name."""


def loss_named(name: str) -> Loss:
    """Give the loss of this name.

    Raises
    ------
    ConfigError
        There is none.
    """
    if name not in LOSSES:
        raise ConfigError("There is no such loss.", expected=", ".join(LOSSES), got=repr(name))
    return LOSSES[name]


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
