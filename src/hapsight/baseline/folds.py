"""Dealing people into folds, and taking covariates out of an outcome without looking at held-out people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import ConfigError

__all__ = ["make_folds", "population_folds", "residualise"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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


def population_folds(populations: Sequence[str | None]) -> tuple[Ints, tuple[str, ...]]:
    """Folds that hold out one population each.

    Returns
    -------
    (n,) fold of each person, and the population of each fold, by name.

    Raises
    ------
    ConfigError
        A person has no population, or all have the same.
    """
    without = sum(population is None for population in populations)
    names = tuple(sorted({population for population in populations if population is not None}))
    if without or len(names) < 2:
        raise ConfigError(
            "People cannot be held out by population.",
            where='splits = ["population"] under [baseline]',
            expected="a population for everyone, and at least 2 populations",
            got=f"{len(names)} populations ({', '.join(names) or 'none'}), {without} people without one",
            fix="give a sample sheet with a population for each person: `samples` under [cohort]",
        )
    place = {name: fold for fold, name in enumerate(names)}
    return np.array([place[p] for p in populations if p is not None], dtype=np.int64), names


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
