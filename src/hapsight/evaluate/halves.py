"""Two halves of the people: an effect that was not estimated from the people it is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.evaluate.eqtl import CisDosage, NominalScan, nominal_scan
from hapsight.least_squares import Design

__all__ = ["half_scan", "random_halves"]

Float = NDArray[np.float64]


def random_halves(groups: Sequence[str | None], rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal people into halves 1 and 2 at random, within each group (such as a population).

    Parameters
    ----------
    groups
        N groups; ``None`` is a group as well.

    Returns
    -------
    (N,) 1 or 2. In each group, and in all, the halves differ by at most one person.
    """
    names = np.array(["" if group is None else group for group in groups])
    order = rng.permutation(len(names))
    order = order[np.argsort(names[order], kind="stable")]
    half = np.empty(len(names), np.int64)
    half[order] = (np.arange(len(names)) + rng.integers(2)) % 2 + 1
    return half


def half_scan(
    dosage: NDArray[np.uint8], expression: Float, covariates: Float | None, people: NDArray[np.bool_]
) -> NominalScan | None:
    """Effects of (V, N) variants on (N,) expression among some of the people only, covariates refitted.

    Returns
    -------
    ``None`` where these people are too few for the covariates.
    """
    own = None if covariates is None else covariates[people]
    try:
        design = Design.of(int(people.sum()), own)
    except InputError:
        return None
    return nominal_scan(CisDosage.of(dosage[:, people], design), expression[people])
