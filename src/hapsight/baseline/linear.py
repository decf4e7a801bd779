"""What every linear method gives back, and what it looks at first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LinearFit", "mean_only", "standardised"]

Floats = NDArray[np.float64]


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

    def predict(self, dosage: Floats) -> Floats:
        """Outcome (n,) of people with these dosages (V, n)."""
        predicted: Floats = self.intercept + self.weights @ dosage
        return predicted


def mean_only(n_variants: int, outcome: Floats, penalty: float = float("nan")) -> LinearFit:
    """The predictor that knows nothing: the mean of the outcome (n,)."""
    return LinearFit(np.zeros(n_variants), float(outcome.mean()), penalty)


def standardised(dosage: Floats) -> tuple[Floats, Floats]:
    """Rows of `dosage` (V, n) with mean 0 and mean square 1, and their standard deviations (V,).

    Every row must vary.
    """
    centred = dosage - dosage.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum("vn,vn->v", centred, centred) / dosage.shape[1])
    centred /= deviation[:, None]
    return centred, deviation
