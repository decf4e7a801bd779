"""Nested cross-validation of the elastic net, per gene: predictions of people that no part of training saw.

Of the people of an outer fold, training sees nothing: covariates are regressed out with coefficients of the
training people, variants are filtered by their frequency, scaled and merged among the training people, and
lambda is chosen by inner folds within them. Only then are the people of the fold predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.elastic_net import (
    CrossValidatedFit,
    ElasticNetOptions,
    fit_cross_validated,
    usable_variants,
)
from hapsight.errors import ConfigError, InputError

__all__ = ["ElasticNetOptions", "GeneFit", "GeneStatus", "fit_gene", "make_folds", "residualise"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
        (K,) lambda chosen by the inner folds; NaN where the training people allow no path.
    final_lambda
        Lambda of the fit on all people; NaN likewise.
    weights
        (V,) effect per ALT allele in the fit on all people.
    intercept
        Of the fit on all people: predicted = intercept + weights @ dosage.
    status
        ``no_model`` where the prediction is constant in every fold; the final fit is given all the same.
        ``no_variants`` where none reaches the allele frequency among all people.
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

    @property
    def n_nonzero(self) -> int:
        """Variants with an effect in the fit on all people."""
        return int(np.count_nonzero(self.weights))


def make_folds(n: int, k: int, rng: np.random.Generator) -> Ints:
    """Shuffle n people into k folds whose sizes differ by at most one.

    Returns
    -------
    (n,) fold of each person, 0..k-1.

    Raises
    ------
    ConfigError
        If there are fewer people than folds, or no fold.
    """
    if not 1 <= k <= n:
        raise ConfigError("People cannot be dealt into these folds.", expected=f"1 to {n} folds", got=k)
    return rng.permutation(np.arange(n, dtype=np.int64) % k)


def residualise(
    y_train: Floats, c_train: Floats | None, y_test: Floats, c_test: Floats | None
) -> tuple[Floats, Floats]:
    """Subtract from both outcomes what the covariates explain, by least squares on the training people only.

    Parameters
    ----------
    y_train, y_test
        (n,), (m,) outcomes.
    c_train, c_test
        (n, C), (m, C) covariates, without an intercept (one is added); None: only the mean is subtracted.

    Raises
    ------
    ConfigError
        If covariates and intercept have as many dimensions as there are training people: nothing is left.
    """
    train, test = _design(len(y_train), c_train), _design(len(y_test), c_test)
    scale = np.sqrt(np.mean(train**2, axis=0))
    scale[scale == 0.0] = 1.0
    coefficients, _, rank, _ = np.linalg.lstsq(train / scale, y_train, rcond=None)
    if rank >= len(y_train):
        raise ConfigError(
            "The covariates explain everything: they have as many dimensions as there are training people.",
            where="covariates",
            expected=f"fewer than {len(y_train)} dimensions, the intercept included",
            got=rank,
            fix="use fewer covariates, or more people",
        )
    return y_train - train / scale @ coefficients, y_test - test / scale @ coefficients


def _design(n: int, covariates: Floats | None) -> Floats:
    intercept = np.ones((n, 1))
    return intercept if covariates is None else np.hstack([intercept, covariates])


def fit_gene(
    dosage: NDArray[np.uint8] | Floats,
    expression: Floats,
    covariates: Floats | None,
    outer_folds: Ints,
    rng_seed: int,
    options: ElasticNetOptions | None = None,
) -> GeneFit:
    """Nested elastic net of one gene's expression on the dosages of its cis variants.

    The result depends on the arguments only, not on other genes or on the process that computes it. Inner
    folds come from `rng_seed` and the outer fold's number, hence are the same for genes of the same seed.

    Parameters
    ----------
    dosage
        (V, N) ALT alleles, 0 to 2.
    expression
        (N,) on the scale that is to be predicted (such as log).
    covariates
        (N, C) or None.
    outer_folds
        (N,) as from `make_folds` with ``options.outer`` folds; the same for all genes.
    options
        PrediXcan's where omitted.

    Raises
    ------
    InputError
        If shapes do not fit each other, or a value is missing or out of range.
    ConfigError
        If there are too few people for the folds, `outer_folds` are other folds than the options ask for, or
        the covariates leave nothing to explain, or the seed is negative.
    """
    options = options or ElasticNetOptions()
    _check(dosage, expression, covariates, outer_folds, options)
    if rng_seed < 0:
        raise ConfigError("The seed of the folds must not be negative.", where="rng_seed", got=rng_seed)
    dosage = np.asarray(dosage, dtype=np.float64)
    expression = np.asarray(expression, dtype=np.float64)
    observed, predicted = np.empty(len(expression)), np.empty(len(expression))
    fold_lambda, fold_r = np.full(options.outer, np.nan), np.full(options.outer, np.nan)
    for k in range(options.outer):
        test = outer_folds == k
        observed[test], model = _train(dosage, expression, covariates, ~test, test, (rng_seed, k), options)
        predicted[test] = model.predict(dosage[:, test])
        fold_lambda[k] = model.lambda_min
        fold_r[k] = _pearson(observed[test], predicted[test])
    everyone = np.ones(len(expression), np.bool_)
    _, final = _train(dosage, expression, covariates, everyone, everyone, (rng_seed, options.outer), options)
    status = _status(dosage, expression, predicted, outer_folds, options)
    return GeneFit(
        observed,
        predicted,
        outer_folds.astype(np.int64),
        fold_r,
        fold_lambda,
        final.lambda_min,
        final.weights,
        final.intercept,
        status,
    )


def _train(
    dosage: Floats,
    expression: Floats,
    covariates: Floats | None,
    train: NDArray[np.bool_],
    test: NDArray[np.bool_],
    seed: tuple[int, int],
    options: ElasticNetOptions,
) -> tuple[Floats, CrossValidatedFit]:
    """Residuals of the people of `test`, and the model of those of `train`."""
    c_train, c_test = (None, None) if covariates is None else (covariates[train], covariates[test])
    outcome, observed = residualise(expression[train], c_train, expression[test], c_test)
    if np.ptp(outcome) <= 1e-9 * np.abs(expression[train]).max():
        outcome = np.zeros_like(outcome)
    inner = make_folds(len(outcome), options.inner, np.random.default_rng(seed))
    return observed, fit_cross_validated(dosage[:, train], outcome, inner, options)


def _status(
    dosage: Floats, expression: Floats, predicted: Floats, folds: Ints, options: ElasticNetOptions
) -> GeneStatus:
    if np.ptp(expression) == 0.0:
        return GeneStatus.CONSTANT_EXPRESSION
    if not usable_variants(dosage, options.min_maf).any():
        return GeneStatus.NO_VARIANTS
    if all(_is_constant(predicted[folds == k]) for k in range(options.outer)):
        return GeneStatus.NO_MODEL
    return GeneStatus.OK


def _is_constant(values: Floats) -> bool:
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def _pearson(a: Floats, b: Floats) -> float:
    if _is_constant(a) or _is_constant(b):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _check(
    dosage: NDArray[np.uint8] | Floats,
    expression: Floats,
    covariates: Floats | None,
    outer_folds: Ints,
    options: ElasticNetOptions,
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
    if n < options.outer * options.inner:
        raise ConfigError(
            "There are too few people for nested cross-validation.",
            expected=f"at least outer x inner = {options.outer} x {options.inner} people",
            got=n,
            fix="use fewer folds",
        )
    _check_folds(outer_folds, options.outer, n)


def _check_folds(folds: Ints, k: int, n: int) -> None:
    found = np.unique(folds).tolist()
    if found != list(range(k)):
        raise ConfigError("The outer folds are not those asked for.", expected=f"0 to {k - 1}", got=found)
    largest = int(np.bincount(folds).max())
    if largest > n // 2 + 1:
        raise ConfigError(
            "One outer fold holds more people than are left for training.",
            expected=f"at most {n // 2 + 1} of {n} people",
            got=largest,
            fix="use make_folds",
        )


def _check_shape(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got != expected:
        raise InputError(
            f"The shape of {name} does not fit the number of people.", where=name, expected=expected, got=got
        )


def _check_values(
    name: str, values: NDArray[np.uint8] | Floats, least: float = -np.inf, most: float = np.inf
) -> None:
    fine = np.isfinite(values) & (values >= least) & (values <= most)
    if not fine.all():
        place = tuple(int(i) for i in np.argwhere(~fine)[0])
        raise InputError(
            f"The {name} has a value that is missing or out of range.",
            where=f"{name}{list(place)}",
            expected="a finite number" if np.isinf(least) else f"{least:g} to {most:g}",
            got=f"{values[place]} (and {int((~fine).sum()) - 1} more)",
        )
