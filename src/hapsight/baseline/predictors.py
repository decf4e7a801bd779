"""What a linear fit sees of dosages: its usable variants, copies of each other merged, standardised.

Variants in perfect linkage are one predictor, so a fit's work is that of the distinct ones; what it finds is
shared among the copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.duplicates import DistinctRows, distinct_rows
from hapsight.baseline.elastic_net import usable_variants
from hapsight.baseline.linear import Dosage
from hapsight.cohort.ploidy import OneCopy

__all__ = ["Predictors"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Predictors:
    """V variants of the n people of a fit, of which U are usable and P are distinct.

    Attributes
    ----------
    mean
        (V,) dosage.
    usable
        (U,) which variants vary, and are frequent enough.
    distinct
        The P groups of the usable ones.
    rows
        (P, n) the first of each group, with mean 0 and mean square 1.
    deviation
        (P,) standard deviation of its dosage.
    """

    mean: Floats
    usable: NDArray[np.intp]
    distinct: DistinctRows
    rows: Floats
    deviation: Floats

    @classmethod
    def of(cls, dosage: Dosage, min_maf: float, one_copy: OneCopy | None = None) -> Predictors:
        """Of dosages (V, n); rows that do not vary, or are rarer than `min_maf`, are not usable."""
        usable = np.flatnonzero(usable_variants(dosage, min_maf, one_copy))
        distinct = distinct_rows(dosage[usable])
        rows = dosage[usable[distinct.first]].astype(np.float64)
        rows -= rows.mean(axis=1, keepdims=True)
        deviation = np.sqrt(np.einsum("pn,pn->p", rows, rows) / dosage.shape[1])
        rows /= deviation[:, None]
        return cls(dosage.mean(axis=1), usable, distinct, rows, deviation)

    def can_tell(self, outcome: Floats) -> bool:
        """Whether there is anything to learn: a variant, and an outcome (n,) that varies."""
        return len(self.usable) > 0 and bool(np.ptp(outcome) > 0.0)

    def pooled(self, log_prior: Floats) -> tuple[Floats, Floats]:
        """Logarithms (V,) of priors: (P,) of the sum of each group, and (U,) each copy's share of that."""
        own, group = log_prior[self.usable], self.distinct.group
        largest = np.full(len(self.rows), -np.inf)
        np.maximum.at(largest, group, own)
        shares = np.exp(own - largest[group])
        sums = np.bincount(group, shares, len(self.rows))
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
