"""Driver selection written as the definitions read: one variant, one sum, one scipy call at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr

Float = NDArray[np.float64]


def _r(x: Float, y: Float) -> tuple[float, float]:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0, 1.0
    found = pearsonr(x, y)
    return float(found.statistic), float(found.pvalue)


def _by_size(effects: Float) -> list[int]:
    return sorted(range(len(effects)), key=lambda v: -abs(effects[v]))


def sasse2023_slowly(effects: Float, dosage: Float, predicted: Float) -> list[tuple[int, float]]:
    """Variants and rises of rho."""
    order, found, before = _by_size(effects), [], 0.0
    whole, _ = _r(sum(effects[v] * dosage[v] for v in order), predicted)
    for k, v in enumerate(order):
        partial, _ = _r(sum(effects[u] * dosage[u] for u in order[: k + 1]), predicted)
        rho = partial / whole
        own, p = _r(effects[v] * dosage[v], predicted)
        if rho - before > 0.05 and own > 0 and p < 0.01 / len(effects):
            found.append((v, rho - before))
        before = rho
    return found


def rastogi_slowly(effects: Float, dosage: Float, predicted: Float) -> list[tuple[int, float]]:
    """Variants and rises of r."""
    found: list[tuple[int, float]] = []
    best = 0.0
    for v in _by_size(effects):
        kept = [u for u, _ in found] + [v]
        partial, _ = _r(sum(effects[u] * dosage[u] for u in kept), predicted)
        own, p = _r(effects[v] * dosage[v], predicted)
        if partial - best > 0.05 and own > 0 and p * len(effects) < 0.01:
            found.append((v, partial - best))
            best = partial
    return found
