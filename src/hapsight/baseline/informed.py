"""The informed elastic net: a variant's penalty falls with the prior evidence that it matters.

``factor = exp(-evidence @ theta)`` with theta >= 0: the more evidence, the less a variant pays. With evidence
``-log(1 + distance / 10 kb)`` it is the power law ``(1 + distance / 10 kb) ** theta``. With theta = 0 all pay
the same, which is the plain elastic net. The idea is that of the feature-weighted elastic net (Tay et al.,
Statistica Sinica 33, 2023); here theta is learned over genes by `hapsight.baseline.shape`. Evidence says how
much, never which way: the sign of an effect comes from people alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.elastic_net import ElasticNetOptions, fit_cross_validated
from hapsight.baseline.folds import make_folds
from hapsight.baseline.linear import LinearFit
from hapsight.errors import InputError

__all__ = [
    "DISTANCE_BINS",
    "SMALLEST_FACTOR",
    "InformedNet",
    "distance_evidence",
    "penalty_factors",
    "prior_weights",
    "shuffled_evidence",
]

Floats = NDArray[np.float64]

SMALLEST_FACTOR: Final = 1e-3
"""Least factor of a gene as a share of its largest; so evidence multiplies the odds by 1000 at most."""

DISTANCE_BINS: Final = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
"""Edges in bases between which `shuffled_evidence` may exchange evidence."""

_DISTANCE_SCALE: Final = 10_000.0


def distance_evidence(distance: NDArray[np.int64]) -> Floats:
    """(V,) ``-log(1 + abs(distance) / 10 kb)`` of distances from the TSS in bases."""
    evidence: Floats = -np.log1p(np.abs(distance) / _DISTANCE_SCALE)
    return evidence


def penalty_factors(evidence: Floats, theta: Floats) -> Floats:
    """Share of the penalty that each variant pays, the largest being 1 and the least `SMALLEST_FACTOR`.

    Parameters
    ----------
    evidence
        (V, F) of V variants and F features, in logarithmic units.
    theta
        (F,) at least 0.

    Raises
    ------
    InputError
        Evidence is missing, theta is negative, or their shapes do not fit.
    """
    if evidence.ndim != 2 or theta.shape != evidence.shape[1:]:
        raise InputError(
            "Evidence and its exponents do not fit each other.",
            expected=f"one exponent for each feature of evidence {evidence.shape}",
            got=theta.shape,
        )
    if not np.isfinite(evidence).all() or not (np.isfinite(theta) & (theta >= 0.0)).all():
        raise InputError(
            "Evidence must be known of every variant, and its exponents must not be negative.",
            expected="finite evidence, and finite exponents of 0 or more",
            got=f"{int((~np.isfinite(evidence)).sum())} values not finite; exponents {theta.tolist()}",
        )
    logarithm = evidence @ theta
    factors: Floats = np.exp(logarithm.min(initial=np.inf) - logarithm)
    return np.maximum(factors, SMALLEST_FACTOR)


def prior_weights(evidence: Floats, theta: Floats) -> Floats:
    """(V,) prior probability that a variant is the causal one, for SuSiE's ``prior_weights``; they sum to 1.

    In inverse proportion to the penalty: to a variant that pays half as much, twice the probability.
    Arguments and errors as in `penalty_factors`.
    """
    inverse = 1.0 / penalty_factors(evidence, theta)
    weights: Floats = inverse / inverse.sum()
    return weights


def shuffled_evidence(evidence: Floats, distance: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """The control: a gene's evidence (V, F) dealt anew among variants about as far from the TSS.

    A variant's features stay together. What evidence says of distance is kept, as is its distribution; which
    variant has it is lost. Distances
    (V,) in bases count as equal between two of `DISTANCE_BINS`; where all are given as 0 it is dealt freely.
    """
    shuffled = evidence.copy()
    bins = np.digitize(np.abs(distance), DISTANCE_BINS)
    for one in np.unique(bins):
        here = np.flatnonzero(bins == one)
        shuffled[here] = evidence[rng.permutation(here)]
    return shuffled


@dataclass(frozen=True, slots=True, eq=False)
class InformedNet:
    """Elastic net with penalty factors (V,), at the lambda that inner folds choose."""

    factors: Floats
    options: ElasticNetOptions = field(default_factory=ElasticNetOptions)

    @property
    def min_maf(self) -> float:
        """Variants rarer than this among the people of a fit take no part in it."""
        return self.options.min_maf

    @property
    def least_people(self) -> int:
        """Two people in each inner fold."""
        return 2 * self.options.inner

    def fit(self, dosage: Floats, outcome: Floats, rng: np.random.Generator) -> LinearFit:
        """Choose lambda by `rng`'s inner folds, and fit all people at it."""
        inner = make_folds(len(outcome), self.options.inner, rng)
        found = fit_cross_validated(dosage, outcome, inner, self.options, self.factors)
        return LinearFit(found.weights, found.intercept, found.lambda_min)
