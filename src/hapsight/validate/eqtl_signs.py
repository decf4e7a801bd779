"""Whether a model knows the sign of an eQTL, and makes more of it than of a variant that is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapsight.stats.direction import same_sign, share_true
from hapsight.stats.ranks import Estimate, auroc, share_estimate, spearman

__all__ = ["SignEstimate", "in_classes", "matched_controls", "sign_benchmark"]

Float = NDArray[np.float64]

_STRATA: Final = {"distance": (1e3, 1e4, 1e5), "pip": (0.1, 0.5, 0.9)}
"""Edges, each the first value of the upper stratum."""

_MATCHED_DISTANCE: Final = (300.0, 1e3, 3e3, 1e4, 3e4, 1e5)
_MATCHED_MAF: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)


class SignEstimate(NamedTuple):
    """One number of agreement over the eQTLs of one stratum."""

    quantity: str
    stratum: str
    found: Estimate


def sign_benchmark(effect: Float, slope: Float, distance: Float, pip: Float) -> Iterator[SignEstimate]:
    """Set (n,) effects of a model beside (n,) slopes of eQTLs: all, and by distance and PIP.

    `sign_agrees`: share of equal signs, where neither is 0. `sign_auroc`: chance that an eQTL that raises
    expression has a larger effect than one that lowers it. `spearman`: of effect and slope.

    Parameters
    ----------
    distance
        (n,) bases between variant and TSS.
    pip
        (n,) posterior inclusion probabilities; NaN where not known, and then in no stratum of PIP.
    """
    for stratum, mask in _strata(distance, pip):
        model, eqtl = effect[mask], slope[mask]
        signed = (model != 0) & (eqtl != 0)
        share = share_true(same_sign(model[signed], eqtl[signed]))
        yield SignEstimate("sign_agrees", stratum, share_estimate(share))
        yield SignEstimate("sign_auroc", stratum, auroc(model, eqtl > 0))
        yield SignEstimate("spearman", stratum, spearman(model, eqtl))


def matched_controls(
    cases: tuple[Float, Float], pool: tuple[Float, Float], n: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw controls of the same class of distance and of frequency.

    Parameters
    ----------
    cases, pool
        (C,) and (P,) distances from the TSS, and frequencies of the rarer allele.

    Returns
    -------
    (C, n) indices of the pool, none of them twice; -1 in the row of a case for which too few are left.
    """
    chosen = np.full((len(cases[0]), n), -1, np.intp)
    case_class, pool_class = _classes(*cases), _classes(*pool)
    for one in np.unique(case_class):
        rows = np.flatnonzero(case_class == one)
        left = rng.permutation(np.flatnonzero(pool_class == one))
        served = min(len(rows), len(left) // n)
        chosen[rows[:served]] = left[: served * n].reshape(served, n)
    return chosen


def _classes(distance: Float, maf: Float) -> NDArray[np.intp]:
    """One number for each class of distance and frequency."""
    by_distance = np.searchsorted(_MATCHED_DISTANCE, distance, side="right")
    return by_distance * (len(_MATCHED_MAF) + 1) + np.searchsorted(_MATCHED_MAF, maf, side="right")


def _strata(distance: Float, pip: Float) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "all", np.ones(len(distance), np.bool_)
    for name, values in (("distance", distance), ("pip", pip)):
        yield from in_classes(name, values, _STRATA[name])


def in_classes(name: str, values: Float, edges: tuple[float, ...]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each class of (n,) values that has some, in words, and which are in it; NaN is in none.

    Parameters
    ----------
    edges
        Each the first value of the upper class.
    """
    known = np.isfinite(values)
    place = np.searchsorted(edges, values, side="right")
    for rank in np.unique(place[known]).tolist():
        yield f"{name} {_range(edges, rank)}", known & (place == rank)


def _range(edges: tuple[float, ...], rank: int) -> str:
    """A stratum in words.

    Examples
    --------
    >>> _range((1e3, 1e4), 0), _range((1e3, 1e4), 1), _range((1e3, 1e4), 2)
    ('< 1000', '1000 to 10000', '>= 10000')
    """
    if rank == 0:
        return f"< {edges[0]:g}"
    return f">= {edges[-1]:g}" if rank == len(edges) else f"{edges[rank - 1]:g} to {edges[rank]:g}"
