"""Held-out prediction of a gene by its variants and a prior together, and by its variants alone.

In each outer fold everything is learned from the other people: covariates are regressed out of expression and
prior, the prior's coefficient is fitted without penalty, and the variants learn what the prior leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.ploidy import OneCopy
from hapsight.errors import InputError
from hapsight.least_squares import residualise
from hapsight.linear.fits import Predictors
from hapsight.linear.methods import Method
from hapsight.stats.correlation import correlate

__all__ = ["Combined", "combine", "held_out_r"]

Floats = NDArray[np.float64]


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
