"""Informed linear prediction: prior evidence says which variants matter, people say which way.

The evidence of a variant becomes its prior probability, and that enters either of two methods:
- `SusieBlup`, the mean of two predictions: of SuSiE, where few variants have effects, under this prior; and
  of BLUP, where all have, with variances in proportion to it. Without evidence: SuSiE and BLUP as they are.
- `ElasticNet`, a variant's penalty falling with the root of its prior probability: a coefficient whose
  variance is v pays in proportion to ``1 / sqrt(v)`` (the feature-weighted elastic net, Tay et al.,
  Statistica Sinica 33, 2023). Without evidence: the plain net.

How much more likely evidence makes it that a variant matters is learned over genes from training people:
a gene's effect lies with variant j with probability ``exp(evidence_j @ theta)`` over their sum, theta >= 0.
The mean of the variants' Bayes factors under this prior is the gene's likelihood. Theta maximises the
likelihood of all genes (as in Wen's TORUS, Ann. Appl. Stat. 10:1619, 2016) less half its square, so that
evidence which says nothing stays near 0. Without evidence, or at 0, all variants are equally likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import logsumexp

from hapsight.cohort.ploidy import OneCopy
from hapsight.errors import ConfigError, InputError
from hapsight.least_squares import Design
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import LinearFit, Predictors
from hapsight.linear.methods import ElasticNet, Method
from hapsight.linear.predictors import fit_blup
from hapsight.linear.susie import VARIANCES, fit_susie, log_bayes_factors

__all__ = [
    "DISTANCE_BINS",
    "INFORMED_METHODS",
    "SMALLEST_FACTOR",
    "LearnedPrior",
    "LearningGene",
    "Support",
    "SusieBlup",
    "distance_evidence",
    "gene_support",
    "informed_method",
    "learn_prior",
    "log_prior",
    "penalty_factors",
    "shuffled_evidence",
    "training_outcome",
]

Floats = NDArray[np.float64]

Flags = NDArray[np.bool_]

_LEAST_PEOPLE = 10


@dataclass(frozen=True, slots=True, eq=False)
class LearningGene:
    """One gene to learn from; V variants, N people, C covariates.

    Attributes
    ----------
    dosage
        (V, N) ALT alleles.
    expression
        (N,) on the scale that is to be predicted.
    covariates
        (N, C) or None.
    one_copy
        Who has one copy of which variants; None: everybody has two of all.
    """

    dosage: NDArray[np.uint8]
    expression: Floats
    covariates: Floats | None
    one_copy: OneCopy | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """What training people say of a gene's variants.

    Attributes
    ----------
    usable
        (U,) which variants vary enough among them.
    log_factors
        (U,) log Bayes factor of an effect of this variant alone, averaged over prior variances.
    """

    usable: NDArray[np.intp]
    log_factors: Floats


@dataclass(frozen=True, slots=True, eq=False)
class LearnedPrior:
    """What was learned from one set of training people.

    Attributes
    ----------
    theta
        (F,) log odds per unit of evidence.
    gain
        Log likelihood of all genes above that of equal variants.
    genes
        How many had a usable variant.
    """

    theta: Floats
    gain: float
    genes: int


def log_prior(evidence: Floats, theta: Floats) -> Floats:
    """(V,) logarithm of the prior probability of each variant; the probabilities sum to 1.

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
            "Evidence and its log odds do not fit each other.",
            expected=f"one number for each feature of evidence {evidence.shape}",
            got=theta.shape,
        )
    if not np.isfinite(evidence).all() or not (np.isfinite(theta) & (theta >= 0.0)).all():
        raise InputError(
            "Evidence must be known of every variant, and its log odds must not be negative.",
            expected="finite evidence, and finite log odds of 0 or more",
            got=f"{int((~np.isfinite(evidence)).sum())} values not finite; log odds {theta.tolist()}",
        )
    if not len(evidence):
        return np.empty(0)
    odds = evidence @ theta
    prior: Floats = odds - logsumexp(odds)
    return prior


def gene_support(gene: LearningGene, train: Flags, min_maf: float, design: Design | None = None) -> Support:
    """Look at each variant alone, among the people (N,) of `train`; nothing is seen of others.

    Covariates are taken out of expression, and both are brought to variance 1.

    Raises
    ------
    ConfigError
        There are fewer than 10 people.
    """
    outcome, people = training_outcome(gene, train, design), int(train.sum())
    if outcome is None:
        return Support(np.empty(0, np.intp), np.empty(0))
    once = None if gene.one_copy is None else gene.one_copy.compress(train)
    predictors = Predictors.of(gene.dosage.compress(train, axis=1), min_maf, once)
    slope = predictors.rows @ outcome / people / outcome.std()
    factors = logsumexp(log_bayes_factors(slope, 1.0 / people), axis=1) - np.log(len(VARIANCES))
    return Support(predictors.usable, factors[predictors.distinct.group])


