"""What every linear method gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dosage", "LinearFit", "mean_only"]

Floats = NDArray[np.float64]
Dosage = NDArray[np.uint8] | Floats


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
        predicted: Floats = self.intercept + self.weights @ dosage
        return predicted


def mean_only(n_variants: int, outcome: Floats, penalty: float = float("nan")) -> LinearFit:
    """The predictor that knows nothing: the mean of the outcome (n,)."""
    return LinearFit(np.zeros(n_variants), float(outcome.mean()), penalty)
