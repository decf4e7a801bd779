"""Held-out prediction of one gene by any linear method: no part of training sees the people it predicts.

Of the people of an outer fold, training sees nothing: covariates are regressed out with coefficients of the
training people, variants are filtered by their frequency, scaled and merged among the training people, and
a penalty is chosen within them. Only then are the people of the fold predicted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.ploidy import OneCopy
from hapsight.errors import ConfigError, InputError
from hapsight.least_squares import residualise
from hapsight.linear.fits import Dosage, LinearFit, Predictors, usable_variants
from hapsight.linear.methods import ElasticNet, Method

__all__ = [
    "GeneFit",
    "GeneStatus",
    "fit_held_out",
    "fit_together",
    "haplotype_differences",
    "require_people",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PEOPLE_IN_INNER_FOLD: Final = 2
_FEWEST_INNER_FOLDS: Final = 3
"""That the configuration takes."""

_LEAST: Final = -np.finfo(np.float64).max
"""The least number that is finite."""


class GeneStatus(StrEnum):
    """What became of a gene."""

    OK = "ok"
    NO_MODEL = "no_model"
    NO_VARIANTS = "no_variants"
    CONSTANT_EXPRESSION = "constant_expression"


@dataclass(frozen=True, slots=True, eq=False)
class GeneFit:
    """Nested predictions of one gene and the final predictor; N people, K outer folds, V variants.

    Attributes
    ----------
    observed
        (N,) expression less what the covariates explain, by coefficients from the other folds.
    predicted
        (N,) prediction of `observed` by the model trained on the other folds.
    fold
        (N,) outer fold in which each person was held out.
    fold_r
        (K,) Pearson r of the two within each fold; NaN where either is constant.
    fold_lambda
        (K,) penalty of each fold's fit (see `LinearFit`); NaN where there was none to choose.
    final_lambda
        Penalty of the fit on all people; NaN likewise.
    weights
        (V,) effect per ALT allele in the fit on all people.
    intercept
        Of the fit on all people: predicted = intercept + weights @ dosage.
    status
        ``no_model`` where the prediction is constant in every fold; the final fit is given all the same.
        ``no_variants`` where none reaches the allele frequency among all people.
    seconds
        Processor time of its fits alone.
    """

    observed: Floats
    predicted: Floats
    fold: Ints
    fold_r: Floats
    fold_lambda: Floats
    final_lambda: float
    weights: Floats
    intercept: float
    status: GeneStatus
    seconds: float = 0.0

    @property
    def n_nonzero(self) -> int:
        """Variants with an effect in the fit on all people."""
        return int(np.count_nonzero(self.weights))


def fit_held_out(
    dosage: Dosage,
    expression: Floats,
    covariates: Floats | None,
    outer_folds: Ints,
    rng_seed: int,
    method: Method,
    one_copy: OneCopy | None = None,
    learners: NDArray[np.bool_] | None = None,
) -> GeneFit:
    """Predict each fold's people by `method`, trained on the others; and train once more on all.

    The result depends on the arguments only, not on other genes or on the process that computes it. What a
    method draws comes from `rng_seed` and the outer fold's number, hence is the same for genes of one seed.

    Parameters
    ----------
    dosage
        (V, N) ALT alleles, 0 to 2.
    expression
        (N,) on the scale that is to be predicted (such as log).
    covariates
        (N, C) or None.
    outer_folds
        (N,) as from `make_folds` or `population_folds`; the same for all genes and methods.
    one_copy
        Who has one copy of which variants; None: everybody has two of all.
    learners
        (N,) who may be learned from, such as one population's people; None: everybody.

    Raises
    ------
    InputError
        If shapes do not fit each other, a value is missing or out of range, or the covariates leave nothing
        to explain.
    ConfigError
        If a fold is empty, or leaves too few people to learn from; or the seed is negative.
    """
    asked = [[method] * (int(np.max(outer_folds, initial=1)) + 2)]
    return fit_together(dosage, expression, covariates, outer_folds, rng_seed, asked, one_copy, learners)[0]


def fit_together(
    dosage: Dosage,
    expression: Floats,
    covariates: Floats | None,
    outer_folds: Ints,
    rng_seed: int,
    methods: Sequence[Sequence[Method]],
    one_copy: OneCopy | None = None,
    learners: NDArray[np.bool_] | None = None,
) -> list[GeneFit]:
    """`fit_held_out` by several methods, each as if it were alone; what they share is made once for all.

    That is what is left of expression beside the covariates, and the predictors: usable variants, merged and
    standardised, of each fold.

    Parameters
    ----------
    methods
        Each (K + 1,): of each of the K folds, and of the fit on all people. They may have learned something
        from the other folds; those of one method must share `min_maf`.
    learners
        As of `fit_held_out`.

    Raises
    ------
    InputError, ConfigError
        As `fit_held_out`.
    """
    everyone = np.ones(len(expression), np.bool_)
    may = everyone if learners is None else learners
    _check(dosage, expression, covariates, outer_folds, [each[0] for each in methods], may)
    if rng_seed < 0:
        raise ConfigError("The seed of the folds must not be negative.", where="rng_seed", got=rng_seed)
    data = _Data(dosage, np.asarray(expression, dtype=np.float64), covariates, one_copy)
    outer_folds, n_folds = outer_folds.astype(np.int64), int(outer_folds.max()) + 1
    found = [_Found.empty(len(expression), n_folds) for _ in methods]
    for k in range(n_folds):
        test = outer_folds == k
        training, of_test = data.training(may & ~test, test), dosage.compress(test, axis=1)
        for own, each in zip(found, methods, strict=True):
            own.keep(k, test, training.observed, own.fitted(training, each[k], (rng_seed, k)), of_test)
    training = data.training(may, everyone)
    return [
        own.finished(own.fitted(training, each[-1], (rng_seed, n_folds)), data, outer_folds, each[-1].min_maf)
        for own, each in zip(found, methods, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """What is known of a gene: as the arguments of `fit_held_out`."""

    dosage: Dosage
    expression: Floats
    covariates: Floats | None
    one_copy: OneCopy | None

    def any_usable(self, floor: float) -> bool:
        """Whether a variant reaches this frequency among all people."""
        return bool(usable_variants(self.dosage, floor, self.one_copy).any())

    def training(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> _Training:
        """What is learned from the people of `train`, and known of those of `test`."""
        c_train, c_test = (
            (None, None) if self.covariates is None else (self.covariates[train], self.covariates[test])
        )
        known = self.expression[train]
        outcome, observed = residualise(known, c_train, self.expression[test], c_test)
        if np.ptp(outcome) <= 1e-9 * np.abs(known).max():
            outcome = np.zeros_like(outcome)
        once = None if self.one_copy is None else self.one_copy.compress(train)
        return _Training(self.dosage.compress(train, axis=1), once, outcome, observed, {})


@dataclass(frozen=True, slots=True, eq=False)
class _Training:
    """The n people of a fit, and the residuals of those who are predicted.

    Attributes
    ----------
    predictors
        By `min_maf`, those that were asked for.
    """

    dosage: Dosage
    one_copy: OneCopy | None
    outcome: Floats
    observed: Floats
    predictors: dict[float, Predictors]

    def seen(self, floor: float) -> Predictors:
        """What a method of this frequency floor sees."""
        if floor not in self.predictors:
            self.predictors[floor] = Predictors.of(self.dosage, floor, self.one_copy)
        return self.predictors[floor]

    def fit(self, method: Method, seed: tuple[int, int]) -> LinearFit:
        """The model of these people."""
        return method.fit(self.seen(method.min_maf), self.outcome, np.random.default_rng(seed))


@dataclass(slots=True, eq=False)
class _Found:
    """What a method found of a gene up to now; fields as of `GeneFit`."""

    observed: Floats
    predicted: Floats
    fold_r: Floats
    fold_lambda: Floats
    seconds: float = 0.0

    @classmethod
    def empty(cls, n: int, n_folds: int) -> _Found:
        return cls(np.empty(n), np.empty(n), np.full(n_folds, np.nan), np.full(n_folds, np.nan))

    def fitted(self, training: _Training, method: Method, seed: tuple[int, int]) -> LinearFit:
        """A fit, whose time is counted."""
        training.seen(method.min_maf)
        start = time.process_time()
        model = training.fit(method, seed)
        self.seconds += time.process_time() - start
        return model

    def keep(
        self, k: int, test: NDArray[np.bool_], observed: Floats, model: LinearFit, dosage: Dosage
    ) -> None:
        """What a fold's model says of the fold's people, who have these dosages."""
        self.observed[test], self.predicted[test] = observed, model.predict(dosage)
        self.fold_lambda[k] = model.penalty
        self.fold_r[k] = _pearson(observed, self.predicted[test])

    def finished(self, final: LinearFit, data: _Data, folds: Ints, floor: float) -> GeneFit:
        """With the fit on all people."""
        return GeneFit(
            self.observed,
            self.predicted,
            folds,
            self.fold_r,
            self.fold_lambda,
            final.penalty,
            final.weights,
            final.intercept,
            _status(data.expression, self.predicted, folds, data.any_usable(floor)),
            self.seconds,
        )


def haplotype_differences(
    dosage: Dosage,
    alleles: NDArray[np.uint8],
    expression: Floats,
    covariates: Floats | None,
    outer_folds: Ints,
    rng_seed: int,
    method: Method,
    one_copy: OneCopy | None = None,
) -> Floats:
    """Predict how much each person's first haplotype is expressed more, trained as `fit_held_out` is.

    Parameters
    ----------
    alleles
        (V, N, 2), 1 where a haplotype carries ALT.

    Returns
    -------
    (N,) the weights of the other folds times the alleles of haplotype 1 less those of haplotype 2.
    """
    _check(dosage, expression, covariates, outer_folds, [method])
    data, found = _Data(dosage, expression, covariates, one_copy), np.empty(len(expression))
    for k in range(int(outer_folds.max()) + 1):
        test = outer_folds == k
        model = data.training(~test, test).fit(method, (rng_seed, k))
        own = alleles[:, test].astype(np.int8)
        found[test] = model.weights @ (own[:, :, 0] - own[:, :, 1])
    return found


def _status(expression: Floats, predicted: Floats, folds: Ints, usable: bool) -> GeneStatus:
    if np.ptp(expression) == 0.0:
        return GeneStatus.CONSTANT_EXPRESSION
    if not usable:
        return GeneStatus.NO_VARIANTS
    if all(_is_constant(predicted[folds == k]) for k in np.unique(folds)):
        return GeneStatus.NO_MODEL
    return GeneStatus.OK


def _is_constant(values: Floats) -> bool:
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def _pearson(a: Floats, b: Floats) -> float:
    if _is_constant(a) or _is_constant(b):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _check(
    dosage: Dosage,
    expression: Floats,
    covariates: Floats | None,
    outer_folds: Ints,
    methods: Sequence[Method],
    learners: NDArray[np.bool_] | None = None,
) -> None:
    n = len(expression)
    _check_shape("expression", np.shape(expression), (n,))
    _check_shape("dosage", np.shape(dosage), (len(dosage), n))
    _check_shape("outer_folds", np.shape(outer_folds), (n,))
    _check_values("expression", expression)
    _check_values("dosage", dosage, 0.0, 2.0)
    if covariates is not None:
        _check_shape("covariates", np.shape(covariates), (n, np.shape(covariates)[-1]))
        _check_values("covariates", covariates)
    found, last = np.unique(outer_folds).tolist(), int(np.max(outer_folds, initial=1))
    if found != list(range(last + 1)):
        raise ConfigError("An outer fold is empty.", expected=f"0 to {last}", got=found)
    for method in methods:
        require_people(outer_folds, method, learners)


def require_people(outer_folds: Ints, method: Method, learners: NDArray[np.bool_] | None = None) -> None:
    """Refuse folds of which one leaves too few people for a method.

    Raises
    ------
    ConfigError
        Names how many are left, and how many the method needs.
    """
    may = np.ones(len(outer_folds), np.bool_) if learners is None else learners
    n, sizes = int(may.sum()), np.bincount(outer_folds[may], minlength=1)
    left = n - int(sizes.max())
    if left < method.least_people:
        raise ConfigError(
            "One outer fold leaves too few people to learn from.",
            expected=f"at least {method.least_people} people in the other folds",
            got=f"{left} of {n}",
            fix=_more_to_learn_from(n, left, method),
        )


def _more_to_learn_from(n: int, left: int, method: Method) -> str:
    """What under [baseline] leaves `method` enough of n people, of whom a fold now leaves `left`."""
    cures, inner = [], left // _PEOPLE_IN_INNER_FOLD
    if isinstance(method, ElasticNet) and inner >= _FEWEST_INNER_FOLDS:
        cures.append(f"inner_folds = {inner}")
    if method.least_people < n:
        cures.append(f"of random folds, outer_folds = {-(-n // (n - method.least_people))}")
    cures.append("no such method in `methods`, or none of these folds in `splits`")
    return f"under [baseline], {'; or '.join(cures)}"


def _check_shape(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got != expected:
        raise InputError(
            f"The shape of {name} does not fit the number of people.", where=name, expected=expected, got=got
        )


def _check_values(name: str, values: Dosage, least: float = -np.inf, most: float = np.inf) -> None:
    if not values.size or (values.min() >= max(least, _LEAST) and values.max() <= min(most, -_LEAST)):
        return  # never so where one is NaN
    fine = np.isfinite(values) & (values >= least) & (values <= most)
    if not fine.all():
        place = tuple(int(i) for i in np.argwhere(~fine)[0])
        raise InputError(
            f"The {name} has a value that is missing or out of range.",
            where=f"{name}{list(place)}",
            expected="a finite number" if np.isinf(least) else f"{least:g} to {most:g}",
            got=f"{values[place]} (and {int((~fine).sum()) - 1} more)",
        )
