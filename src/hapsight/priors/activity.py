"""A person's transcription factor activities, from the expression of genes other than the one predicted.

The activity of a regulator in a person is the t statistic of the slope of that person's expression (z-scores)
on the regulator's weights, over genes, targets or not: the univariate linear model of Badia-i-Mompel et al.
2022 (Bioinformatics Advances 2, vbac016).

A gene's own expression, and that of genes which share its cis variants, would tell the answer: the target is
left out, with all genes whose TSS lies near it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene
from hapsight.least_squares import residualise

__all__ = [
    "FEWEST_TARGETS",
    "activities",
    "dealt_regulators",
    "far_from",
    "regulator_score",
    "z_scores",
]

Floats = NDArray[np.float64]

FEWEST_TARGETS: Final = 3
"""Targets that must be left for a regulator to have an activity."""

_LARGEST_R: Final = 1.0 - 1e-12


def z_scores(expression: Floats, covariates: Floats | None, training: NDArray[np.bool_]) -> Floats:
    """Expression (G, N) less what covariates (N, C) explain, each gene on the scale of the training people.

    Coefficients, mean and spread are those of the people where `training` (N,) is true. A gene that does not
    vary among them is 0 in everybody.
    """
    own = None if covariates is None else covariates[training]
    left = residualise(expression[:, training], own, expression, covariates)
    spread = left[0].std(axis=1)
    varies = spread > 1e-9 * np.maximum(np.abs(expression).max(axis=1), 1e-300)
    scores: Floats = np.where(varies[:, None], left[1] / np.where(varies, spread, 1.0)[:, None], 0.0)
    return scores


def activities(scores: Floats, weight: Floats) -> Floats:
    """(R, N) t statistics of N people's z-scores (G, N) regressed on R regulators' weights (R, G).

    0 where a person's scores, or a regulator's weights, do not vary over the G genes.
    """
    x = weight - weight.mean(axis=1, keepdims=True)
    y = scores - scores.mean(axis=0)
    size = np.sqrt(np.outer((x**2).sum(axis=1), (y**2).sum(axis=0)))
    r = np.divide(x @ y, size, out=np.zeros(size.shape), where=size > 0).clip(-_LARGEST_R, _LARGEST_R)
    t: Floats = r * np.sqrt((scores.shape[0] - 2) / (1.0 - r**2))
    return t


def dealt_regulators(weight: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """(G,) the control: genes with regulators (R, G) exchange them; gene g gets those of ``dealt[g]``."""
    dealt = np.arange(weight.shape[1])
    regulated = np.flatnonzero(weight.any(axis=0))
    dealt[regulated] = rng.permutation(regulated)
    return dealt


def far_from(genes: list[Gene], target: int, leave_out: int) -> NDArray[np.bool_]:
    """(G,) genes that may speak for `target`: another contig, or a TSS more than `leave_out` bases away."""
    own = genes[target]
    return np.array([gene.contig != own.contig or abs(gene.tss - own.tss) > leave_out for gene in genes])


def regulator_score(scores: Floats, weight: Floats, genes: list[Gene], target: int, leave_out: int) -> Floats:
    """(N,) what the regulators of a gene say of each person's expression of it.

    The mean of the activities of the gene's regulators, each times its weight on the gene over the sum of
    their sizes; 0 in everybody where no regulator of it has `FEWEST_TARGETS` targets among the other genes.

    Parameters
    ----------
    scores
        (G, N) as from `z_scores`.
    weight
        (R, G) as of `hapsight.priors.regulons.Regulons`.
    target
        Index of the gene.
    leave_out
        Genes whose TSS is within so many bases of the target's, and the target itself, are not looked at.
    """
    others = far_from(genes, target, leave_out)
    known = (weight[:, target] != 0) & ((weight[:, others] != 0).sum(axis=1) >= FEWEST_TARGETS)
    if not known.any():
        return np.zeros(scores.shape[1])
    own = weight[known, target]
    found: Floats = own @ activities(scores[others], weight[known][:, others]) / np.abs(own).sum()
    return found
