"""What a prior adds to prediction: with it, without it, and with its shuffled control, on the same folds.

Across genes: covariates of genes beside a model, in stretches held out. What is the same in all people
cannot tell them apart, so these enter across genes only.

Across people: a gene predicted by its variants and a prior together, and by its variants alone. In each
outer fold everything is learned from the other people: covariates are regressed out of expression and
prior, the coefficient of the prior is fitted without penalty, and the variants learn what the prior leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.ploidy import OneCopy
from hapsight.errors import InputError
from hapsight.explain.reliability import stretches, within_reach
from hapsight.least_squares import residualise
from hapsight.linear.fits import Predictors
from hapsight.linear.methods import Method
from hapsight.stats.correlation import correlate
from hapsight.stats.summary import Mean, mean_interval
from hapsight.tables import GENE

__all__ = [
    "PRIOR_ABLATION",
    "PRIOR_GENES",
    "Ablation",
    "Combined",
    "ablation_across_genes",
    "combine",
    "gene_covariate_ablation",
    "held_out_fit",
    "held_out_r",
    "over_genes",
]

Floats = NDArray[np.float64]

_PRIOR: Final = {"prior": pl.String, "level": pl.String}

PRIOR_ABLATION: Final = {
    **_PRIOR,
    "enters": pl.String,
    "beside": pl.String,
    "quantity": pl.String,
    "n": pl.Int64,
    "without": pl.Float64,
    "with_prior": pl.Float64,
    "alone": pl.Float64,
    "shuffled": pl.Float64,
    **{
        f"{gain}{end}": pl.Float64
        for gain in ("gain", "over_shuffled")
        for end in ("", "_ci_low", "_ci_high")
    },
}
"""``priors/ablation.parquet``: one row per prior and what it enters."""

PRIOR_GENES: Final = {
    **GENE,
    **_PRIOR,
    "beside": pl.String,
    "n": pl.Int64,
    "has_prior": pl.Boolean,
    "without_r": pl.Float64,
    "with_r": pl.Float64,
    "alone_r": pl.Float64,
    "shuffled_r": pl.Float64,
}
"""``priors/per_gene.parquet``: one row per gene and prior that enters the linear combination over people."""


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
        """As columns of `hapsight.priors.ablation.PRIOR_ABLATION`."""
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


class Combined(NamedTuple):
    """Held-out predictions of one gene in N people.

    Attributes
    ----------
    observed
        (N,) expression less what covariates explain, by coefficients from the other folds.
    without
        (N,) prediction by the variants alone.
    with_prior
        Name of the prior -> (N,) prediction by the prior and the variants.
    prior_alone
        Name of the prior -> (N,) prediction by the prior alone.
    """

    observed: Floats
    without: Floats
    with_prior: dict[str, Floats]
    prior_alone: dict[str, Floats]


def combine(
    dosage: Floats,
    expression: Floats,
    covariates: Floats | None,
    priors: Mapping[str, Floats],
    folds: NDArray[np.int64],
    seed: int,
    method: Method,
    one_copy: OneCopy | None = None,
) -> Combined:
    """Predict each fold's people with and without each prior, by `method` on the same inner folds.

    Parameters
    ----------
    dosage
        (V, N) ALT alleles.
    priors
        Name -> (K, N): a number for each person, as it is known when fold k is held out. Nothing in row k may
        have been learned from the expression of people of fold k, of this gene.
    folds
        (N,) from 0 to K - 1.
    method
        Draws from ``(seed, k)`` in fold k, whatever the prior; so does `hapsight.linear.nested`.
    one_copy
        Who has one copy of which variants; None: everybody has two of all.

    Raises
    ------
    InputError
        The shape of a prior does not fit, or it is not finite.
    """
    _check(priors, folds)
    n = len(expression)
    both, alone = ({name: np.empty(n) for name in priors} for _ in range(2))
    found = Combined(np.empty(n), np.empty(n), both, alone)
    for k in range(int(folds.max()) + 1):
        test = folds == k
        split = _Split(covariates, ~test, test)
        outcome, found.observed[test] = split.residuals(expression)
        asked, once = dosage[:, test], None if one_copy is None else one_copy.compress(~test)
        carried = Predictors.of(dosage[:, ~test], method.min_maf, once)
        plain = method.fit(carried, outcome, np.random.default_rng((seed, k)))
        found.without[test] = plain.predict(asked)
        for name, prior in priors.items():
            own, theirs = split.residuals(prior[k])
            slope = _slope(own, outcome)
            rest = method.fit(carried, outcome - slope * own, np.random.default_rng((seed, k)))
            found.prior_alone[name][test] = slope * theirs
            found.with_prior[name][test] = slope * theirs + rest.predict(asked)
    return found


def held_out_r(predicted: Floats, observed: Floats) -> float:
    """Pearson r over people; 0 of a prediction that is the same in everybody: it knows nothing."""
    r = correlate(predicted, observed).pearson_r
    return 0.0 if r is None else r


class _Split(NamedTuple):
    covariates: Floats | None
    train: NDArray[np.bool_]
    test: NDArray[np.bool_]

    def residuals(self, values: Floats) -> tuple[Floats, Floats]:
        """Values (N,) of training and of held-out people less what covariates explain in the former."""
        own, theirs = (
            None if self.covariates is None else self.covariates[who] for who in (self.train, self.test)
        )
        return residualise(values[self.train], own, values[self.test], theirs)


def _slope(prior: Floats, outcome: Floats) -> float:
    """Least squares of centred numbers; 0 where the prior is nothing but rounding."""
    square = float(prior @ prior)
    return float(prior @ outcome) / square if square > 1e-18 * len(prior) else 0.0


def _check(priors: Mapping[str, Floats], folds: NDArray[np.int64]) -> None:
    expected = (int(folds.max()) + 1, len(folds))
    for name, prior in priors.items():
        if prior.shape != expected or not np.isfinite(prior).all():
            raise InputError(
                "A prior must be a finite number for each outer fold and person.",
                where=name,
                expected=expected,
                got=f"{prior.shape}, {int((~np.isfinite(prior)).sum())} not finite",
            )
