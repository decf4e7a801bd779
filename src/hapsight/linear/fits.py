"""Dealing people into folds.

What every linear method gives back.

What a linear fit sees of dosages: its usable variants, copies of each other merged, standardised. Variants in
perfect linkage are one predictor, so a fit's work is that of the distinct ones; what it finds is shared among
the copies.

What the elastic net's loops hand to each other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.ploidy import OneCopy
from hapsight.errors import ConfigError, plural
from hapsight.least_squares import DistinctRows, distinct_rows, row_means

__all__ = [
    "MAX_SWEEPS",
    "Active",
    "Data",
    "Dosage",
    "LinearFit",
    "Outcome",
    "Pieces",
    "Predictors",
    "Screen",
    "make_folds",
    "mean_only",
    "population_folds",
    "usable_variants",
    "varies",
    "weighted_sum",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Dosage = NDArray[np.uint8] | Floats

_TOGETHER: Final = 512
"""Variants that are added at once."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearFit:
    """A linear predictor of V variants.

    Attributes
    ----------
    weights
        (V,) change of the outcome per unit of dosage.
    intercept
        Outcome at dosage 0.
    penalty
        The penalty the method chose: lambda of a net, residual over genetic variance of BLUP; NaN where
        there is none.
    """

    weights: Floats
    intercept: float
    penalty: float = float("nan")

    def predict(self, dosage: Dosage) -> Floats:
        """Outcome (n,) of people with these dosages (V, n)."""
        predicted: Floats = self.intercept + weighted_sum(self.weights, dosage)
        return predicted


def weighted_sum(weights: Floats, dosage: Dosage) -> Floats:
    """(N,) sum over variants of (V,) weight times (V, N) dosage: one number for people of the same dosages.

    A matrix product does not give that: in which order it adds a person's terms depends on the person's place
    among the others, and the last digit with it.
    """
    used, total = np.flatnonzero(weights), np.zeros(dosage.shape[1])
    for first in range(0, len(used), _TOGETHER):
        some = used[first : first + _TOGETHER]
        total += np.add.reduce(weights[some, None] * dosage[some], axis=0)
    return total


def mean_only(n_variants: int, outcome: Floats, penalty: float = float("nan")) -> LinearFit:
    """The predictor that knows nothing: the mean of the outcome (n,)."""
    return LinearFit(np.zeros(n_variants), float(outcome.mean()), penalty)


def usable_variants(
    dosage: Dosage, min_maf: float, one_copy: OneCopy | None = None, mean: Floats | None = None
) -> NDArray[np.bool_]:
    """(V,) whether each row of `dosage` (V, n) varies and its rarer allele reaches `min_maf`.

    `mean` (V,) is the rows', where it is known.
    """
    mean = row_means(dosage) if mean is None else mean
    frequency = mean / 2.0 if one_copy is None else one_copy.af(dosage)
    usable: NDArray[np.bool_] = varies(dosage) & (np.minimum(frequency, 1.0 - frequency) >= min_maf)
    return usable


def varies(values: Dosage) -> NDArray[np.bool_]:
    """(V,) whether each row (V, n) varies by more than the rounding of its size."""
    low, high = values.min(axis=1), values.max(axis=1)
    differ: NDArray[np.bool_] = high - low > 1e-9 * np.maximum(np.abs(low), np.abs(high))
    return differ


@dataclass(frozen=True, eq=False)
class Predictors:
    """V variants of the n people of a fit, of which U are usable and P are distinct.

    Attributes
    ----------
    dosage
        (V, n) of these people.
    mean
        (V,) of it.
    usable
        (U,) which variants vary, and are frequent enough.
    distinct
        The P groups of the usable ones.
    """

    dosage: Dosage
    mean: Floats
    usable: NDArray[np.intp]
    distinct: DistinctRows

    @classmethod
    def of(cls, dosage: Dosage, min_maf: float, one_copy: OneCopy | None = None) -> Predictors:
        """Of dosages (V, n); rows that do not vary, or are rarer than `min_maf`, are not usable."""
        mean = row_means(dosage)
        usable = np.flatnonzero(usable_variants(dosage, min_maf, one_copy, mean))
        distinct = distinct_rows(dosage[usable])
        return cls(dosage, mean, usable, distinct)

    @property
    def first(self) -> NDArray[np.intp]:
        """(P,) the variants that stand for their groups."""
        return self.usable[self.distinct.first]

    def centred(self) -> Floats:
        """(P, n) their dosages, with mean 0."""
        return np.asarray(self.dosage[self.first] - self.mean[self.first, None])

    @cached_property
    def deviation(self) -> Floats:
        """(P,) standard deviation of their dosages."""
        squares = np.empty(len(self.first))
        for some in range(0, len(squares), _TOGETHER):
            first = self.first[some : some + _TOGETHER]
            rows = self.dosage[first] - self.mean[first, None]
            squares[some : some + _TOGETHER] = np.einsum("pn,pn->p", rows, rows)
        deviation: Floats = np.sqrt(squares / self.dosage.shape[1])
        return deviation

    @cached_property
    def rows(self) -> Floats:
        """(P, n) their dosages, with mean 0 and mean square 1."""
        rows = self.centred()
        rows /= self.deviation[:, None]
        return rows

    def can_tell(self, outcome: Floats) -> bool:
        """Whether there is anything to learn: a variant, and an outcome (n,) that varies."""
        return len(self.usable) > 0 and bool(np.ptp(outcome) > 0.0)

    def pooled(self, log_prior: Floats) -> tuple[Floats, Floats]:
        """Logarithms (V,) of priors: (P,) of the sum of each group, and (U,) each copy's share of that."""
        own, group = log_prior[self.usable], self.distinct.group
        largest = np.full(len(self.distinct.first), -np.inf)
        np.maximum.at(largest, group, own)
        shares = np.exp(own - largest[group])
        sums = np.bincount(group, shares, len(largest))
        return largest + np.log(sums), shares / sums[group]

    def line(self, effects: Floats, outcome: Floats) -> tuple[Floats, float]:
        """Weights (V,) per unit of dosage, and the intercept, of a line through the mean of `outcome` (n,).

        Parameters
        ----------
        effects
            (U,) of each usable variant per standard deviation of its group's row.
        """
        weights = np.zeros(len(self.mean))
        weights[self.usable] = effects * self.distinct.sign / self.deviation[self.distinct.group]
        return weights, float(outcome.mean() - weights @ self.mean)


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
        raise ConfigError(
            "People cannot be divided into these folds.",
            expected=f"1 to {n} folds, of as many people",
            got=k,
            fix="set fewer (outer_folds and inner_folds under [baseline]), or take more people",
        )
    return rng.permutation(np.arange(n, dtype=np.int64) % k)


