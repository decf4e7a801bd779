"""A prior of persons in training: what it explains of expression is taken out, and added to the prediction.

Nothing is learned from people who are not trained on, nor from genes that are not: one slope for all genes is
fitted to the seen genes of the training people, so it holds of unseen genes too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapsight.least_squares import residualise
from hapsight.train.targets import Targets

__all__ = ["explained_by", "without"]

Float = NDArray[np.float64]


def explained_by(
    prior: Float,
    targets: Targets,
    covariates: Float | None,
    train: NDArray[np.bool_],
    seen: NDArray[np.intp],
) -> Float:
    """(G, N) what a prior explains of z-scores: its part that covariates do not, times one slope.

    Parameters
    ----------
    prior
        (G, N) a number of each gene in each person.
    covariates
        (N, C) or None; regressed out of the prior by the training people's fit, as out of the targets.
    train
        (N,) who is trained on.
    seen
        Rows of the genes that are.
    """
    own = None if covariates is None else covariates[train]
    left = residualise(prior[:, train], own, prior, covariates)[1]
    fitted, z = (values[np.ix_(seen, train)] for values in (left, targets.on_scale("z", seen)))
    square = float(np.sum(fitted**2))
    slope = float(np.sum(fitted * z)) / square if square > 0 else 0.0
    explained: Float = slope * left
    return explained


def without(targets: Targets, explained: Float) -> Targets:
    """The targets less what is explained, (G, N) on the scale of z-scores; that scale stays as it is."""
    return replace(targets, residual=targets.residual - targets.spread[:, None] * explained)
