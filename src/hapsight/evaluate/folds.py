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
        (N,) in which each person was held out. A fold with a constant prediction is left out.

    Returns
    -------
    None where every fold is left out.
    """
    found = [correlate(predicted[fold == k], observed[fold == k]) for k in np.unique(fold)]
    ok = [one for one in found if one.pearson_r is not None and one.pval_nominal is not None]
    if not ok:
        return None
    r, pval, n = (np.array([getattr(one, name) for one in ok]) for name in ("pearson_r", "pval_nominal", "n"))
    return signed_combination(r, pval, n, len(fold))


def signed_combination(r: Float, pval: Float, n: NDArray[np.int64], people: int) -> float:
    """Two-sided p of (K,) held-out R of folds: Stouffer's z with the signs of R, weighted by ``sqrt(n)``.

    Folds that disagree in sign speak against each other. Folds depend on each other: what fold j is predicted
    by was learned, among others, from fold k, and the other way round. For a linear learner, and without
    effect, their z correlate by ``sqrt(n_j n_k / ((N - n_j) (N - n_k)))``, the shares that they have in each
    other's training: 1 of two folds, which are one and the same sum over pairs of people; 1/4 of five. The
    variance of the weighted sum is that of z so correlated, up to twice that of independent folds. Learners
    that choose among variants depend less on a single fold, for which this p is on the safe side.

    Parameters
    ----------
    pval
        (K,) two-sided.
    n
        (K,) people in each fold.
    people
        N, in all folds, those left out here included.
    """
    z = np.sign(r) * stats.norm.isf(np.maximum(pval, _SMALLEST) / 2)
    share = np.sqrt(n / np.maximum(people - n, 1))
    correlation = np.minimum(np.outer(share, share), 1.0)
    np.fill_diagonal(correlation, 1.0)
    weight = np.sqrt(n)
    return float(2 * stats.norm.sf(abs(weight @ z) / np.sqrt(weight @ correlation @ weight)))
