"""Beluga: 2,002 chromatin features of 2,000 bases (Zhou et al. 2018), the network beneath ExPecto.

Six convolutions without padding and two poolings leave 106 positions of 640 channels, each of which sees
310 bases and lies 16 bases behind the one before it. Windows that start a multiple of 8 bases apart share
these positions: `BelugaNet.positions` computes one per 8 bases, of which a window takes every other one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError
from hapsight.models import checkpoint
from hapsight.models.onehot import one_hot

__all__ = ["BelugaNet", "base_channels", "random_weights", "read_weights"]

LENGTH: Final = 2_000
FEATURES: Final = 2_002
KERNEL: Final = 8
POOL: Final = 4
STRIDE: Final = 8
"""Bases between the positions of `BelugaNet.positions`."""

AFTER: Final = 304
"""Bases behind its own 8 that such a position sees: 302, rounded up to the stride."""

WINDOW_POSITIONS: Final = 106
WIDTH: Final = 320
"""Channels of the first convolution as published."""

HIDDEN: Final = 2_003
PUBLISHED_NAMES: Final = {
    "conv1": "model.0.0",
    "conv2": "model.0.2",
    "conv3": "model.0.6",
    "conv4": "model.0.8",
    "conv5": "model.0.12",
    "conv6": "model.0.14",
    "dense1": "model.1.2.1",
    "dense2": "model.1.4.1",
}
"""Our layer -> its name in the published checkpoint; convolutions are two-dimensional there, (1, 8)."""


class BelugaNet(nn.Module):
    """The network; B one-hot sequences in, 2,002 probabilities each out.

    Parameters
    ----------
    width
        Channels of the first convolution: 320 as published, or a smaller even number for a narrow network of
        the same geometry (1, 1.5 and 2 times `width` channels; the hidden layer in proportion).

    Raises
    ------
    ConfigError
        A `width` that is not an even number from 2 to 320.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        if width not in range(2, WIDTH + 1, 2):
            raise ConfigError("Beluga's 'width' must be an even number from 2 to 320.", got=width)
        low, middle, high = width, 3 * width // 2, 2 * width
        hidden = HIDDEN * width // WIDTH
        self.channels = high
        self.conv1 = nn.Conv1d(4, low, KERNEL)
        self.conv2 = nn.Conv1d(low, low, KERNEL)
        self.conv3 = nn.Conv1d(low, middle, KERNEL)
        self.conv4 = nn.Conv1d(middle, middle, KERNEL)
        self.conv5 = nn.Conv1d(middle, high, KERNEL)
        self.conv6 = nn.Conv1d(high, high, KERNEL)
        self.dense1 = nn.Linear(high * WINDOW_POSITIONS, hidden)
        self.dense2 = nn.Linear(hidden, FEATURES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict from one window, (B, 4, 2000) of `base_channels`, to (B, 2002)."""
        x = F.max_pool1d(self._before_second_pool(x), POOL)  # (B, 480, 120)
        x = F.relu(self.conv5(x))  # (B, 640, 113)
        x = F.relu(self.conv6(x))  # (B, 640, 106)
        return self.features(x)

    def positions(self, x: torch.Tensor) -> torch.Tensor:
        """Run the convolutions once for all windows that start on a grid of 8 bases.

        The second pooling starts at every other element, which gives the windows that begin at 0 and those
        that begin at 8 modulo 16 beside each other; the last two convolutions step over the neighbours.

        Parameters
        ----------
        x
            (B, 4, S), S a multiple of 8 and at least 312.

        Returns
        -------
        (B, 640, (S - 304) / 8); position j sees bases ``[8 j, 8 j + 310)``.
        """
        x = F.max_pool1d(self._before_second_pool(x), POOL, stride=2)  # (B, 480, S/8 - 10)
        x = F.relu(F.conv1d(x, self.conv5.weight, self.conv5.bias, dilation=2))  # (B, 640, S/8 - 24)
        return F.relu(F.conv1d(x, self.conv6.weight, self.conv6.bias, dilation=2))  # (B, 640, S/8 - 38)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Run the dense layers on a window's positions, (B, 640, 106) to (B, 2002)."""
        x = F.relu(self.dense1(x.flatten(1)))  # (B, 2003), flattened channel-major
        return torch.sigmoid(self.dense2(x))  # (B, 2002)

    def _before_second_pool(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(x))  # (B, 320, S - 7)
        x = F.relu(self.conv2(x))  # (B, 320, S - 14)
        x = F.max_pool1d(x, POOL)  # (B, 320, (S - 14) / 4)
        x = F.relu(self.conv3(x))  # (B, 480, (S - 14) / 4 - 7)
        return F.relu(self.conv4(x))  # (B, 480, (S - 14) / 4 - 14)

    def convolution_flop(self, bases: int, spacing: int) -> float:
        """FLOP of the convolutions on one strand of a stretch, with a position per `spacing` (8, 16) bases.

        16 is a window of its own, 8 is `positions`.
        """
        pooled = (bases - 14) // POOL
        again = (pooled - 14 - POOL) * 4 // spacing + 1
        step = 16 // spacing  # how far apart the last two convolutions' inputs lie
        lengths = {
            self.conv1: bases - 7,
            self.conv2: bases - 14,
            self.conv3: pooled - 7,
            self.conv4: pooled - 14,
            self.conv5: again - 7 * step,
            self.conv6: again - 14 * step,
        }
        return sum(2.0 * length * layer.weight.numel() for layer, length in lengths.items())

    def dense_flop(self) -> float:
        """FLOP of the dense layers on one strand of one window."""
        return 2.0 * (self.dense1.weight.numel() + self.dense2.weight.numel())


def base_channels(codes: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """One-hot encode in Beluga's order, **A, G, C, T**: (B, L) codes to (B, 4, L); N is zero in all four.

    In this order the reverse complement is ``flip(1, 2)``.
    """
    return one_hot(codes)[:, [0, 2, 1, 3]].to(dtype)


def read_weights(path: Path, width: int = WIDTH) -> dict[str, torch.Tensor]:
    """State dict of `BelugaNet` from the published ``deepsea.beluga.pth``, or the same as .safetensors.

    Nothing that the file holds is run: tensors are read, anything else is refused.

    Raises
    ------
    WeightsError
        Another format, a missing or foreign layer, another shape, or numbers that are not finite.
    """
    with torch.device("meta"):
        own = BelugaNet(width).state_dict()
    shapes = {_published(name): _published_shape(tensor) for name, tensor in own.items()}
    read = checkpoint.read_safetensors if path.suffix == ".safetensors" else checkpoint.read_torch
    arrays = read(path, shapes)
    return {name: torch.from_numpy(arrays[_published(name)]).reshape(own[name].shape) for name in own}


def random_weights(width: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """State dict of a `BelugaNet` that nobody trained, of a size that keeps signals alive in all layers."""
    with torch.device("meta"):
        own = BelugaNet(width).state_dict()
    return {name: _random(tensor.shape, rng) for name, tensor in own.items()}


def _random(shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    spread = np.sqrt(2.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
    return torch.from_numpy(rng.standard_normal(tuple(shape), dtype=np.float32) * np.float32(spread))


def _published(name: str) -> str:
    layer, kind = name.split(".")
    return f"{PUBLISHED_NAMES[layer]}.{kind}"


def _published_shape(tensor: torch.Tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    return (*shape[:2], 1, shape[2]) if len(shape) == 3 else shape
