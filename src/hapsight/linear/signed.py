"""Signed evidence in linear prediction: a model's effects as prior means of variants' effects.

Times a coefficient that is learned over genes from training people, signed evidence is the prior mean of a
variant's effect: `WithMean` fits by any method what this leaves over, and `OnlyMean` predicts genes whose
expression nobody has seen. Where it does not help other genes, the coefficient is 0, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from hapsight.errors import ConfigError
from hapsight.least_squares import Design
from hapsight.linear.fits import LinearFit, Predictors, weighted_sum
from hapsight.linear.informed import LearningGene, training_outcome
from hapsight.linear.methods import Method

__all__ = ["LearnedSigns", "OnlyMean", "SignedStatistics", "WithMean", "learn_signed", "signed_statistics"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SignedStatistics:
    """What a gene's training people say of F sums ``effects @ dosage``; expression has variance 1.

    Attributes
    ----------
    squares, products
        (F, F) of the centred sums with each other, and (F,) with expression, summed over people.
    """

    squares: Floats
    products: Floats


@dataclass(frozen=True, slots=True, eq=False)
class LearnedSigns:
    """Multiples of signed evidence that were learned from one set of genes and training people.

    Attributes
    ----------
    coefficients
        (F,) standard deviations of expression per unit, at least 0; all 0 where they do not help.
    gain
        Squared error that coefficients learned without a block of genes take away in that block, summed over
        the blocks: not above 0 where they do not help.
    genes
        How many had any signed evidence.
    """

    coefficients: Floats
    gain: float
    genes: int


def signed_statistics(
    gene: LearningGene, train: Flags, effects: Floats, design: Design | None = None
) -> SignedStatistics:
    """Of effects (V, F) per copy of ALT, among the people (N,) of `train`; nothing is seen of others.

    `design` is of their covariates, as of `training_outcome`.

    Raises
    ------
    ConfigError
        There are fewer than 10 people.
    """
    outcome = training_outcome(gene, train, design)
    if outcome is None:
        return SignedStatistics(np.zeros((effects.shape[1],) * 2), np.zeros(effects.shape[1]))
    own = effects.any(axis=1)
    sums = effects[own].T @ gene.dosage[own][:, train].astype(np.float64)  # (F, n)
    sums -= sums.mean(axis=1, keepdims=True)
    return SignedStatistics(sums @ sums.T, sums @ (outcome - outcome.mean()) / outcome.std())


def learn_signed(statistics: Sequence[SignedStatistics], block: NDArray[np.int64]) -> LearnedSigns:
    """Coefficients, at least 0, of least squares over genes; 0 where they do not help genes of other blocks.

    Parameters
    ----------
    block
        (G,) of each gene: of neighbours, which share variants. With one block, none helps.

    Raises
    ------
    ConfigError
        There is no gene.
    """
    if not statistics:
        raise ConfigError("There is no gene to learn signed evidence from.", expected="at least 1", got=0)
    squares = np.array([one.squares for one in statistics])
    products = np.array([one.products for one in statistics])
    gain = 0.0
    for one in np.unique(block):
        held_out = block == one
        found = _not_negative(squares[~held_out].sum(axis=0), products[~held_out].sum(axis=0))
        gain += float(2.0 * found @ products[held_out].sum(axis=0))
        gain -= float(found @ squares[held_out].sum(axis=0) @ found)
    coefficients = _not_negative(squares.sum(axis=0), products.sum(axis=0))
    genes = int(np.any(squares != 0.0, axis=(1, 2)).sum())
    return LearnedSigns(coefficients if gain > 0.0 else np.zeros_like(coefficients), gain, genes)


_RIDGE: Final = 1e-9
"""Of the mean square, for columns that repeat each other."""


def _not_negative(squares: Floats, products: Floats) -> Floats:
    """(F,) the x >= 0 of the least ``x @ squares @ x - 2 x @ products``; 0 in columns without anything."""
    found, used = np.zeros(len(products)), np.flatnonzero(np.diag(squares) > 0.0)
    if len(used):
        own = squares[np.ix_(used, used)]
        lower = np.linalg.cholesky(own + _RIDGE * np.diag(own).mean() * np.eye(len(used)))
        found[used] = optimize.nnls(lower.T, np.linalg.solve(lower, products[used]))[0]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class WithMean:
    """A method under a prior mean of the effects: it fits what the mean leaves over, and adds it.

    Attributes
    ----------
    mean
        (V,) standard deviations of the outcome per copy of ALT; at 0 everywhere it is the method itself.
    """

    method: Method
    mean: Floats

    @property
    def min_maf(self) -> float:
        """The method's; what is rarer keeps its prior mean."""
        return self.method.min_maf

    @property
    def least_people(self) -> int:
        """The method's."""
        return self.method.least_people

    def fit(self, predictors: Predictors, outcome: Floats, rng: np.random.Generator) -> LinearFit:
        """Fit the rest."""
        mean = self.mean * outcome.std()
        given = weighted_sum(mean, predictors.dosage)
        found = self.method.fit(predictors, outcome - (given - given.mean()), rng)
        return LinearFit(found.weights + mean, found.intercept - float(given.mean()), found.penalty)


@dataclass(frozen=True, slots=True, eq=False)
class OnlyMean:
    """The prediction of a gene whose expression is not looked at: its prior mean (V,), and 0 on average."""

    mean: Floats
    min_maf: float = 0.01
    least_people: int = 1

    def fit(self, predictors: Predictors, outcome: Floats, rng: np.random.Generator) -> LinearFit:
        """Centre; the outcome is not used."""
        return LinearFit(self.mean, -float(weighted_sum(self.mean, predictors.dosage).mean()))
