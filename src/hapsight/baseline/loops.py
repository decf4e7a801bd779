"""Loops over the people of one row, for compiled code.

Numba keeps compiled callers in ``__pycache__`` and does not see that something changed here: remove it then.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["dot", "subtract"]

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True, fastmath=True)
def dot(a: Floats, b: Floats) -> float:
    """Inner product of two vectors of one length."""
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, fastmath=True)
def subtract(vector: Floats, factor: float, other: Floats) -> None:
    """Take `factor` times `other` from `vector`."""
    for i in range(len(vector)):
        vector[i] -= factor * other[i]
