"""Whose genotypes are whose: people's expression against everybody's genotypes, at the strongest eQTLs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_R", "MARGIN", "Mismatch", "find_mismatches", "match_scores", "strongest_variant"]

Float = NDArray[np.float64]

LEAST_R = 0.3
"""Weaker eQTLs are left out: their correlation is mostly the luck of the best of many variants."""

MARGIN = 15.0
"""Log likelihood ratio, other person against the own one, from which on a match is called wrong."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Expression that fits another person's genotypes: that of `expression_of` fits those of `fits`.

    Attributes
    ----------
    exchanged
        True where the other person's expression does not fit their own genotypes either, as when names
        were exchanged; else the expression may be of poor quality, or mixed.
    """

    expression_of: int
    fits: int
    log_ratio: float
    exchanged: bool


def strongest_variant(dosage: NDArray[np.uint8], expression: Float) -> tuple[Float, float] | None:
    """The variant most correlated with expression: (N,) its standardised dosage, and r.

    Returns ``None`` where neither varies.
    """
    centred = dosage - dosage.mean(axis=1, keepdims=True, dtype=np.float64)
    spread = centred.std(axis=1)
    centred, spread = centred[spread > 0], spread[spread > 0]
    if not len(centred) or not np.ptp(expression):
        return None
    outcome = (expression - expression.mean()) / expression.std()
    r = centred @ outcome / (len(outcome) * spread)
    best = int(np.argmax(np.abs(r)))
    return centred[best] / spread[best], float(r[best])


def match_scores(dosage: Float, expression: Float, r: Float) -> Float:
    """Log likelihood ratio of every pairing of people, against expression that knows no genotype.

    Gene by gene, expression given dosage is normal with mean ``r * dosage`` and variance ``1 - r^2``; genes
    are taken as independent.

    Parameters
    ----------
    dosage, expression
        (G, N), both standardised: of the gene's strongest variant, and of the gene.
    r
        (G,) their correlation.

    Returns
    -------
    (N, N): row i for the genotypes of person i, column j for the expression of person j.
    """
    noise = 1.0 - r**2
    cross = (dosage * (r / noise)[:, None]).T @ expression
    own = (r**2 / (2 * noise)) @ dosage**2
    others = (r**2 / (2 * noise)) @ expression**2
    return np.asarray(cross - own[:, None] - others[None, :] - 0.5 * np.log(noise).sum(), dtype=np.float64)


def find_mismatches(scores: Float, margin: float = MARGIN) -> list[Mismatch]:
    """People whose expression fits somebody else's genotypes better by more than `margin`."""
    best = np.argmax(scores, axis=0)
    ratio = scores[best, np.arange(len(best))] - np.diagonal(scores)
    wrong = ratio > margin
    return [
        Mismatch(int(j), int(best[j]), float(ratio[j]), bool(wrong[best[j]])) for j in np.flatnonzero(wrong)
    ]
