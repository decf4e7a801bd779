"""Variants in perfect linkage are one predictor: find them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DistinctRows", "distinct_rows"]


@dataclass(frozen=True, slots=True, eq=False)
class DistinctRows:
    """Distinct rows of a dosage matrix, where a row and its complement ``2 - row`` count as the same.

    Attributes
    ----------
    first
        (P,) index of the first of the V rows of each group, ascending.
    copies
        (P,) rows in the group.
    group
        (V,) group of each row.
    sign
        (V,) 1 where the row equals the group's first row, -1 where it is its complement.
    """

    first: NDArray[np.int64]
    copies: NDArray[np.int64]
    group: NDArray[np.int64]
    sign: NDArray[np.float64]


def distinct_rows(dosage: NDArray[np.float64]) -> DistinctRows:
    """Group equal and complementary rows of a dosage matrix (V, n), n > 0."""
    leading = np.take_along_axis(dosage, np.argmax(dosage != 1.0, axis=1)[:, None], axis=1)
    flipped = leading[:, 0] > 1.0
    canonical = np.ascontiguousarray(np.where(flipped[:, None], 2.0 - dosage, dosage) + 0.0)
    keys = canonical.view(np.dtype((np.void, canonical.itemsize * canonical.shape[1])))[:, 0]
    _, first, group, copies = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    rank = np.argsort(order)
    side = np.where(flipped, -1.0, 1.0)
    sign = side * side[first[group]]
    return DistinctRows(first[order], copies[order], rank[group], sign)
