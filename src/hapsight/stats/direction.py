"""Direction beside magnitude: how often a sign is right, and whether effects have the right size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.stats.correlation import correlate, is_constant, spearman_interval, spearman_p

__all__ = [
    "Agreement",
    "Effects",
    "Share",
    "VariantEffect",
    "direction_and_magnitude",
    "same_sign",
    "share_true",
    "variant_effect",
    "wilson_interval",
]

Float = NDArray[np.float64]


class Share(NamedTuple):
    """A share of `n`; None where n is 0.

    Attributes
    ----------
    ci_low, ci_high
        95 % Wilson interval.
    pval
        Two-sided binomial p against 1/2, a coin.
    """

    value: float | None
    n: int
    ci_low: float | None
    ci_high: float | None
    pval: float | None


def share_true(true: NDArray[np.bool_]) -> Share:
    """How often (n,) outcomes are true; p of the exact test against one half, as `scipy.stats.binomtest`."""
    n = len(true)
    if not n:
        return Share(None, 0, None, None, None)
    share, few = float(true.mean()), int(min(true.sum(), n - true.sum()))
    pval = 1.0 if 2 * few == n else float(2.0 * scipy.special.bdtr(few, n, 0.5))
    return Share(share, n, *wilson_interval(share, n), pval)


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a share of n outcomes (Wilson 1927, J. Am. Stat. Assoc. 22, 209)."""
    z = float(scipy.special.ndtri(0.975))
    scale = 2 * (n + z**2)
    middle, half = (2 * n * share + z**2) / scale, z / scale * np.sqrt(4 * n * share * (1 - share) + z**2)
    low, high = float(middle - half), float(middle + half)
    return (low if share > 0 else 0.0), (high if share < 1 else 1.0)


def same_sign(one: Float, other: Float) -> NDArray[np.bool_]:
    """Whether (n,) pairs of numbers other than 0 have the same sign."""
    return np.asarray(np.sign(one) == np.sign(other))


@dataclass(frozen=True, slots=True)
class VariantEffect:
    """What a prediction does where one more ALT allele of a variant is carried.

    Attributes
    ----------
    slope
        Change of the prediction per ALT allele, in the prediction's units.
    slope_sd
        The same in standard deviations of the prediction over people.
    """

    slope: float
    slope_sd: float


def variant_effect(predicted: Float, dosage: NDArray[np.uint8] | Float) -> VariantEffect | None:
    """Ordinary least squares of a prediction on the dosage of one variant, over people.

    This effect is marginal: it holds what the model makes of every variant that travels with this one,
    and so exists even where the variant lies outside of the model's window.

    Parameters
    ----------
    predicted
        (N,) per person.
    dosage
        (N,) ALT alleles, 0 to 2.

    Returns
    -------
    None where the prediction or the dosage is the same in everybody.
    """
    carried = np.asarray(dosage, np.float64)
    if is_constant(predicted) or is_constant(carried):
        return None
    centred = carried - carried.mean()
    slope = float(centred @ (predicted - predicted.mean()) / (centred @ centred))
    return VariantEffect(slope, slope / float(predicted.std(ddof=1)))


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """A model beside the top eQTLs of G genes; all finite.

    Attributes
    ----------
    r
        (G,) correlation of prediction with expression over people.
    model_slope, eqtl_slope
        (G,) effect of the gene's top variant on the prediction, and on expression, per ALT allele.
    dosage_sd
        (G,) spread of the variant's dosage over people.
    significant
        (G,) whether the gene's eQTL is.
    """

    r: Float
    model_slope: Float
    eqtl_slope: Float
    dosage_sd: Float
    significant: NDArray[np.bool_]


class Agreement(NamedTuple):
    """One number of agreement over `n` genes with its 95 % interval.

    Attributes
    ----------
    of
        What agrees.
    pval
        Of a share: against 1/2. Of a correlation: against 0.
    """

    quantity: str
    of: Literal["direction", "magnitude"]
    value: float | None
    n: int
    ci_low: float | None
    ci_high: float | None
    pval: float | None


def direction_and_magnitude(effects: Effects) -> Iterator[Agreement]:
    """Agreement of sign, and agreement of size, of a model's effects with those of the top eQTLs.

    Effects that are exactly 0 have no sign and no logarithm, and are not counted (`n` says so).
    The effect of a rare allele is both larger and less certain, in a model as in an eQTL; the correlation
    of effects per allele holds this, that of effects per standard deviation of the dosage does not.
    """
    for name, kept in (("", np.ones(len(effects.r), np.bool_)), (".significant", effects.significant)):
        r = effects.r[kept & (effects.r != 0)]
        yield Agreement(f"sign_right{name}", "direction", *share_true(r > 0))
        model, eqtl = effects.model_slope[kept], effects.eqtl_slope[kept]
        signed = (model != 0) & (eqtl != 0)
        same = same_sign(model[signed], eqtl[signed])
        yield Agreement(f"variant_sign_agrees{name}", "direction", *share_true(same))
        spread = effects.dosage_sd[kept]
        model, eqtl = np.abs(model), np.abs(eqtl)
        yield _rank_agreement(f"magnitude_spearman{name}", model, eqtl)
        yield _rank_agreement(f"magnitude_spearman_per_sd{name}", model * spread, eqtl * spread)
        yield _log_agreement(f"magnitude_log_pearson{name}", model[signed], eqtl[signed])


def _rank_agreement(quantity: str, model: Float, eqtl: Float) -> Agreement:
    found = correlate(model, eqtl)
    if found.spearman_r is None:
        return Agreement(quantity, "magnitude", None, found.n, None, None, None)
    rho = found.spearman_r
    low, high = spearman_interval(rho, found.n)
    return Agreement(
        quantity,
        "magnitude",
        rho,
        found.n,
        low,
        high,
        spearman_p(rho, found.n),
    )


def _log_agreement(quantity: str, model: Float, eqtl: Float) -> Agreement:
    found = correlate(np.log10(model), np.log10(eqtl))
    return Agreement(
        quantity,
        "magnitude",
        found.pearson_r,
        found.n,
        found.ci_low,
        found.ci_high,
        found.pval_nominal,
    )
