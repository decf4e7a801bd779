"""Covariates of genes beside a model's prediction: which genes are expressed more, in stretches held out.

What is the same in all people cannot tell them apart, so these covariates enter across genes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapsight.evaluate.paired import Mean
from hapsight.explain.reliability import stretches, within_reach
from hapsight.priors.ablation import Ablation

__all__ = ["ablation_across_genes", "gene_covariate_ablation", "held_out_fit"]

Floats = NDArray[np.float64]

_FOLDS = 5
_DRAWS = 1000


def held_out_fit(
    columns: Floats, outcome: Floats, contig: Sequence[str], position: NDArray[np.int64]
) -> Floats:
    """Least squares with an intercept, each of 5 stretches of genes predicted by genes out of its reach.

    Parameters
    ----------
    columns
        (G, P), P >= 1.
    outcome
        (G,)
    contig, position
        (G,) of the TSS.

    Returns
    -------
    (G,) predictions.
    """
    design = np.column_stack([np.ones(len(outcome)), columns])
    design = design / np.maximum(np.sqrt(np.mean(design**2, axis=0)), 1e-300)
    fold, predicted = stretches(contig, position, _FOLDS), np.empty(len(outcome))
    for number in range(_FOLDS):
        held_out = fold == number
        training = ~within_reach(contig, position, held_out)
        beta = np.linalg.lstsq(design[training], outcome[training], rcond=None)[0]
        predicted[held_out] = design[held_out] @ beta
    return predicted


def gene_covariate_ablation(
    predicted: Floats,
    covariates: Floats,
    expression: Floats,
    contig: Sequence[str],
    position: NDArray[np.int64],
    shuffles: int,
    rng: np.random.Generator,
) -> Ablation:
    """R over genes of held-out predictions with mean expression; bootstrap intervals over genes.

    The control deals the covariates anew among genes, a gene's together, `shuffles` times.

    Parameters
    ----------
    predicted
        (G,) by the model, on the reference.
    covariates
        (G, F)
    expression
        (G,) mean over people.
    """

    def fit(*columns: Floats) -> Floats:
        return held_out_fit(np.column_stack(columns), expression, contig, position)

    shuffled = [fit(predicted, covariates[rng.permutation(len(covariates))]) for _ in range(shuffles)]
    found = ablation_across_genes(
        fit(predicted), fit(predicted, covariates), np.array(shuffled), expression, rng
    )
    alone = _correlations(fit(covariates)[None], expression, np.ones((1, len(expression))))
    return replace(found, alone=float(alone[0, 0]))


def ablation_across_genes(
    without: Floats, with_prior: Floats, shuffled: Floats, expression: Floats, rng: np.random.Generator
) -> Ablation:
    """Pearson R over G genes of predictions with mean expression; bootstrap intervals over genes.

    Parameters
    ----------
    without, with_prior
        (G,)
    shuffled
        (S, G) of S draws of the control; their mean R counts.
    """
    n, fits = len(expression), np.vstack([without, with_prior, shuffled])
    times = rng.multinomial(n, np.full(n, 1 / n), size=_DRAWS).astype(np.float64)
    plain, both, control = (float(r[0]) for r in _three(_correlations(fits, expression, np.ones((1, n)))))
    drawn = _three(_correlations(fits, expression, times))
    return Ablation(
        n,
        plain,
        both,
        None,
        control,
        _mean(both - plain, n, drawn[1] - drawn[0]),
        _mean(both - control, n, drawn[1] - drawn[2]),
    )


def _three(r: Floats) -> tuple[Floats, Floats, Floats]:
    """Without, with, and the mean of the controls, from (2 + S, B)."""
    return r[0], r[1], np.asarray(r[2:].mean(axis=0))


def _mean(value: float, n: int, drawn: Floats) -> Mean:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Mean(value, n, float(low), float(high))


def _correlations(fits: Floats, outcome: Floats, times: Floats) -> Floats:
    """(K, B) Pearson r of (K, G) fits with an outcome, genes counted `times` (B, G); 0 of a constant."""
    n = times.sum(axis=1)
    x, y = fits - fits.mean(axis=1, keepdims=True), outcome - outcome.mean()
    mean_x, mean_y = x @ times.T / n, times @ y / n
    xx, yy = x**2 @ times.T / n - mean_x**2, times @ y**2 / n - mean_y**2
    size = np.sqrt(np.maximum(xx, 0.0) * np.maximum(yy, 0.0))
    cross = (x * y) @ times.T / n - mean_x * mean_y
    return np.asarray(np.divide(cross, size, out=np.zeros(size.shape), where=size > 0))
