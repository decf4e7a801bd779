"""Xpresso with its convolutions apart from the rest, so that they are computed once for what sequences share.

Worth it where sequences differ at few places, as in mutagenesis: one base touches one or two of
the 35 positions that the convolutions end in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import torch
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.models.binned import evaluation
from hapsight.models.onehot import layers_wanted, one_hot, without_gradients
from hapsight.models.protocol import Grid, ReadOut, SharedModel
from hapsight.models.threads import map_on_threads
from hapsight.models.trimers import POOL, pooled_by_trimers, trimer_table

if TYPE_CHECKING:
    from hapsight.models.xpresso import Xpresso

__all__ = ["LocalXpresso"]

STRIDE: Final = 300
"""Bases of a position: poolings by 30 and by 10. The halo, 122 bases before and 123 behind, is one more."""

CHANNELS: Final = 32


class LocalXpresso(SharedModel):
    """The same model as `whole`, with its name, weights and read-outs; values differ by rounding (some 3e-7).

    Parameters
    ----------
    whole
        The model as it is.
    """

    def __init__(self, whole: Xpresso) -> None:
        self.whole = whole
        self.name, self.fingerprint = whole.name, whole.fingerprint
        self.window, self.tracks = whole.window, whole.tracks
        self.read_outs, self.default_read_out = whole.read_outs, whole.default_read_out
        self.flop_per_pass = whole.flop_per_pass
        self.grid = Grid(STRIDE, STRIDE, STRIDE, CHANNELS)

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.whole.to(device)
        return self

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Predicted expression of (B, 10500) codes, as (B, 1), by the whole model."""
        return self.whole.predict(codes, read_out)

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """All positions: the dense layers see the whole window."""
        return 0, self.window.length // STRIDE

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Both convolutions with their poolings, (B, S) codes to (B, S / 300, 32)."""
        network = self.whole.network
        with without_gradients():
            if codes.device.type != "cpu" or layers_wanted():
                with evaluation():
                    x = F.relu(network.conv1(F.pad(one_hot(codes), (2, 3))))  # (B, 128, S)
                    return network.positions(F.max_pool1d(x, POOL))
            table = trimer_table(network.conv1)

            @torch.no_grad()
            def embed_one(sequence: torch.Tensor) -> torch.Tensor:
                return network.positions(pooled_by_trimers(sequence, table, network.conv1)[None])[0]

            return torch.stack(map_on_threads(embed_one, codes))

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Run the dense layers, (B, 35, 32) to (B, 1)."""
        with without_gradients():
            return self.whole.network.from_positions(embedding, self.whole.half_life)

    def embed_flop(self, bases: int) -> float:
        """FLOP of both convolutions on one stretch of so many bases."""
        network = self.whole.network
        return 2.0 * (bases * network.conv1.weight.numel() + bases // POOL * network.conv2.weight.numel())

    def read_flop(self, read_out: ReadOut) -> float:
        """FLOP of the dense layers on one sequence."""
        network = self.whole.network
        return 2.0 * sum(layer.weight.numel() for layer in (network.dense1, network.dense2, network.dense3))
