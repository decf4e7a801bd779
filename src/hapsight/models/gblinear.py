"""Linear boosters as xgboost wrote them up to version 0.9: binary ``.save`` files, which it no longer reads.

Little-endian, in this order: optionally the four letters ``binf``; a block of 136 bytes that begins with
``base_score`` (float32), ``num_feature`` (uint32), ``num_class`` (int32); the names of the objective and of
the booster, each behind its length (uint64); a second block of 136 bytes; the number of weights
(uint64); the weights (float32), the last of which is the bias.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import WeightsError

__all__ = ["LinearBooster", "read_gblinear"]

PREFIX: Final = b"binf"
BLOCK: Final = 136
"""Bytes of each of the two parameter blocks."""

OBJECTIVE: Final = "reg:linear"
BOOSTER: Final = "gblinear"
LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class LinearBooster:
    """A linear regression: ``features @ weights + bias + base_score``.

    Attributes
    ----------
    weights
        (num_feature,) float32.
    """

    weights: NDArray[np.float32]
    bias: float
    base_score: float


def read_gblinear(path: Path, num_feature: int) -> LinearBooster:
    """Read a linear booster of `num_feature` features, every byte of the file accounted for.

    Raises
    ------
    WeightsError
        Cut short, too long, another kind of file or booster, another number of features, or numbers that
        are not finite.
    """
    reader = _Reader(path)
    if reader.data.startswith(PREFIX):
        reader.take(len(PREFIX), "prefix")
    base_score, features = struct.unpack_from("<fI", reader.take(BLOCK, "parameters"))
    for expected, what in ((OBJECTIVE, "objective"), (BOOSTER, "booster")):
        _expect(path, f"the {what}", expected, reader.name(what))
    reader.take(BLOCK, "parameters of the booster")
    _expect(path, "the number of features", num_feature, features)
    _expect(path, "the number of weights, the bias included", num_feature + 1, reader.count("weights"))
    numbers = np.frombuffer(reader.take(4 * (num_feature + 1), "weights"), dtype="<f4").astype(np.float32)
    _expect(path, "the number of bytes behind the weights", 0, len(reader.data) - reader.position)
    if not np.isfinite(numbers).all() or not np.isfinite(base_score):
        raise WeightsError("The weights of a linear booster are not all finite numbers.", where=path)
    return LinearBooster(numbers[:-1], float(numbers[-1]), float(base_score))


class _Reader:
    """The bytes of a file, taken from front to back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes()
        self.position = 0

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes."""
        left = len(self.data) - self.position
        if size > left:
            raise WeightsError(
                f"A file of a linear booster is cut short in its {what}.",
                where=f"{self.path}, byte {self.position:,}",
                expected=f"{size:,} more bytes",
                got=f"{left:,}",
            )
        start, self.position = self.position, self.position + size
        return self.data[start : self.position]

    def count(self, what: str) -> int:
        """The next uint64."""
        number: int = struct.unpack("<Q", self.take(8, what))[0]
        return number

    def name(self, what: str) -> str:
        """The next text, behind its length."""
        length = self.count(what)
        if length > LONGEST_NAME:
            raise _not_a_booster(
                self.path, f"the name of the {what}", f"{LONGEST_NAME} letters at most", length
            )
        return self.take(length, what).decode("latin-1")


def _expect(path: Path, what: str, expected: object, got: object) -> None:
    if got != expected:
        raise _not_a_booster(path, what, expected, got)


def _not_a_booster(path: Path, what: str, expected: object, got: object) -> WeightsError:
    return WeightsError(
        f"A file is not the linear booster that is wanted: {what} differs.",
        where=path,
        expected=expected,
        got=got,
        fix="give a .save file of ExPecto, as published in 2018 (a binary of xgboost's gblinear)",
    )
