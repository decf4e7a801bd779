"""Covariates of genes beside a model's prediction: which genes are expressed more, in stretches held out.

What is the same in all people cannot tell them apart, so these covariates enter across genes only.

What a prior adds: a quantity with it, without it, and with its shuffled control, on the same folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapsight.explain.reliability import stretches, within_reach
from hapsight.stats.summary import Mean, mean_interval

__all__ = ["Ablation", "ablation_across_genes", "gene_covariate_ablation", "held_out_fit", "over_genes"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ablation:
    """One quantity over `n` genes.

    Attributes
    ----------
    without, with_prior, alone, shuffled
        The quantity without the prior, with it, with nothing but it, and with its control in its place.
    gain
        With less without, and its 95 % interval.
    over_shuffled
        With less the control, likewise.
    """

    n: int
    without: float | None
    with_prior: float | None
    alone: float | None
    shuffled: float | None
    gain: Mean
    over_shuffled: Mean

    def columns(self) -> dict[str, float | int | None]:
        """As columns of `hapsight.priors.tables.PRIOR_ABLATION`."""
        return {
            "n": self.n,
            "without": self.without,
            "with_prior": self.with_prior,
            "alone": self.alone,
            "shuffled": self.shuffled,
            **{
                name: value
                for label, mean in (("gain", self.gain), ("over_shuffled", self.over_shuffled))
                for name, value in (
                    (label, mean.value),
                    (f"{label}_ci_low", mean.ci_low),
                    (f"{label}_ci_high", mean.ci_high),
                )
            },
        }


def over_genes(without: Floats, with_prior: Floats, alone: Floats, shuffled: Floats) -> Ablation:
    """Means over G genes and paired differences, with t intervals that take genes as independent.

    Parameters
    ----------
    without, with_prior, alone, shuffled
        (G,) of each gene; of several draws of the control, their mean.
    """
    return Ablation(
        len(without),
        mean_interval(without).value,
        mean_interval(with_prior).value,
        mean_interval(alone).value,
        mean_interval(shuffled).value,
        mean_interval(with_prior - without),
        mean_interval(with_prior - shuffled),
    )


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
