"""Low-rank additions to the weights of a network's layers (LoRA, Hu et al. 2022).

Additions are parametrisations of the weight itself (`torch.nn.utils.parametrize`). So they are exact for
every linear layer and convolution, whatever its stride, dilation, padding mode or groups, and for code that
reads a layer's weight past the layer, such as some rows of a head.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn.utils import parametrize

from hapsight.errors import ConfigError

__all__ = ["LowRank", "add_lora", "merged_state"]

_LAYERS: Final = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_SCALE: Final = 2.0
"""What the product of the matrices is multiplied by (LoRA's alpha over its rank)."""

_PLACE: Final = "parametrizations.weight.0"
"""What torch calls an addition within its layer."""


class LowRank(nn.Module):
    """``weight + 2 * up @ down``: a weight (out, ...) is seen as a matrix (out, product of the rest).

    Attributes
    ----------
    down
        (rank, product of the rest), at first as torch draws the weights of layers.
    up
        (out, rank), at first 0.
    """

    def __init__(self, weight: torch.Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        rank, bound = min(rank, outputs, inputs), inputs**-0.5
        down = torch.empty(rank, inputs).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(weight.new_zeros(outputs, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with the addition, of the same shape."""
        return weight + _SCALE * (self.up @ self.down).view_as(weight)


def add_lora(network: nn.Module, rank: int, seed: int) -> None:
    """Add trainable low-rank matrices to all linear layers and convolutions of a network; freeze the rest.

    The network's outputs stay as they are until something is learnt. The weights that were there are called
    ``<layer>.parametrizations.weight.original`` in its state dict, the additions
    ``<layer>.parametrizations.weight.0.down`` and ``.up``.

    Parameters
    ----------
    rank
        Rank of the additions; of a smaller layer, its smaller dimension.

    Raises
    ------
    ConfigError
        There is no such layer.
    """
    layers = [m for m in network.modules() if isinstance(m, _LAYERS) and not parametrize.is_parametrized(m)]
    if not layers:
        raise ConfigError(
            "The network has no layer for low-rank additions.",
            expected=", ".join(f"torch.nn.{layer.__name__}" for layer in _LAYERS),
            fix="use the mode full",
        )
    network.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)  # of the CPU: the same numbers on every device
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, generator))


def merged_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """State dict under the network's own names, low-rank additions added to the weights they go with.

    The weights are to the bit those that the network computes with.
    """
    merged = network.state_dict()
    for name, module in network.named_modules():
        if isinstance(module, LowRank):
            prefix = name.removesuffix(_PLACE)
            layer = network.get_submodule(prefix.rstrip("."))
            assert isinstance(layer, _LAYERS)
            merged = {own: t for own, t in merged.items() if not own.startswith(f"{prefix}parametrizations.")}
            merged[f"{prefix}weight"] = layer.weight.detach()
    return merged
