"""Penalty factors: each variant's share of the elastic net's penalty, and what merged variants pay together.

Variant j of V pays ``lambda f_j (alpha |b_j| + (1 - alpha)/2 b_j^2)``, where the factors f have mean 1
(glmnet's ``penalty.factor``; Friedman, Hastie and Tibshirani, J. Stat. Softw. 33(1), 2010).

Identical columns with factors f_1 <= ... <= f_m carry a coefficient B > 0 together, in the shares that cost
least: those with ``f_i alpha < u`` take part, each with ``b_i = (u / f_i - alpha) / (1 - alpha)``, at the
same marginal cost u. With k of them taking part and ``S = sum 1/f_i`` over these, ``u = alpha k / S +
(1 - alpha) B / S``: as of one column with factor ``k / S`` and ridge ``1 / S``, until u reaches
``alpha f_{k+1}``. So the cheapest columns take all of a small coefficient, and of any in the LASSO; columns
with equal factors have equal shares (which the LASSO leaves open).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.duplicates import DistinctRows
from hapsight.baseline.kernel import Pieces
from hapsight.errors import InputError

__all__ = ["LEAST_FACTOR", "SharedPenalty", "rescaled_factors", "shared_penalty"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_FACTOR: Final = 1e-8
"""Factors below this share of their mean are refused: their lambdas would be far above all others'."""


def rescaled_factors(factors: Floats) -> Floats:
    """Factors (V,) with mean 1, as glmnet has them.

    Raises
    ------
    InputError
        A factor is not a finite number, or less than `LEAST_FACTOR` of their mean (such as 0: not penalised).
    """
    finite = np.isfinite(factors) & (factors > 0.0)
    mean = factors[finite].mean() if finite.any() else 1.0
    fine = finite & (factors >= LEAST_FACTOR * mean)
    if not fine.all():
        place = int(np.flatnonzero(~fine)[0])
        raise InputError(
            "A penalty factor is too small, or not a number.",
            where=f"factors[{place}] (and {int((~fine).sum()) - 1} more)",
            expected=f"finite, and at least {LEAST_FACTOR:g} of their mean",
            got=factors[place],
            fix="raise the smallest factors: every variant must be penalised",
        )
    rescaled: Floats = factors / mean
    return rescaled


@dataclass(frozen=True, slots=True, eq=False)
class SharedPenalty:
    """What P groups of identical columns pay together, as chains of S pieces.

    Attributes
    ----------
    distinct
        The groups of V rows.
    factors
        (V,) of the rows.
    pieces
        As the kernel reads them.
    members
        (S,) columns that take part in each piece.
    inverse
        (S,) sum of their inverse factors.
    last
        (S,) the largest of their factors.
    """

    distinct: DistinctRows
    factors: Floats
    pieces: Pieces
    members: Floats
    inverse: Floats
    last: Floats
    alpha: float

    def spread(self, slopes: Floats, scale: Floats) -> Floats:
        """Share the slope of each group (P,) among its rows at the least cost: (V,) slopes.

        Parameters
        ----------
        scale
            (P,) standard deviation of each group's row over that of the outcome.
        """
        group = self.distinct.group
        piece = self._piece(np.abs(slopes) * scale)[group]
        weight = self.inverse[piece] * self.factors
        shared: Floats = slopes[group] / weight
        if self.alpha < 1.0:
            uneven = self.alpha / (1.0 - self.alpha) * (self.members[piece] / weight - 1.0)
            shared += np.sign(slopes[group]) * uneven / scale[group]
        taking_part = (self.factors <= self.last[piece]) & (slopes[group] != 0.0)
        return np.where(taking_part, shared, 0.0) * self.distinct.sign

    def _piece(self, size: Floats) -> Ints:
        """(P,) the piece that each group's coefficient of this size is on."""
        piece = self.pieces.start[:-1].copy()
        while (beyond := size > self.pieces.end[piece]).any():
            piece[beyond] += 1
        return piece


def shared_penalty(distinct: DistinctRows, factors: Floats, alpha: float) -> SharedPenalty:
    """The penalties of groups of identical rows whose factors are (V,)."""
    order = np.lexsort((factors, distinct.group))
    group, factor = distinct.group[order], factors[order]
    members, inverse = _running(group, factor, distinct.copies)
    new_group = group[1:] != group[:-1]
    ends_piece = np.append(new_group | (factor[1:] != factor[:-1]), True)
    piece = np.flatnonzero(ends_piece)
    last_of_chain = np.append(new_group, True)[piece]
    members, inverse, last = members[piece], inverse[piece], factor[piece]
    end = np.full(len(piece), np.inf)
    if alpha < 1.0:
        following = np.append(last[1:], np.inf)
        end = np.where(last_of_chain, np.inf, alpha / (1.0 - alpha) * (following * inverse - members))
    start = np.append(0, np.flatnonzero(last_of_chain) + 1).astype(np.int64)
    pieces = Pieces(start, members / inverse, 1.0 / inverse, end, (members / inverse)[start[:-1]])
    return SharedPenalty(distinct, factors, pieces, members, inverse, last, alpha)


def _running(group: Ints, factor: Floats, copies: Ints) -> tuple[Floats, Floats]:
    """(V,) how many rows of the same group there are up to each one, and the sum of their inverse factors."""
    first = np.append(0, np.cumsum(copies)[:-1])
    rank = np.arange(len(group)) - first[group]
    inverse = 1.0 / factor
    for place in range(1, int(copies.max(initial=1))):
        here = np.flatnonzero(rank == place)
        inverse[here] += inverse[here - 1]
    return rank + 1.0, inverse
