"""A model beside saturation mutagenesis: agreement, and what says as much without any model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.evaluate.direction import Share, same_sign, share_true

__all__ = ["Predictor", "mpra_baselines", "sign_by_decile"]

Float = NDArray[np.float64]

_FOLDS: Final = 10
_NEAR: Final = 5
"""Bases on either side whose mean effect is the local baseline."""

_PURINES: Final = ("A", "G")


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """What something says of V variants: (V,) effects with their sign, and (V,) sizes."""

    name: str
    signed: Float
    size: Float


def mpra_baselines(
    place: NDArray[np.int64],
    distance: NDArray[np.int64],
    ref: tuple[str, ...],
    alt: tuple[str, ...],
    measured: Float,
) -> Iterator[Predictor]:
    """Predict (V,) measured effects without a model or conservation.

    `distance`: a cubic of the distance to the TSS. `composition`: the base that goes, the base that comes
    (or a deletion), and whether that is a transition. Both are regressions fitted on the other nine tenths
    of the element's positions. `local`: the mean over variants within 5 bp, those of the same position left
    out. All three have seen measurements of the element, which a model has not.

    Parameters
    ----------
    place
        (V,) 0-based position of each changed base.
    distance
        (V,) bases from the TSS, with their sign.
    ref, alt
        V bases that go, and that come; ``-`` where none does.
    """
    sizes = np.abs(measured)
    fold = _blocks(place)
    for name, columns in (("distance", _cubic(distance)), ("composition", _composition(ref, alt))):
        signed, size = (_held_out(columns, outcome, fold) for outcome in (measured, sizes))
        yield Predictor(name, signed, size)
    yield Predictor("local", _local_mean(place, measured), _local_mean(place, sizes))


def sign_by_decile(effect: Float, measured: Float, sizes: Float) -> list[Share]:
    """How often (V,) effects have the sign that was measured, by tenths of abs(`sizes`), the smallest first.

    Effects that are exactly 0, on either side, have no sign and are not counted.
    """
    signed = (effect != 0) & (measured != 0)
    order = np.argsort(np.abs(sizes[signed]), kind="stable")
    same = same_sign(effect[signed], measured[signed])[order]
    return [share_true(part) for part in np.array_split(same, 10)]


def _cubic(distance: NDArray[np.int64]) -> Float:
    """(V, 3) powers of the distance, scaled to within -1 and 1."""
    middle, half = (distance.max() + distance.min()) / 2, max(np.ptp(distance) / 2, 1.0)
    scaled = (distance - middle) / half
    return np.column_stack([scaled, scaled**2, scaled**3])


def _composition(ref: tuple[str, ...], alt: tuple[str, ...]) -> Float:
    """(V, 8) indicators; the first base of either side is what the others are compared with."""
    goes = [[base == which for which in "CGT"] for base in ref]
    comes = [[base == which for which in "CGT-"] for base in alt]
    pairs = zip(ref, alt, strict=True)
    transition = [b != "-" and (a in _PURINES) == (b in _PURINES) for a, b in pairs]
    return np.column_stack([np.array(goes), np.array(comes), transition]).astype(np.float64)


def _blocks(place: NDArray[np.int64]) -> NDArray[np.int64]:
    """(V,) fold of each variant: stretches of neighbouring positions, the alleles of one together."""
    _, rank = np.unique(place, return_inverse=True)
    return np.asarray(rank * _FOLDS // (int(rank.max()) + 1), np.int64)


def _held_out(columns: Float, outcome: Float, fold: NDArray[np.int64]) -> Float:
    """(V,) least-squares predictions, each by the fit on the other folds."""
    design = np.column_stack([np.ones(len(columns)), columns])
    predicted = np.empty(len(outcome))
    for k in np.unique(fold):
        mine = fold == k
        fitted = np.linalg.lstsq(design[~mine], outcome[~mine], rcond=None)[0]
        predicted[mine] = design[mine] @ fitted
    return predicted


def _local_mean(place: NDArray[np.int64], values: Float) -> Float:
    """(V,) means over variants of neighbouring positions; the mean of all where there are none."""
    at, index = np.unique(place, return_inverse=True)
    total = np.bincount(index, values)
    count = np.bincount(index)
    sums = np.concatenate([[0.0], np.cumsum(total)])
    counts = np.concatenate([[0], np.cumsum(count)])
    first, last = np.searchsorted(at, at - _NEAR), np.searchsorted(at, at + _NEAR, side="right")
    near, n = sums[last] - sums[first] - total, counts[last] - counts[first] - count
    mean = np.where(n > 0, near / np.maximum(n, 1), values.mean())
    return np.asarray(mean[index])
