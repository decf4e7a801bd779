"""Is a held-out correlation real? Each fold judged apart, and the folds' p-values combined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapsight.evaluate.correlation import correlate

__all__ = ["cauchy_combination", "fold_p"]

Float = NDArray[np.float64]

_CERTAIN = 1e-15
"""P-values nearer to 0 or 1 than this count as this near."""


def fold_p(predicted: Float, observed: Float, fold: NDArray[np.int64]) -> float | None:
    """P of (N,) held-out predictions of (N,) outcomes: the plain p of each fold's R, combined.

    R over all folds has no plain p. A pair of people in two folds counts in both, once as the one who is
    learned from and once as the one who is predicted, so that its spread under chance is wider than that of
    N independent people. A single fold knows nothing of this; and `cauchy_combination` holds for folds that
    depend on each other.

    Parameters
    ----------
    fold
        (N,) in which each person was held out. A fold with a constant prediction is left out.

    Returns
    -------
    None where every fold is left out.
    """
    found = [correlate(predicted[fold == k], observed[fold == k]).pval_nominal for k in np.unique(fold)]
    pvalues = [p for p in found if p is not None]
    return cauchy_combination(np.array(pvalues)) if pvalues else None


def cauchy_combination(pvalues: Float) -> float:
    """One p for (K,) p-values that may depend on each other (Liu and Xie, J. Am. Stat. Assoc. 115, 2020)."""
    inside = np.clip(pvalues, _CERTAIN, 1.0 - _CERTAIN)
    statistic = float(np.mean(np.tan((0.5 - inside) * np.pi)))
    return float(0.5 - np.arctan(statistic) / np.pi)
