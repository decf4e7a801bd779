"""Negative control: people's expression exchanged at random, so that no genotype can have to do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.join import Cohort
from hapsight.streams import stream

__all__ = ["exchange_within", "permute_people"]


def exchange_within(groups: Sequence[str | None], rng: np.random.Generator) -> NDArray[np.intp]:
    """A permutation (n,) that leaves everyone within their group; people without one are a group too."""
    order = np.arange(len(groups))
    for name in sorted(set(groups), key=str):
        members = np.array([i for i, group in enumerate(groups) if group == name], dtype=np.intp)
        order[members] = rng.permutation(members)
    return order


def permute_people(cohort: Cohort, seed: int) -> Cohort:
    """The cohort with each person's expression and covariates those of another of the same population.

    Expression and covariates move together: only their link to the genotypes is broken. Chance may leave a
    person in place, and does so with somebody who is alone in a population.
    """
    order = exchange_within(cohort.populations, stream(seed, "people exchanged"))
    expression, covariates = cohort.expression, cohort.covariates
    return replace(
        cohort,
        expression=replace(expression, values=expression.values[:, order]),
        covariates=None if covariates is None else replace(covariates, values=covariates.values[order]),
        notes=(
            *cohort.notes,
            "NEGATIVE CONTROL: expression and covariates were exchanged at random between people of a "
            f"population (permuted = {seed}); whatever predicts them here is chance or a leak",
        ),
    )
