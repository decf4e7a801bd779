"""Basenji2's network in plain torch, in the published width or a narrower one of the same geometry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError
from hapsight.models.binned import index_on

__all__ = [
    "ACTIVATIONS",
    "DILATIONS",
    "STEM_KERNEL",
    "TOWER_KERNEL",
    "TRACKS",
    "WIDTH",
    "Basenji2Net",
    "Channels",
]

WIDTH: Final = 768
"""Channels of the embedding as published."""

TRACKS: Final = 5_313
STEM_KERNEL: Final = 15
TOWER_KERNEL: Final = 5
DILATIONS: Final = (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72)
"""In positions of 128 bases."""

Activation = Callable[[torch.Tensor], torch.Tensor]


def _sigmoid_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Final[Mapping[str, Activation]] = MappingProxyType(
    {"sigmoid": _sigmoid_gelu, "erf": F.gelu, "tanh": partial(F.gelu, approximate="tanh")}
)
"""Forms of GELU: ``sigmoid`` is x sigmoid(1.702 x), with which the published weights were trained."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Channels after the first convolution, after the tower's six, inside dilated layers, before the head."""

    stem: int
    tower: tuple[int, ...]
    dilated: int
    last: int

    @classmethod
    def of_width(cls, width: int = WIDTH) -> Channels:
        """Channels of a network whose embedding has `width` of them, all in the published proportions.

        Raises
        ------
        ConfigError
            `width` not between 8 and the published 768.
        """
        if not 8 <= width <= WIDTH:
            raise ConfigError("Basenji2's 'width' is out of range.", expected=f"8 to {WIDTH}", got=width)
        share = width / WIDTH
        tower = tuple(round(339 * share * 1.1776**block) for block in range(6))
        stem, dilated, last = (round(count * share) for count in (288, 384, 1536))
        return cls(stem, tower, dilated, last)


class ConvBlock(nn.Module):
    """Activation, convolution without bias, batch normalisation with Keras' epsilon."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        activation: Activation,
        *,
        padding: int = 0,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(outputs, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, P) -> (B, outputs, P), P shorter by the kernel's reach that padding does not cover."""
        return self.norm(self.conv(self.activation(x)))  # type: ignore[no-any-return]


class DilatedResidual(nn.Module):
    """Two convolution blocks, the first one dilated with kernel 3, added to their input."""

    def __init__(self, outer: int, inner: int, dilation: int, activation: Activation) -> None:
        super().__init__()
        self.dilation = dilation
        self.wide = ConvBlock(outer, inner, 3, activation, dilation=dilation)
        self.back = ConvBlock(inner, outer, 1, activation)

    def forward(self, x: torch.Tensor, left: int, right: int) -> torch.Tensor:
        """Positions whose neighbours at `dilation` are known: in `x`, or zeros beyond the window's end.

        Parameters
        ----------
        x
            (B, C, P).
        left, right
            Zeros to put beside it, 0 to `dilation`; `dilation` on both sides gives all P positions.

        Returns
        -------
        (B, C, P + left + right - 2 dilation).
        """
        change: torch.Tensor = self.back(self.wide(F.pad(x, (left, right))))  # every activation of 0 is 0
        return x[..., self.dilation - left : x.shape[-1] - self.dilation + right] + change


class Basenji2Net(nn.Module):
    """The network, in evaluation: no dropout."""

    def __init__(
        self, channels: Channels, tracks: int = TRACKS, activation: Activation = _sigmoid_gelu
    ) -> None:
        super().__init__()
        pairs = zip((channels.stem, *channels.tower), channels.tower, strict=False)
        outer = channels.tower[-1]
        self.activation = activation
        self.stem = ConvBlock(4, channels.stem, STEM_KERNEL, activation, padding=STEM_KERNEL // 2)
        self.tower = nn.ModuleList(
            ConvBlock(a, b, TOWER_KERNEL, activation, padding=TOWER_KERNEL // 2) for a, b in pairs
        )
        self.dilated = nn.ModuleList(
            DilatedResidual(outer, channels.dilated, dilation, activation) for dilation in DILATIONS
        )
        self.last = ConvBlock(outer, channels.last, 1, activation)
        self.head = nn.Linear(channels.last, tracks)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Run convolutions and poolings, one-hot (B, 4, S) -> (B, C, S / 128)."""
        for block in (self.stem, *self.tower):
            x = F.max_pool1d(block(x), 2)
        return x

    def outputs(self, x: torch.Tensor, tracks: Sequence[int]) -> torch.Tensor:
        """Run the last block and these rows of the head, (B, C, P) -> (B, P, T)."""
        x = self.activation(self.last(x)).transpose(1, 2)  # (B, P, 1536)
        rows = index_on(tracks, x.device)
        return F.softplus(F.linear(x, self.head.weight[rows], self.head.bias[rows]))
