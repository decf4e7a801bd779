"""Driver variants: the few whose effects make up a gene's prediction over people.

Both published forms walk through the variants from the largest absolute effect to the smallest and keep a
running sum of ``effect x dosage``; they differ in what stays in the sum and in how its rise is measured.

Whether a prediction is the sum of its variants' effects, and which effects depend on the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.linear.fits import weighted_sum
from hapsight.stats.correlation import Correlation, correlate, is_constant

__all__ = [
    "ADDITIVE",
    "DEPENDENT",
    "FORMS",
    "RISE",
    "SIGNIFICANCE",
    "Drivers",
    "additivity",
    "depends_on_background",
    "ism_sum",
    "rastogi_drivers",
    "sasse2023_drivers",
    "spread",
]

Float = NDArray[np.float64]

DEPENDENT = 0.5
"""Spread from which on an effect is said to depend on its background."""

_ROUNDING = 1e-6
"""Spread, relative to the prediction itself, that rounding in float32 alone can make."""


def ism_sum(effect: Float, dosage: NDArray[np.uint8]) -> Float:
    """(N,) linear approximation ``P_i = sum_s a_s g_is`` of (V,) effects and (V, N) dosages (Sasse 2023)."""
    return weighted_sum(effect, dosage)


def additivity(effect: Float, dosage: NDArray[np.uint8], predicted: Float) -> Correlation:
    """Correlation over people of the ISM sum with the full prediction (N,)."""
    found = correlate(predicted, ism_sum(effect, dosage))
    # Here both are predictions: the sum is what may be constant beside one that varies.
    return found if found.status != "constant_expression" else Correlation(found.n, "constant_sum")


def spread(effect: Float, effect_sd: Float) -> Float:
    """(V,) `effect_sd` relative to the size of the effect on the reference; NaN where that is 0."""
    size = np.abs(effect)
    return np.asarray(np.divide(effect_sd, size, out=np.full(len(effect), np.nan), where=size > 0))


def depends_on_background(
    effect: Float, effect_sd: Float, n_backgrounds: NDArray[np.int64], reference: float
) -> NDArray[np.bool_]:
    """(V,) effects whose spread over two or more backgrounds is at least `DEPENDENT` of their size.

    A variant without effect on the reference depends on its background as soon as it has one elsewhere. A
    spread that rounding can make, given the (scalar) `reference` prediction, does not count.
    """
    with np.errstate(invalid="ignore"):
        large = effect_sd >= np.maximum(DEPENDENT * np.abs(effect), _ROUNDING * max(1.0, abs(reference)))
    return np.asarray(large & (n_backgrounds >= 2))


Index = NDArray[np.intp]

RISE: Final = 0.05
"""A driver raises the correlation of the running sum by more than this."""

ADDITIVE: Final = 0.2
"""The sum of all variants must correlate with the prediction by more than this in Sasse's form: the published
scripts leave out genes where it does not, and a share of a smaller r is mostly noise."""

SIGNIFICANCE: Final = 0.01
"""Largest p of a driver's own correlation with the prediction, times the number of variants."""


@dataclass(frozen=True, slots=True, eq=False)
class Drivers:
    """The D drivers of a gene, in the order of their absolute effects.

    Attributes
    ----------
    index
        (D,) which of the gene's variants they are.
    rise
        (D,) what each adds to the correlation of the running sum with the prediction: as a share of the
        correlation that the sum of all variants has (`sasse2023_drivers`), or as it is (`rastogi_drivers`).
    r
        (D,) Pearson's r of the variant's own contribution with the prediction; above 0.
    pval
        (D,) its two-sided p, not corrected.
    additivity
        r of the sum of all variants with the prediction; None where either does not vary.
    status
        ``ok``; ``constant_prediction``; ``no_effect``: the sum of all variants is the same in everybody;
        ``not_additive``: r of that sum with the prediction is too small for shares of it to mean anything.
    """

    index: Index
    rise: Float
    r: Float
    pval: Float
    additivity: float | None
    status: str = "ok"

    @property
    def main(self) -> int | None:
        """Place among the drivers of the one with the largest rise; None where there is no driver."""
        return int(np.argmax(self.rise)) if len(self.rise) else None


def sasse2023_drivers(
    effects: Float,
    dosage: NDArray[np.uint8] | Float,
    predicted: Float,
    rise: float = RISE,
    significance: float = SIGNIFICANCE,
    additive: float = ADDITIVE,
) -> Drivers:
    """Find the drivers by the forward selection of Sasse et al. 2023.

    With the V variants sorted by abs(a), ``S_k = sum_{j<=k} a_j g_j`` and ``rho_k = r(S_k, P) / r(S_V, P)``
    (rho_0 = 0), variant k drives if ``rho_k - rho_{k-1} > rise``, ``r(a_k g_k, P) > 0`` and the two-sided
    p of that r is below ``significance / V``. Every variant stays in the sum, driver or not. Of equal
    abs(a) the earlier comes first; a sum that is the same in everybody counts as r = 0.

    Parameters
    ----------
    effects
        (V,) effect a of the alternative allele of each variant on the reference.
    dosage
        (V, N) alternative alleles g.
    predicted
        (N,) full prediction P.
    additive
        A gene whose ``r(S_V, P)`` is not above this has no drivers: its status is ``not_additive``.

    Raises
    ------
    InputError
        Shapes do not fit each other, or an effect or prediction is not finite.
    """
    found = _Contributions.of(effects, dosage, predicted)
    status = found.status
    if status == "ok" and found.additivity is not None and found.additivity <= additive:
        status = "not_additive"
    if status != "ok" or found.additivity is None:
        return found.drivers(np.empty(0, np.intp), np.empty(0), status)
    rho = _pearson(np.cumsum(found.centred, axis=0), found.outcome) / found.additivity
    rises = np.diff(rho, prepend=0.0)
    chosen = np.flatnonzero((rises > rise) & (found.r > 0) & (found.pval < significance / len(rises)))
    return found.drivers(chosen, rises[chosen], status)


