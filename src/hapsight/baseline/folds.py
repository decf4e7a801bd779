"""Dealing people into folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import ConfigError

__all__ = ["make_folds", "population_folds"]

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
