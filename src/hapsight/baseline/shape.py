"""How steeply penalties fall with evidence, learned over genes from the training people alone.

For each set of training people theta is chosen to lessen the cross-validated error of the informed elastic
net within them, averaged over genes, each gene's as a share of the error of its mean. One exponent after the
other runs through a few values, and moves only where the mean gain over genes exceeds its own standard error;
so theta stays at 0, the plain net, where evidence says nothing. Genes share theta: a part of them is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.elastic_net import ElasticNetOptions, least_errors
from hapsight.baseline.folds import make_folds, residualise
from hapsight.baseline.informed import penalty_factors
from hapsight.errors import ConfigError

__all__ = ["EXPONENTS", "LearningGene", "LearningOptions", "Shape", "learn_shape", "learn_shapes"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

EXPONENTS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Values that an exponent may take."""

_STREAM: Final = 1
"""Keeps the inner folds that choose theta apart from those that choose lambda afterwards."""


@dataclass(frozen=True, slots=True, eq=False)
class LearningGene:
    """One gene to learn from; V variants, N people, C covariates, F features.

    Attributes
    ----------
    dosage
        (V, N) ALT alleles.
    expression
        (N,) on the scale that is to be predicted.
    covariates
        (N, C) or None.
    evidence
        (V, F).
    seed
        The gene's own, of its inner folds.
    """

    dosage: NDArray[np.uint8]
    expression: Floats
    covariates: Floats | None
    evidence: Floats
    seed: int


@dataclass(frozen=True, slots=True)
class LearningOptions:
    """How carefully theta is chosen; coarser than a fit, since errors are averaged over genes.

    Attributes
    ----------
    net
        Its path, its inner folds and its floor of frequency.
    rounds
        Passes over the exponents, where there are two or more.
    """

    net: ElasticNetOptions = field(
        default_factory=lambda: ElasticNetOptions(n_lambdas=30, inner=5, thresh=1e-4, patience=4)
    )
    rounds: int = 2

    @classmethod
    def like(cls, net: ElasticNetOptions) -> LearningOptions:
        """For a net of this alpha and floor of frequency."""
        options = cls()
        return replace(options, net=replace(options.net, alpha=net.alpha, min_maf=net.min_maf))


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What was learned from one set of training people.

    Attributes
    ----------
    theta
        (F,) exponents.
    plain_error, error
        Mean over genes of the cross-validated error relative to the mean's: of the plain net, and with theta.
    genes
        How many there were.
    """

    theta: Floats
    plain_error: float
    error: float
    genes: int


def learn_shapes(
    genes: Sequence[LearningGene], outer_folds: NDArray[np.int64], options: LearningOptions | None = None
) -> list[Shape]:
    """One shape for each of K outer folds (N,), from the people outside of it; the last one from all people.

    Raises
    ------
    ConfigError
        There are fewer than 2 genes, or too few people outside of a fold.
    """
    folds = [outer_folds != k for k in range(int(outer_folds.max()) + 1)]
    everyone = np.ones(len(outer_folds), np.bool_)
    return [learn_shape(genes, train, k, options) for k, train in enumerate([*folds, everyone])]


def learn_shape(
    genes: Sequence[LearningGene], train: Flags, fold: int, options: LearningOptions | None = None
) -> Shape:
    """The shape that these people (N,) say is best; nothing is seen of others.

    Parameters
    ----------
    fold
        Number of the fold that is left out, for the draw of inner folds.

    Raises
    ------
    ConfigError
        There are fewer than 2 genes, or fewer people than 2 in each inner fold.
    """
    options = options or LearningOptions()
    _check(len(genes), int(train.sum()), options)
    theta = np.zeros(genes[0].evidence.shape[1])
    plain = current = _errors(genes, train, fold, options, theta[None])[0]
    for _ in range(options.rounds if len(theta) > 1 else 1):
        before = theta.copy()
        for feature in range(len(theta)):
            others = [value for value in EXPONENTS if value != theta[feature]]
            tried = np.repeat(theta[None], len(others), axis=0)
            tried[:, feature] = others
            errors = _errors(genes, train, fold, options, tried)
            best = int(np.argmin(errors.mean(axis=1)))
            if _is_gain(current - errors[best]):
                theta, current = tried[best], errors[best]
        if np.array_equal(theta, before):
            break
    return Shape(theta, float(plain.mean()), float(current.mean()), len(genes))


def _is_gain(gains: Floats) -> bool:
    """Whether the mean of (G,) gains exceeds its standard error."""
    return bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))


def _errors(
    genes: Sequence[LearningGene], train: Flags, fold: int, options: LearningOptions, thetas: Floats
) -> Floats:
    """(T, G) cross-validated error of each gene with each theta (T, F), as a share of the mean's."""
    return np.column_stack([_gene_errors(gene, train, fold, options.net, thetas) for gene in genes])


def _gene_errors(
    gene: LearningGene, train: Flags, fold: int, net: ElasticNetOptions, thetas: Floats
) -> Floats:
    covariates = None if gene.covariates is None else gene.covariates[train]
    outcome, _ = residualise(gene.expression[train], covariates, gene.expression[:0], _none_of(covariates))
    inner = make_folds(len(outcome), net.inner, np.random.default_rng((gene.seed, fold, _STREAM)))
    factors = (penalty_factors(gene.evidence, theta) for theta in thetas)
    return least_errors(gene.dosage[:, train].astype(np.float64), outcome, inner, net, factors)


def _none_of(covariates: Floats | None) -> Floats | None:
    return None if covariates is None else covariates[:0]


def _check(genes: int, people: int, options: LearningOptions) -> None:
    if genes < 2 or people < 2 * options.net.inner:
        raise ConfigError(
            "There is too little to learn from how penalties should fall with evidence.",
            expected=f"at least 2 genes and {2 * options.net.inner} people",
            got=f"{genes} genes, {people} people",
            fix="give more genes or people, or leave the evidence out",
        )
