"""Large arrays that go to a temporary file when they would not fit."""

from __future__ import annotations

import math
import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from hapsight.dna import Codes

__all__ = ["Buffer", "allocate"]

_BLOCK_BYTES = 2**20
"""Bytes of a buffer in a file that are read or written before its pages are dropped."""

_CAN_DROP = hasattr(mmap, "MADV_DONTNEED")


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """A CPU tensor, in memory or in a temporary file that goes away with it.

    Pages of the file that were touched count as memory of the process until they are dropped.
    """

    tensor: torch.Tensor
    _file: mmap.mmap | None = None

    @classmethod
    def allocate(cls, shape: tuple[int, ...], dtype: torch.dtype, budget: int) -> Buffer:
        """An uninitialised tensor; in a file where it takes more than `budget` bytes."""
        count = math.prod(shape)
        size = count * dtype.itemsize
        if size <= budget:
            return cls(torch.empty(shape, dtype=dtype))
        with tempfile.TemporaryFile(prefix="hapsight-") as file:
            file.truncate(size)
            # The mapping keeps the file's space until the tensor is gone.
            mapping = mmap.mmap(file.fileno(), size)
        return cls(torch.frombuffer(mapping, dtype=dtype, count=count).view(shape), mapping)

    @classmethod
    def of(cls, codes: Codes) -> Buffer:
        """Codes that are in memory already."""
        return cls(torch.from_numpy(codes))

    def drop(self) -> None:
        """Give the file's pages back to the system, which has what they hold; memory stays as it is."""
        if self._file is not None and _CAN_DROP:
            self._file.madvise(mmap.MADV_DONTNEED)

    @property
    def resident(self) -> int:
        """Bytes that stay in memory: none of a tensor in a file."""
        return 0 if self._file is not None else self.tensor.nbytes

    @property
    def block_rows(self) -> int:
        """Rows of some 16 MB."""
        return max(1, _BLOCK_BYTES * len(self.tensor) // max(1, self.tensor.nbytes))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Rows ``[first, last)`` of each block; its pages are dropped behind it."""
        for first in range(0, len(self.tensor), self.block_rows):
            yield first, min(first + self.block_rows, len(self.tensor))
            self.drop()


def allocate(shape: tuple[int, ...], dtype: torch.dtype, budget: int) -> torch.Tensor:
    """The tensor of a `Buffer`."""
    return Buffer.allocate(shape, dtype, budget).tensor
