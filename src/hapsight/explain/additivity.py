"""Whether a prediction is the sum of its variants' effects, and which effects depend on the background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.linear import weighted_sum
from hapsight.evaluate.correlation import Correlation, correlate

__all__ = ["DEPENDENT", "additivity", "depends_on_background", "ism_sum", "spread"]

Float = NDArray[np.float64]

DEPENDENT = 0.5
"""Spread from which on an effect is said to depend on its background."""

_ROUNDING = 1e-6
"""Spread, relative to the prediction itself, that rounding in float32 alone can make."""


def ism_sum(effect: Float, dosage: NDArray[np.uint8]) -> Float:
    """(N,) linear approximation ``P_i = sum_s a_s g_is`` of (V,) effects and (V, N) dosages (Sasse 2023)."""
    return weighted_sum(effect, dosage)


def additivity(effect: Float, dosage: NDArray[np.uint8], predicted: Float) -> Correlation:
    """Correlation over people of the ISM sum with the full prediction (N,)."""
    found = correlate(predicted, ism_sum(effect, dosage))
    # Here both are predictions: the sum is what may be constant beside one that varies.
    return found if found.status != "constant_expression" else Correlation(found.n, "constant_sum")


def spread(effect: Float, effect_sd: Float) -> Float:
    """(V,) `effect_sd` relative to the size of the effect on the reference; NaN where that is 0."""
    size = np.abs(effect)
    return np.asarray(np.divide(effect_sd, size, out=np.full(len(effect), np.nan), where=size > 0))


def depends_on_background(
    effect: Float, effect_sd: Float, n_backgrounds: NDArray[np.int64], reference: float
) -> NDArray[np.bool_]:
    """(V,) effects whose spread over two or more backgrounds is at least `DEPENDENT` of their size.

    A variant without effect on the reference depends on its background as soon as it has one elsewhere. A
    spread that rounding can make, given the (scalar) `reference` prediction, does not count.
    """
    with np.errstate(invalid="ignore"):
        large = effect_sd >= np.maximum(DEPENDENT * np.abs(effect), _ROUNDING * max(1.0, abs(reference)))
    return np.asarray(large & (n_backgrounds >= 2))
