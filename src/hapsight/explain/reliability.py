"""How probable it is that a gene's sign is right, from features that need no expression of that gene.

Genes near each other share variants, LD and regulation, so whole stretches of the genome are held out, and
training genes within reach of a held-out gene are left aside. Inside each training part the same splits are
made again, to choose the penalty and to calibrate; nothing of a held-out gene is ever looked at.

Logistic regression with a ridge penalty: columns may separate the classes or repeat each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.errors import InputError

__all__ = [
    "FEWEST",
    "Genes",
    "OutOfFold",
    "log_loss",
    "out_of_fold",
    "ridge_logistic",
    "stretches",
    "within_reach",
]

Float = NDArray[np.float64]

_STEPS = 100
_TOLERANCE = 1e-10


def ridge_logistic(columns: Float, outcome: NDArray[np.bool_], penalty: float) -> Float:
    """Minimise ``-log likelihood + penalty / 2 * sum(beta^2)``; the intercept is not penalised.

    Newton's method, steps halved where the objective would rise.

    Parameters
    ----------
    columns
        (n, K), K >= 0.
    outcome
        (n,), both values present.
    penalty
        Above 0.

    Returns
    -------
    (K + 1,) intercept, then one coefficient a column.
    """
    design = np.column_stack([np.ones(len(outcome)), columns])
    y = outcome.astype(np.float64)
    weights = np.full(design.shape[1], penalty)
    weights[0] = 0.0
    beta = np.zeros(design.shape[1])
    beta[0] = scipy.special.logit(y.mean())
    value = _objective(design, y, beta, weights)
    for _ in range(_STEPS):
        p = scipy.special.expit(design @ beta)
        score = design.T @ (y - p) - weights * beta
        step = np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]) + np.diag(weights), score)
        while (new := _objective(design, y, beta + step, weights)) > value + _TOLERANCE:
            step /= 2.0
        beta, gained, value = beta + step, value - new, new
        if gained < _TOLERANCE * max(value, 1.0):
            break
    return beta


def log_loss(logits: Float, outcome: NDArray[np.bool_]) -> float:
    """Mean -log likelihood of (n,) outcomes."""
    return float(np.mean(np.logaddexp(0.0, logits) - outcome * logits))


def _objective(design: Float, y: Float, beta: Float, weights: Float) -> float:
    eta = design @ beta
    return float(np.sum(np.logaddexp(0.0, eta) - y * eta) + 0.5 * weights @ beta**2)


Mask = NDArray[np.bool_]

FEWEST: Final = 20
"""Genes of either outcome without which nothing is estimated."""

_PENALTIES: Final = (1.0, 10.0, 100.0, 1e3, 1e6)
"""The last leaves the base rate alone."""
_REACH: Final = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Genes:
    """G genes: what is known of each without its expression, where it lies, and whether its sign was right.

    Attributes
    ----------
    features
        (G, K); NaN where not known.
    right
        (G,)
    contig, position
        (G,) of the TSS.
    """

    features: Float
    right: Mask
    contig: Sequence[str]
    position: NDArray[np.int64]

    def __post_init__(self) -> None:
        sizes = {len(self.features), len(self.right), len(self.contig), len(self.position)}
        if len(sizes) > 1 or self.features.ndim != 2 or np.isinf(self.features).any():
            raise InputError(
                "The genes of a reliability do not fit each other, or a feature is infinite.",
                expected=f"{len(self.right)} genes in every part",
                got=f"features {self.features.shape}, {len(self.contig)} contigs, {len(self.position)} TSS",
            )

    def take(self, chosen: Mask) -> Genes:
        """Some of the genes."""
        contig = [name for name, kept in zip(self.contig, chosen, strict=True) if kept]
        return Genes(self.features[chosen], self.right[chosen], contig, self.position[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Probabilities of genes that were not trained on.

    Attributes
    ----------
    probability
        (G,) that the sign is right.
    base_rate
        (G,) share right among the same training genes: what is to be beaten.
    fold
        (G,) in which the gene was held out.
    penalty
        (folds,) chosen inside each; the largest means that no feature helped there.
    """

    probability: Float
    base_rate: Float
    fold: NDArray[np.int64]
    penalty: Float


