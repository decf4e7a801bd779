"""Is a held-out correlation real? Each fold judged apart, and the folds combined with their signs."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.evaluate.correlation import correlate

__all__ = ["fold_p", "signed_combination"]

Float = NDArray[np.float64]

_SMALLEST: Final = 1e-300
"""P-values below count as this, so that their z is finite."""


def fold_p(predicted: Float, observed: Float, fold: NDArray[np.int64]) -> float | None:
    """P of (N,) held-out predictions of (N,) outcomes: the plain p of each fold's R, combined.

    R over all folds has no plain p. A pair of people in two folds counts in both, once as the one who is
    learned from and once as the one who is predicted, so that its spread under chance is wider than that of
    N independent people. A single fold knows nothing of this, and `signed_combination` reckons with it.

    Parameters
    ----------
    fold
        (N,) in which each person was held out. A fold with a constant prediction counts as R = 0: whether a
        learner finds something depends on the other folds, so that to leave such folds out would choose
        among the rest, and those lean to the negative.

    Returns
    -------
    None where no fold has an R.
    """
    found = [correlate(predicted[fold == k], observed[fold == k]) for k in np.unique(fold)]
    if all(one.pearson_r is None for one in found):
        return None
    r = np.array([one.pearson_r or 0.0 for one in found])
    pval = np.array([1.0 if one.pval_nominal is None else one.pval_nominal for one in found])
    return signed_combination(r, pval, np.array([one.n for one in found]))


def signed_combination(r: Float, pval: Float, n: NDArray[np.int64]) -> float:
    """Two-sided p of (K,) held-out R of folds: Stouffer's z with the signs of R, weighted by ``sqrt(n)``.

    Folds that disagree in sign speak against each other. Folds depend on each other: what fold j is predicted
    by was learned, among others, from fold k, and the other way round. For a linear learner, and without
    effect, their z correlate by ``sqrt(n_j n_k / ((N - n_j) (N - n_k)))``, the shares that they have in each
    other's training: 1 of two folds, which are one and the same sum over pairs of people; 1/4 of five. The
    variance of the weighted sum is that of z so correlated, up to twice that of independent folds. Learners
    that may find nothing have R = 0 in some folds, for which this p is on the safe side.

    Parameters
    ----------
    pval
        (K,) two-sided.
    n
        (K,) people in each fold, N in all.
    """
    z = np.sign(r) * stats.norm.isf(np.maximum(pval, _SMALLEST) / 2)
    share = np.sqrt(n / np.maximum(n.sum() - n, 1))
    correlation = np.outer(share, share)
    np.fill_diagonal(correlation, 1.0)
    weight = np.sqrt(n)
    return float(2 * stats.norm.sf(abs(weight @ z) / np.sqrt(weight @ correlation @ weight)))
