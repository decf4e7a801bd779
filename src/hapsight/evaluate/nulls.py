"""What correlation chance gives, and how far an observed one is from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.errors import InputError

__all__ = ["NullTest", "benjamini_hochberg", "empirical_p", "null_test", "random_weights_null"]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NullTest:
    """An observed abs(r) against a null of `null_draws` values of abs(r).

    Attributes
    ----------
    null_mean, null_sd
        Mean and spread (n - 1) of the null.
    z
        ``(abs(r) - null_mean) / null_sd``.
    """

    null_draws: int
    null_mean: float
    null_sd: float
    z: float
    pval_empirical: float


def random_weights_null(
    dosage: NDArray[np.uint8], observed: Float, draws: int, rng: np.random.Generator
) -> Float:
    """abs(r) of random linear predictions with the observed expression.

    A draw is ``P_i = sum_s w_s g_is`` with w ~ N(0, 1) and g the dosages of the window's variants: what a
    model gets that knows nothing but the genotypes (Sasse 2023).

    Parameters
    ----------
    dosage
        (V, N) dosages; variants that do not vary count for nothing.
    observed
        (N,) expression.

    Returns
    -------
    (draws,) float64

    Raises
    ------
    InputError
        No variant varies, or the expression does not: then there is no such null.
    """
    genotype = dosage - dosage.mean(axis=1, keepdims=True, dtype=np.float64)
    genotype = genotype[np.any(genotype != 0, axis=1)]
    centred = observed - observed.mean()
    if not len(genotype) or not np.any(centred):
        raise InputError("The random-weights null needs variants and expression that vary.")
    predicted = rng.standard_normal((draws, len(genotype))) @ genotype
    scale = np.linalg.norm(predicted, axis=1) * np.linalg.norm(centred)
    return np.asarray(np.abs(predicted @ centred) / scale, dtype=np.float64)


def empirical_p(observed: float, null: Float) -> float:
    """(1 + how many of the null reach the observed) / (draws + 1); never zero."""
    return float((1 + np.sum(null >= observed)) / (len(null) + 1))


def null_test(r: float, null: Float) -> NullTest:
    """Test abs(r) against (draws,) values of a null."""
    mean, spread = float(null.mean()), float(null.std(ddof=1))
    z = (abs(r) - mean) / spread if spread > 0 else 0.0
    return NullTest(len(null), mean, spread, z, empirical_p(abs(r), null))


def benjamini_hochberg(pvalues: Float) -> Float:
    """(n,) adjusted p-values (q) of (n,) p-values, false discovery rate over all of them."""
    if not len(pvalues):
        return pvalues
    return np.asarray(stats.false_discovery_control(pvalues, method="bh"), dtype=np.float64)
