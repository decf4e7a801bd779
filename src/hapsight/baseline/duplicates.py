"""Variants in perfect linkage are one predictor: find them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.linear import Dosage

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


def distinct_rows(dosage: Dosage) -> DistinctRows:
    """Group equal and complementary rows of a dosage matrix (V, n), n > 0."""
    flipped = dosage[np.arange(len(dosage)), np.argmax(dosage != 1, axis=1)] > 1
    canonical = dosage + 0  # no -0.0
    canonical[flipped] = 2 - canonical[flipped]
    number: dict[bytes, int] = {}
    group = np.array([number.setdefault(row.tobytes(), len(number)) for row in canonical], np.int64)
    _, first = np.unique(group, return_index=True)
    side = np.where(flipped, -1.0, 1.0)
    sign = side * side[first[group]]
    return DistinctRows(first, np.bincount(group), group, sign)