def rastogi_drivers(
    effects: Float,
    dosage: NDArray[np.uint8] | Float,
    predicted: Float,
    rise: float = RISE,
    significance: float = SIGNIFICANCE,
) -> Drivers:
    """Find the drivers by the forward selection of Rastogi et al., where only drivers stay in the sum.

    In the order of abs(a), variant k drives if the sum of the drivers so far and its own ``a_k g_k``
    correlates with P better than the drivers so far did, by more than `rise` (of r itself, not of a
    share), if ``r(a_k g_k, P) > 0``, and if the two-sided p of that r, times V, is below `significance`.

    Parameters
    ----------
    effects, dosage, predicted
        As for `sasse2023_drivers`.

    Raises
    ------
    InputError
        Shapes do not fit each other, or an effect or prediction is not finite.
    """
    found = _Contributions.of(effects, dosage, predicted)
    able = (found.r > 0) & (found.pval * len(found.r) < significance)
    chosen, rises, best, total = [], [], 0.0, np.zeros(len(found.outcome))
    for k in np.flatnonzero(able):
        with_k = total + found.centred[k]
        r = float(_pearson(with_k[None], found.outcome)[0])
        if r > best + rise:
            chosen.append(k)
            rises.append(r - best)
            best, total = r, with_k
    return found.drivers(np.array(chosen, np.intp), np.array(rises, np.float64), found.status)


FORMS: Final = {"sasse2023": sasse2023_drivers, "rastogi": rastogi_drivers}
"""The published forms by name."""


@dataclass(frozen=True, slots=True, eq=False)
class _Contributions:
    """Effects times dosages, from the largest absolute effect to the smallest.

    Attributes
    ----------
    order
        (V,) which variant each row is.
    centred
        (V, N) effect x dosage less its mean over people: exactly 0 where everybody has the same dosage.
    outcome
        (N,) the prediction less its mean; 0 where it is constant.
    r, pval
        (V,) of each row with the prediction.
    """

    order: Index
    centred: Float
    outcome: Float
    r: Float
    pval: Float
    additivity: float | None
    status: str

    @classmethod
    def of(cls, effects: Float, dosage: NDArray[np.uint8] | Float, predicted: Float) -> _Contributions:
        _require_fitting(effects, dosage, predicted)
        order = np.argsort(-np.abs(effects), kind="stable")
        g = np.asarray(dosage, np.float64)[order]
        centred = effects[order, None] * (g - g.mean(axis=1, keepdims=True))
        constant = is_constant(predicted)
        outcome = np.zeros(len(predicted)) if constant else predicted - predicted.mean()
        total, r = centred.sum(axis=0), _pearson(centred, outcome)
        varies = np.ptp(total) > 1e-12 * np.abs(centred).max(initial=0.0)
        status = "constant_prediction" if constant else "ok" if varies else "no_effect"
        whole = float(_pearson(total[None], outcome)[0]) if status == "ok" else None
        return cls(order, centred, outcome, r, _two_sided_p(r, len(outcome)), whole, status)

    def drivers(self, chosen: Index, rises: Float, status: str) -> Drivers:
        """The rows `chosen` as drivers."""
        return Drivers(self.order[chosen], rises, self.r[chosen], self.pval[chosen], self.additivity, status)


def _require_fitting(effects: Float, dosage: NDArray[np.uint8] | Float, predicted: Float) -> None:
    if dosage.shape != (len(effects), len(predicted)):
        raise InputError(
            "Effects, dosages and predictions do not fit each other.",
            expected=f"dosages of {len(effects)} variants x {len(predicted)} people",
            got=dosage.shape,
        )
    for name, values in (("effect", effects), ("prediction", predicted)):
        if not np.isfinite(values).all():
            place = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(
                f"Drivers need finite numbers, and one {name} is not.", got=f"{values[place]} at {place}"
            )


def _pearson(rows: Float, outcome: Float) -> Float:
    """(K,) r of centred (K, N) rows with the centred outcome; 0 where either does not vary."""
    scale = np.linalg.norm(rows, axis=1) * np.linalg.norm(outcome)
    r = np.divide(rows @ outcome, scale, out=np.zeros(len(rows)), where=scale > 0)
    return np.asarray(np.clip(r, -1.0, 1.0))


def _two_sided_p(r: Float, n: int) -> Float:
    """(K,) p of Pearson's r over n independent normal pairs; 1 for fewer than 3."""
    if n < 3:
        return np.ones(len(r))
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt((n - 2) / (1.0 - r**2))
    return np.asarray(2.0 * scipy.special.stdtr(n - 2, -t), np.float64)