def stretches(contig: Sequence[str], position: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """(G,) fold of each gene: runs of neighbouring genes, equal in number, in the genome's order."""
    order = np.lexsort((position, np.asarray(contig, dtype=str)))
    fold = np.empty(len(order), np.int64)
    fold[order] = np.arange(len(order)) * folds // max(len(order), 1)
    return fold


def within_reach(
    contig: Sequence[str], position: NDArray[np.int64], held_out: Mask, reach: int = _REACH
) -> Mask:
    """(G,) which genes are held out, or lie within `reach` bases of one that is, on the same contig."""
    names, near = np.asarray(contig, dtype=str), held_out.copy()
    for name in np.unique(names[held_out]):
        here = names == name
        out = np.sort(position[here & held_out])
        right = np.searchsorted(out, position[here]).clip(max=len(out) - 1)
        left = (right - 1).clip(min=0)
        distance = np.minimum(np.abs(out[right] - position[here]), np.abs(out[left] - position[here]))
        near[here] |= distance <= reach
    return near


def out_of_fold(genes: Genes, folds: int = 5, reach: int = _REACH) -> OutOfFold | None:
    """Estimate, for each gene, from genes far from it, how probable it is that its sign is right.

    Returns
    -------
    None where there are too few genes: in some training part fewer than `FEWEST` of either outcome.
    """
    fold = stretches(genes.contig, genes.position, folds)
    probability, base, penalty = np.empty(len(fold)), np.empty(len(fold)), np.empty(folds)
    for number in range(folds):
        held_out = fold == number
        training = genes.take(~within_reach(genes.contig, genes.position, held_out, reach))
        if min(training.right.sum(), (~training.right).sum()) < FEWEST:
            return None
        fitted = _fit_calibrated(training, folds, reach)
        probability[held_out] = fitted(genes.features[held_out])
        base[held_out] = training.right.mean()
        penalty[number] = fitted.penalty
    return OutOfFold(probability, base, fold, penalty)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """Features -> logit; `scale` and `shift` calibrate it."""

    mean: Float
    sd: Float
    gaps: Mask
    beta: Float
    penalty: float
    scale: float = 1.0
    shift: float = 0.0

    @classmethod
    def of(cls, genes: Genes, penalty: float) -> _Fitted:
        """Fit without calibration; a feature that is not known counts as its mean, and as not known."""
        known = np.isfinite(genes.features)
        n = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, genes.features, 0.0).sum(axis=0) / n
        variance = np.where(known, (genes.features - mean) ** 2, 0.0).sum(axis=0) / n
        sd = np.where(variance > 0, np.sqrt(variance), 1.0)
        gaps = (n < len(known)) & known.any(axis=0)
        columns = _columns(genes.features, mean, sd, gaps)
        return cls(mean, sd, gaps, ridge_logistic(columns, genes.right, penalty), penalty)

    def logit(self, features: Float) -> Float:
        """(G,) calibrated logits of (G, K) features."""
        raw = _columns(features, self.mean, self.sd, self.gaps) @ self.beta[1:] + self.beta[0]
        return np.asarray(self.shift + self.scale * raw)

    def __call__(self, features: Float) -> Float:
        """(G,) probabilities."""
        return np.asarray(scipy.special.expit(self.logit(features)))


def _columns(features: Float, mean: Float, sd: Float, gaps: Mask) -> Float:
    """Standardised features, 0 where not known, beside indicators of those that are not always known."""
    known = np.isfinite(features)
    standard = np.where(known, (np.where(known, features, 0.0) - mean) / sd, 0.0)
    return np.column_stack([standard, (~known[:, gaps]).astype(np.float64)])


def _fit_calibrated(genes: Genes, folds: int, reach: int) -> _Fitted:
    """Choose the penalty by held-out likelihood, fit, and calibrate (Platt) on the held-out logits.

    A calibration that would turn the ranking round finds no knowledge in it, and gives the base rate.
    """
    held = {penalty: _held_out_logits(genes, penalty, folds, reach) for penalty in _PENALTIES}
    penalty = min(held, key=lambda one: log_loss(held[one], genes.right))
    shift, scale = ridge_logistic(held[penalty][:, None], genes.right, 1e-3)
    if scale <= 0:
        shift, scale = float(scipy.special.logit(genes.right.mean())), 0.0
    plain = _Fitted.of(genes, penalty)
    return _Fitted(plain.mean, plain.sd, plain.gaps, plain.beta, penalty, float(scale), float(shift))


def _held_out_logits(genes: Genes, penalty: float, folds: int, reach: int) -> Float:
    fold, logits = stretches(genes.contig, genes.position, folds), np.empty(len(genes.right))
    for number in range(folds):
        held_out = fold == number
        training = genes.take(~within_reach(genes.contig, genes.position, held_out, reach))
        if training.right.all() or not training.right.any():
            training = genes.take(~held_out)
        logits[held_out] = _Fitted.of(training, penalty).logit(genes.features[held_out])
    return logits
