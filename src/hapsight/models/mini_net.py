"""The network of `mini`: convolutions and poolings to bins of 32 bases, then dilated residual layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError
from hapsight.models.binned import index_on

__all__ = ["CONTEXT_BINS", "DILATIONS", "POOLS", "REACH", "STRIDE", "Channels", "MiniNet"]

KERNELS: Final = (15, 5, 5)
POOLS: Final = (4, 4, 2)
STRIDE: Final = 32
"""Bases of a bin: the product of the poolings."""

REACH: Final = 7 + 4 * 2 + 16 * 2
"""Bases that a bin of the embedding sees beyond its own 32: half of each kernel, at its stride."""

DILATIONS: Final = (1, 2, 4, 8, 16, 32)
"""Of the residual layers, in bins."""

CONTEXT_BINS: Final = sum(DILATIONS)
"""Bins on either side that a predicted bin depends on."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Channels after the first and the second convolution, and from the third on."""

    stem: int = 128
    middle: int = 128
    width: int = 160

    def __post_init__(self) -> None:
        if min(self.stem, self.middle, self.width) < 1:
            raise ConfigError("A layer of mini has no channels.", expected="at least 1 each", got=self)

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> Channels:
        """Channels of the network whose weights have these shapes."""
        return cls(*(shapes[f"convolutions.{layer}.weight"][0] for layer in range(3)))


class Residual(nn.Module):
    """A dilated and a pointwise convolution, added to their input."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.BatchNorm1d(width)
        self.wide = nn.Conv1d(width, width, 3, dilation=dilation, bias=False)
        self.inner_norm = nn.BatchNorm1d(width)
        self.back = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.back.weight)  # at first the layer is the identity

    def forward(self, x: torch.Tensor, left: int, right: int) -> torch.Tensor:
        """Positions whose neighbours at `dilation` are known: in `x`, or zeros beyond the window's end.

        Parameters
        ----------
        x
            (B, C, P).
        left, right
            Zeros to put beside the normalised input, 0 to `dilation`; `dilation` on both sides gives all P.

        Returns
        -------
        (B, C, P + left + right - 2 dilation).
        """
        change = self.wide(F.pad(F.gelu(self.norm(x), approximate="tanh"), (left, right)))
        change = self.dropout(self.back(F.gelu(self.inner_norm(change), approximate="tanh")))
        kept = x[..., self.dilation - left : x.shape[-1] - self.dilation + right]
        return kept + change  # type: ignore[no-any-return]


class MiniNet(nn.Module):
    """The network.

    Parameters
    ----------
    tracks
        Outputs of a bin.
    dropout
        Share of each residual layer's numbers that is left out while training.
    """

    def __init__(self, channels: Channels, tracks: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.channels, self.tracks = channels, tracks
        widths = (4, channels.stem, channels.middle, channels.width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel, padding=kernel // 2, bias=False)
            for a, b, kernel in zip(widths, widths[1:], KERNELS, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])
        self.residuals = nn.ModuleList(Residual(channels.width, d, dropout) for d in DILATIONS)
        self.last = nn.Conv1d(channels.width, channels.width, 1)
        self.head = nn.Linear(channels.width, tracks)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Run convolutions and poolings, one-hot (B, 4, S) -> (B, C, S / 32)."""
        for number, (convolution, norm, pool) in enumerate(
            zip(self.convolutions, self.norms, POOLS, strict=True)
        ):
            x = norm(F.max_pool1d(convolution(x), pool))
            x = F.relu(x) if number < len(POOLS) - 1 else x  # residual layers activate it themselves
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict all bins, one-hot (B, 4, S) -> (B, S / 32, tracks); beyond the ends are zeros."""
        return self.outputs(self.positions(x))

    def positions(self, x: torch.Tensor) -> torch.Tensor:
        """Run everything before `outputs`, one-hot (B, 4, S) -> (B, C, S / 32)."""
        x = self.embed(x)
        for layer in self.residuals:
            x = layer(x, layer.dilation, layer.dilation)
        return x

    def outputs(self, x: torch.Tensor, tracks: Sequence[int] | None = None) -> torch.Tensor:
        """Run the last layer and the head, or these rows of it, (B, C, P) -> (B, P, T), each above 0."""
        return F.softplus(self.linear(x, tracks))

    def linear(self, x: torch.Tensor, tracks: Sequence[int] | None = None) -> torch.Tensor:
        """`outputs` before their softplus: any number."""
        x = F.gelu(self.last(F.gelu(x, approximate="tanh")), approximate="tanh").transpose(1, 2)
        if tracks is None:
            return self.head(x)  # type: ignore[no-any-return]
        rows = index_on(tracks, x.device)
        return F.linear(x, self.head.weight[rows], self.head.bias[rows])

    def embed_flop(self, bases: int) -> float:
        """Floating-point operations of `embed` on so many bases."""
        c = self.channels
        per_base: float = KERNELS[0] * 4 * c.stem
        per_base += KERNELS[1] * c.stem * c.middle / POOLS[0]
        per_base += KERNELS[2] * c.middle * c.width / (POOLS[0] * POOLS[1])
        return 2.0 * bases * per_base

    def residual_flop(self, bins: int) -> float:
        """Floating-point operations of one residual layer on so many bins."""
        return 2.0 * bins * 4 * self.channels.width**2

    def output_flop(self, bins: int, tracks: int) -> float:
        """Floating-point operations of `outputs` on so many bins and tracks."""
        return 2.0 * bins * self.channels.width * (self.channels.width + tracks)
