"""What every linear method gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dosage", "LinearFit", "mean_only", "weighted_sum"]

Floats = NDArray[np.float64]
Dosage = NDArray[np.uint8] | Floats

_TOGETHER: Final = 512
"""Variants that are added at once."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearFit:
    """A linear predictor of V variants.

    Attributes
    ----------
    weights
        (V,) change of the outcome per unit of dosage.
    intercept
        Outcome at dosage 0.
    penalty
        The penalty the method chose: lambda of a net, residual over genetic variance of BLUP; NaN where
        there is none.
    """

    weights: Floats
    intercept: float
    penalty: float = float("nan")

    def predict(self, dosage: Dosage) -> Floats:
        """Outcome (n,) of people with these dosages (V, n)."""
        predicted: Floats = self.intercept + weighted_sum(self.weights, dosage)
        return predicted


def weighted_sum(weights: Floats, dosage: Dosage) -> Floats:
    """(N,) sum over variants of (V,) weight times (V, N) dosage: one number for people of the same dosages.

    A matrix product does not give that: in which order it adds a person's terms depends on the person's place
    among the others, and the last digit with it.
    """
    used, total = np.flatnonzero(weights), np.zeros(dosage.shape[1])
    for first in range(0, len(used), _TOGETHER):
        some = used[first : first + _TOGETHER]
        total += np.add.reduce(weights[some, None] * dosage[some], axis=0)
    return total


def mean_only(n_variants: int, outcome: Floats, penalty: float = float("nan")) -> LinearFit:
    """The predictor that knows nothing: the mean of the outcome (n,)."""
    return LinearFit(np.zeros(n_variants), float(outcome.mean()), penalty)