def training_outcome(gene: LearningGene, train: Flags, design: Design | None = None) -> Floats | None:
    """Expression of 10 or more people less what covariates explain, by their `design`; None: constant."""
    if (people := int(train.sum())) < _LEAST_PEOPLE:
        raise ConfigError(
            "There are too few people to learn a prior from.",
            expected=f"at least {_LEAST_PEOPLE} training people",
            got=people,
        )
    expression = gene.expression[train]
    outcome = expression - expression.mean()
    if gene.covariates is not None:
        outcome = (design or Design.of(people, gene.covariates[train])).residuals(expression)
    return None if np.ptp(outcome) <= 1e-9 * np.abs(gene.expression[train]).max() else outcome


def learn_prior(supports: Sequence[Support], evidence: Sequence[Floats]) -> LearnedPrior:
    """The theta that genes with these supports and this evidence, (V, F) of each, say is best.

    Raises
    ------
    ConfigError
        Fewer than 2 genes have a usable variant.
    """
    pairs = [(s, e[s.usable]) for s, e in zip(supports, evidence, strict=True) if len(s.usable)]
    if len(pairs) < 2:
        raise ConfigError(
            "There is too little to learn from how evidence tells variants apart.",
            expected="at least 2 genes with a variant",
            got=f"{len(pairs)} of {len(supports)} genes",
            fix="give more genes, or a wider cis_window under [baseline]",
        )
    features = np.vstack([rows for _, rows in pairs])
    factors = np.concatenate([support.log_factors for support, _ in pairs])
    of_gene = _Softmax(np.array([len(rows) for _, rows in pairs]))
    start = np.zeros(features.shape[1])
    found = optimize.minimize(
        _cost,
        start,
        (features, factors, of_gene),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * len(start),
    )
    flat = _cost(start, features, factors, of_gene)[0]
    gain = flat - _cost(found.x, features, factors, of_gene)[0] + 0.5 * found.x @ found.x
    return LearnedPrior(found.x, float(gain), len(pairs))


class _Softmax:
    """Sums and shares within genes, whose variants follow each other."""

    def __init__(self, sizes: NDArray[np.int64]) -> None:
        self._first = np.append(0, np.cumsum(sizes)[:-1])
        self._gene = np.repeat(np.arange(len(sizes)), sizes)

    def __call__(self, logarithms: Floats) -> tuple[Floats, Floats]:
        """(G,) logarithm of each gene's sum of exponentials, and (V,) each variant's share of it."""
        largest = np.maximum.reduceat(logarithms, self._first)
        exponentials = np.exp(logarithms - largest[self._gene])
        sums = np.add.reduceat(exponentials, self._first)
        return np.log(sums) + largest, exponentials / sums[self._gene]


def _cost(theta: Floats, features: Floats, factors: Floats, of_gene: _Softmax) -> tuple[float, Floats]:
    """Minus the penalised log likelihood, and its slope (F,)."""
    odds = features @ theta
    prior, prior_share = of_gene(odds)
    posterior, posterior_share = of_gene(odds + factors)
    cost = (prior - posterior).sum() + 0.5 * theta @ theta
    return float(cost), theta - features.T @ (posterior_share - prior_share)


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
    """The control: a gene's evidence (V, F) shuffled among variants about as far from the TSS.

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
    refine: bool = False

    def fit(self, predictors: Predictors, outcome: Floats, rng: np.random.Generator) -> LinearFit:
        """Fit both; nothing is drawn. The penalty is BLUP's."""
        few = fit_susie(predictors, outcome, self.log_prior, refine=self.refine)
        all_of_them = fit_blup(predictors, outcome, np.exp(self.log_prior))
        return LinearFit(
            0.5 * (few.weights + all_of_them.weights),
            0.5 * (few.intercept + all_of_them.intercept),
            all_of_them.penalty,
        )


def informed_method(
    name: str, log_prior: Floats, options: ElasticNetOptions, *, refine: bool = False
) -> Method:
    """The method of this name under a prior (V,); both share the frequency floor of `options`.

    `refine` is SuSiE's (see `fit_susie`).

    Raises
    ------
    ConfigError
        There is no such method.
    """
    if name == "susie_blup":
        return SusieBlup(log_prior, options.min_maf, refine=refine)
    if name == "elastic_net":
        return ElasticNet(options, penalty_factors(log_prior))
    raise ConfigError("There is no such informed method.", expected=", ".join(INFORMED_METHODS), got=name)
