"""Whether people are alike under a null: what populations explain of a prediction and of expression.

R over people of several populations has a part between populations. Where both the prediction and expression
differ between them, that part is there without any effect of the gene's variants, and a null that takes all
people as alike (the plain p of R, or exchange among everybody) calls it a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.least_squares import Design
from hapsight.stats.correlation import is_constant

__all__ = ["FEWEST_IN_GROUP", "Between", "Explained", "Groups"]

Float = NDArray[np.float64]

FEWEST_IN_GROUP: Final = 5
"""Populations of fewer people are left out of every comparison between populations."""


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """People by population.

    Attributes
    ----------
    names
        K populations of at least `FEWEST_IN_GROUP` people, by name.
    people
        (n,) indices of their people.
    dummies
        (n, K) 1 where a person is of a population.
    """

    names: tuple[str, ...]
    people: NDArray[np.intp]
    dummies: Float

    @classmethod
    def of(cls, labels: Sequence[str | None]) -> Groups | None:
        """Of N people's labels; None where fewer than two populations have people enough."""
        sizes = Counter(label for label in labels if label is not None)
        names = tuple(sorted(name for name, size in sizes.items() if size >= FEWEST_IN_GROUP))
        if len(names) < 2:
            return None
        place = {name: column for column, name in enumerate(names)}
        people = np.array([i for i, label in enumerate(labels) if label in place], np.intp)
        columns = np.array([place[str(labels[i])] for i in people.tolist()], np.intp)
        return cls(names, people, np.eye(len(names))[columns])


@dataclass(frozen=True, slots=True)
class Explained:
    """What populations explain of values: their share of the variance beside covariates, and its F test.

    Attributes
    ----------
    share
        Of what covariates leave; None where that is nothing.
    """

    share: float | None
    pval: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Between:
    """What values are fitted with to see what populations explain of them; made once for all genes.

    Attributes
    ----------
    designs
        Covariates without populations, and with them; None where people are too few for both.
    """

    groups: Groups
    designs: tuple[Design, Design] | None

    @classmethod
    def of(cls, groups: Groups, covariates: Float | None = None) -> Between:
        """Populations beside (N, C) covariates."""
        own = None if covariates is None else covariates[groups.people]
        both = groups.dummies if own is None else np.hstack([own, groups.dummies])
        n = len(groups.people)
        if np.linalg.matrix_rank(both) + 2 > n:
            return cls(groups, None)
        return cls(groups, (Design.of(n, own), Design.of(n, both)))

    def explained(self, values: Float) -> Explained:
        """Share of (N,) values' variance between populations, beside the covariates; and its F test."""
        mine = values[self.groups.people]
        if self.designs is None or is_constant(mine):
            return Explained(None, None)
        base, full = self.designs
        before, after = (float((one.residuals(mine) ** 2).sum()) for one in self.designs)
        added = full.rank - base.rank
        if not added or not before:
            return Explained(0.0, 1.0)
        degrees = len(mine) - full.rank
        if not after:
            return Explained(1.0, 0.0)
        ratio = (before - after) / added / (after / degrees)
        return Explained(1 - after / before, float(scipy.special.fdtrc(added, degrees, ratio)))

    def within_r(self, predicted: Float, observed: Float) -> float | None:
        """R of two (N,) arrays, what the fit explains taken out of both; None where one is constant then."""
        if self.designs is None:
            return None
        left = [self.designs[1].residuals(values[self.groups.people]) for values in (predicted, observed)]
        sizes = [float(np.linalg.norm(one)) for one in left]
        return float(np.clip(left[0] @ left[1] / (sizes[0] * sizes[1]), -1, 1)) if all(sizes) else None
