"""Enformer's sizes, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from hapsight.errors import ConfigError

__all__ = ["BINS", "CROP", "LAYERS", "LENGTH", "POSITIONS", "STRIDE", "TRACKS", "WIDTH", "Geometry"]

LENGTH: Final = 196_608
STRIDE: Final = 128
POSITIONS: Final = LENGTH // STRIDE
CROP: Final = 320
BINS: Final = POSITIONS - 2 * CROP
TRACKS: Final = 5_313
LAYERS: Final = 11
WIDTH: Final = 1_536


@dataclass(frozen=True, slots=True)
class Geometry:
    """Channels and heads; all other sizes are the published model's.

    FLOP are those of the layers as published, 2 per multiply-add of convolutions and matrix products.

    Attributes
    ----------
    width
        Channels of the transformer: 1,536, or fewer for a narrow model with the same strides and layers.

    Raises
    ------
    ConfigError
        A width that does not give whole channels, heads and features.
    """

    width: int = WIDTH

    def __post_init__(self) -> None:
        whole = self.width % (192 if self.width > 192 else 24) == 0
        if not (whole and 24 <= self.width <= WIDTH):
            raise ConfigError(
                "Enformer's 'width' does not give whole channels and heads.",
                expected=f"24, 48, ..., 192, or 384, 576, ..., {WIDTH}",
                got=self.width,
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels behind the stem and behind each of the six blocks of the tower."""
        return tuple(self.width * twelfths // 12 for twelfths in (6, 6, 7, 8, 9, 10, 12))

    @property
    def heads(self) -> int:
        """Attention heads."""
        return max(1, self.width // 192)

    @property
    def value_width(self) -> int:
        """Numbers of a head's value, and features of a distance."""
        return self.width // self.heads

    @property
    def key_width(self) -> int:
        """Numbers of a head's key."""
        return self.value_width // 3

    def stem_flop(self, bases: int) -> float:
        """FLOP of the stem and its pooling on so many bases."""
        stem = self.channels[0]
        return 2.0 * bases * stem * (15 * 4 + stem + stem)

    def tower_flop(self, bases: int) -> tuple[float, ...]:
        """FLOP of the tower's six blocks on so many bases."""
        pairs = enumerate(pairwise(self.channels), start=1)
        return tuple(2.0 * bases / 2**halvings * b * (5 * a + b + b) for halvings, (a, b) in pairs)

    def layer_flop(self, queries: int, block: int | None = None) -> float:
        """FLOP of a transformer layer that is computed for so many queries, against all 1,536 keys.

        The published form multiplies every query with all distances between any two positions; one that takes
        `block` queries at a time leaves out those that none of them has.
        """
        keys, values = self.heads * self.key_width, self.heads * self.value_width
        distances = POSITIONS + queries - 1
        projections = self.width * (POSITIONS * (keys + values) + queries * (keys + values))
        multiplied = POSITIONS + min(block or queries, queries) - 1
        relative = keys * (distances * self.value_width + queries * multiplied)
        attended = queries * POSITIONS * (keys + values)
        dense = 4 * queries * self.width**2
        return 2.0 * (projections + relative + attended + dense)

    def head_flop(self, bins: int, tracks: int) -> float:
        """FLOP of everything behind the transformer."""
        return 2.0 * bins * 2 * self.width * (self.width + tracks)
