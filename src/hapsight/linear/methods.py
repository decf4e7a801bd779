"""The linear methods by name: each learns weights per variant from people whose outcome it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import ConfigError
from hapsight.linear.elastic_net import ElasticNetOptions, cross_validated
from hapsight.linear.fits import LinearFit, Predictors, make_folds
from hapsight.linear.predictors import fit_blup, fit_top_snp

__all__ = ["METHODS", "Blup", "ElasticNet", "Method", "MethodName", "TopSnp", "method_named"]

Floats = NDArray[np.float64]

MethodName = Literal["elastic_net", "lasso", "blup", "top_snp"]
"""What a method is called."""

METHODS: Final[tuple[str, ...]] = get_args(MethodName)
"""Names of the methods."""


class Method(Protocol):
    """A way to learn a linear predictor; all that it may look at is handed to `fit`."""

    @property
    def min_maf(self) -> float:
        """Variants rarer than this among the people of a fit take no part in it."""

    @property
    def least_people(self) -> int:
        """Fewest people it can learn from."""

    def fit(self, predictors: Predictors, outcome: Floats, rng: np.random.Generator) -> LinearFit:
        """Learn from predictors of n people, at this `min_maf`, and an outcome (n,).

        `rng` deals inner folds, where there are any. What is learned does not change the predictors.
        """


@dataclass(frozen=True, slots=True)
class ElasticNet:
    """Elastic net at the lambda that inner folds choose; ``alpha = 1`` is the LASSO.

    Attributes
    ----------
    factors
        (V,) of the penalty, glmnet's ``penalty.factor``; None: all variants pay the same.
    """

    options: ElasticNetOptions = field(default_factory=ElasticNetOptions)
    factors: Floats | None = None

    @property
    def min_maf(self) -> float:
        """Variants rarer than this among the people of a fit take no part in it."""
        return self.options.min_maf

    @property
    def least_people(self) -> int:
        """Two people in each inner fold."""
        return 2 * self.options.inner

    def fit(self, predictors: Predictors, outcome: Floats, rng: np.random.Generator) -> LinearFit:
        """Choose lambda by `rng`'s inner folds, and fit all people at it."""
        inner = make_folds(len(outcome), self.options.inner, rng)
        found = cross_validated(predictors, outcome, inner, self.options, self.factors)
        return LinearFit(found.weights, found.intercept, found.lambda_min)


@dataclass(frozen=True, slots=True)
class Blup:
    """Ridge regression on all variants, its penalty from the variance components (see `fit_blup`)."""

    min_maf: float = 0.01
    least_people: int = 10

    def fit(self, predictors: Predictors, outcome: Floats, rng: np.random.Generator) -> LinearFit:
        """Fit; nothing is drawn."""
        return fit_blup(predictors, outcome)


@dataclass(frozen=True, slots=True)
class TopSnp:
    """The variant of the largest marginal correlation, by itself."""

    min_maf: float = 0.01
    least_people: int = 10

    def fit(self, predictors: Predictors, outcome: Floats, rng: np.random.Generator) -> LinearFit:
        """Fit; nothing is drawn."""
        return fit_top_snp(predictors, outcome)


def method_named(name: str, options: ElasticNetOptions) -> Method:
    """The method of this name; all share the frequency floor of `options`, nets also its folds.

    Raises
    ------
    ConfigError
        There is no such method.
    """
    if name == "elastic_net":
        return ElasticNet(options)
    if name == "lasso":
        return ElasticNet(replace(options, alpha=1.0))
    if name == "blup":
        return Blup(options.min_maf)
    if name == "top_snp":
        return TopSnp(options.min_maf)
    raise ConfigError("There is no such baseline.", expected=", ".join(METHODS), got=name)
