"""Informed linear prediction: prior evidence says which variants matter, people say which way.

The evidence of a variant becomes its prior probability (`hapsight.baseline.prior`), and that enters either of
two methods:

- `SusieBlup`, the mean of two predictions: of SuSiE, where few variants have effects, under this prior; and
  of BLUP, where all have, with variances in proportion to it. Without evidence: SuSiE and BLUP as they are.
- `ElasticNet`, a variant's penalty falling with the root of its prior probability: a coefficient whose
  variance is v pays in proportion to ``1 / sqrt(v)``. Without evidence: the plain net.
  Penalties by evidence are the idea of the feature-weighted elastic net (Tay et al., Statistica Sinica 33,
  2023).

Weights are linear in dosage in both, as PredictDB's are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.blup import fit_blup
from hapsight.baseline.elastic_net import ElasticNetOptions
from hapsight.baseline.linear import Dosage, LinearFit
from hapsight.baseline.methods import ElasticNet, Method
from hapsight.baseline.predictors import Predictors
from hapsight.baseline.susie import fit_susie
from hapsight.cohort.ploidy import OneCopy
from hapsight.errors import ConfigError

__all__ = [
    "DISTANCE_BINS",
    "INFORMED_METHODS",
    "SMALLEST_FACTOR",
    "SusieBlup",
    "distance_evidence",
    "informed_method",
    "penalty_factors",
    "shuffled_evidence",
]

Floats = NDArray[np.float64]

INFORMED_METHODS: Final = ("susie_blup", "elastic_net")
"""Names of the methods."""

SMALLEST_FACTOR: Final = 1e-3
"""Least penalty factor of a gene as a share of its largest."""

DISTANCE_BINS: Final = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
"""Edges in bases between which `shuffled_evidence` may exchange evidence."""

_DISTANCE_SCALE: Final = 10_000.0


def distance_evidence(distance: NDArray[np.int64]) -> Floats:
    """(V,) ``-log(1 + abs(distance) / 10 kb)`` of distances from the TSS in bases: a power law of odds."""
    evidence: Floats = -np.log1p(np.abs(distance) / _DISTANCE_SCALE)
    return evidence


def penalty_factors(log_prior: Floats) -> Floats:
    """(V,) shares of the penalty, as 1 over the root of the prior: at most 1, at least `SMALLEST_FACTOR`."""
    factors: Floats = np.exp(0.5 * (log_prior.min(initial=np.inf) - log_prior))
    return np.maximum(factors, SMALLEST_FACTOR)


def shuffled_evidence(evidence: Floats, distance: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """The control: a gene's evidence (V, F) dealt anew among variants about as far from the TSS.

    A variant's features stay together. What evidence says of distance is kept, as is its distribution; which
    variant has it is lost. Distances (V,) in bases count as equal between two of `DISTANCE_BINS`; where all
    are given as 0 it is dealt freely.
    """
    shuffled = evidence.copy()
    bins = np.digitize(np.abs(distance), DISTANCE_BINS)
    for one in np.unique(bins):
        here = np.flatnonzero(bins == one)
        shuffled[here] = evidence[rng.permutation(here)]
    return shuffled


@dataclass(frozen=True, slots=True, eq=False)
class SusieBlup:
    """Half SuSiE, half BLUP, under a prior (V,) of the variants."""

    log_prior: Floats
    min_maf: float = 0.01
    least_people: int = 10

    def fit(
        self, dosage: Dosage, outcome: Floats, rng: np.random.Generator, one_copy: OneCopy | None = None
    ) -> LinearFit:
        """Fit both; nothing is drawn. The penalty is BLUP's."""
        predictors = Predictors.of(dosage, self.min_maf, one_copy)
        few = fit_susie(predictors, outcome, self.log_prior)
        all_of_them = fit_blup(predictors, outcome, np.exp(self.log_prior))
        return LinearFit(
            0.5 * (few.weights + all_of_them.weights),
            0.5 * (few.intercept + all_of_them.intercept),
            all_of_them.penalty,
        )


def informed_method(name: str, log_prior: Floats, options: ElasticNetOptions) -> Method:
    """The method of this name under a prior (V,); both share the frequency floor of `options`.

    Raises
    ------
    ConfigError
        There is no such method.
    """
    if name == "susie_blup":
        return SusieBlup(log_prior, options.min_maf)
    if name == "elastic_net":
        return ElasticNet(options, penalty_factors(log_prior))
    raise ConfigError("There is no such informed method.", expected=", ".join(INFORMED_METHODS), got=name)
