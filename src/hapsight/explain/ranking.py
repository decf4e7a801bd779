"""How well scores put the positives first: average precision, beside a baseline, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.evaluate.ranks import Estimate
from hapsight.explain.reliability_quality import average_precision

__all__ = ["ranked"]

Float = NDArray[np.float64]

_FEWEST: Final = 0.5
"""Share of the draws that must hold both classes for an interval to be given."""


def ranked(
    scores: Mapping[str, Float],
    baseline: str,
    positive: NDArray[np.bool_],
    rng: np.random.Generator,
    draws: int = 1000,
) -> dict[tuple[str, str], Estimate]:
    """Average precision of each score (n,), and what it has over that of the `baseline`.

    95 % intervals are of a bootstrap over the n things, the same draws for all scores; draws without both
    classes are drawn in vain. An interval is not given where half of the draws are.

    Returns
    -------
    Estimates by ``(score, "auprc")`` and ``(score, "auprc_gain")``; no values where all are of one class.
    """
    n, ones = len(positive), int(np.count_nonzero(positive))
    if ones in (0, n):
        return {(name, "auprc"): Estimate(n, n_positive=ones) for name in scores}
    chosen = rng.integers(n, size=(draws, n))
    chosen = chosen[positive[chosen].any(axis=1) & ~positive[chosen].all(axis=1)]
    drawn = {
        name: np.array([average_precision(score[c], positive[c]) for c in chosen])
        for name, score in scores.items()
    }
    own = {name: average_precision(score, positive) for name, score in scores.items()}
    known = len(chosen) >= _FEWEST * draws
    found = {}
    for name in scores:
        found[name, "auprc"] = _estimate(n, ones, own[name], drawn[name], known)
        if name != baseline:
            gain = drawn[name] - drawn[baseline]
            found[name, "auprc_gain"] = _estimate(n, ones, own[name] - own[baseline], gain, known)
    return found


def _estimate(n: int, ones: int, value: float, drawn: Float, known: bool) -> Estimate:
    if not known:
        return Estimate(n, value, n_positive=ones)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(n, value, float(low), float(high), ones)