def population_folds(
    populations: Sequence[str | None], split: str = "population"
) -> tuple[Ints, tuple[str, ...]]:
    """Folds that hold out one population each.

    Parameters
    ----------
    split
        What the sample sheet and the configuration call it: ``"population"`` or ``"super_population"``.

    Returns
    -------
    (n,) fold of each person, and the population of each fold, by name.

    Raises
    ------
    ConfigError
        A person has no population, or all have the same.
    """
    word = split.replace("_", "-")
    without = sum(population is None for population in populations)
    names = tuple(sorted({population for population in populations if population is not None}))
    if without or len(names) < 2:
        raise ConfigError(
            f"People cannot be held out by {word}.",
            where=f'splits = ["{split}"] under [baseline]',
            expected=f"a {word} for everyone, and at least 2 {word}s",
            got=(
                f"{plural(len(names), word)} ({', '.join(names) or 'none'}), "
                f"{plural(without, 'people')} without one"
            ),
            fix=f"give a sample sheet with a column {split} for each person: `samples` under [cohort]"
            + (f"; or take those who have one: populations = {json.dumps(names)} there" if names[1:] else ""),
        )
    place = {name: fold for fold, name in enumerate(names)}
    return np.array([place[p] for p in populations if p is not None], dtype=np.int64), names


MAX_SWEEPS: Final = 100_000
"""Sweeps allowed for one descent."""


class Pieces(NamedTuple):
    """The penalties of P predictors, as chains of S pieces in all.

    A coefficient of size b is penalised as ``factor b alpha + ridge b^2 (1 - alpha) / 2``, up to a constant,
    by the first piece of its chain whose `end` is not below it.
    """

    start: Ints  # (P + 1,) first piece of each predictor, and S
    factor: Floats  # (S,) of the absolute penalty, ascending in a chain
    ridge: Floats  # (S,) of the squared penalty
    end: Floats  # (S,) ascending; infinite in the last piece of a chain
    least: Floats  # (P,) factor of the first piece


class Data(NamedTuple):
    """What stays the same along the paths; Q problems, P predictors, n people."""

    rows: Floats  # (P, n)
    pieces: Pieces
    left_out: Flags  # (Q, n)
    kept: Floats  # (Q, n) 0 where left out, else 1
    mean: Floats  # (Q, P) of each row over the people of each problem
    norm: Floats  # (Q, P) of the centred row; 0 where it is constant
    target: Floats  # (Q, n) centred outcome of unit norm, 0 for those left out


class Outcome(NamedTuple):
    """What is predicted, of n people in Q problems."""

    values: Floats  # (n,)
    mean: Floats  # (Q,)
    norm: Floats  # (Q,) once centred


class Active(NamedTuple):
    """Predictors that ever entered each problem, in order of entry, with room for R of them."""

    size: Ints  # (Q,) how many there are
    member: Flags  # (Q, P)
    which: Ints  # (Q, R) row of the predictor
    beta: Floats  # (Q, R) coefficients
    gradient: Floats  # (Q, R) column . residual
    columns: Floats  # (Q, R, n) centred, unit norm, 0 for people left out
    gram: Floats  # (Q, R, R) column . column


class Screen(NamedTuple):
    """What is known of every predictor's gradient without computing it at each solution.

    A gradient is no larger than ``least + path``.
    """

    gradient: Floats  # (Q, P) when it was last computed
    least: Floats  # (Q, P) its size then, less the path up to then
    path: Floats  # (Q,) length of the way that the residual has gone
    residual: Floats  # (Q, n) where it is
