"""Allelic expression: reads of one haplotype against the other, beside a predicted difference.

What acts on both haplotypes of a cell alike, such as trans effects, confounders and the size of a library,
does not change the ratio of their reads. Which haplotype is the first means nothing, so no regression here
has an intercept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import betaln, digamma, expit, logit
from scipy.stats import chi2, norm

from hapsight.stats.correlation import fisher_interval
from hapsight.stats.ranks import Estimate

__all__ = [
    "AllelicFit",
    "allelic_regression",
    "effective_differences",
    "haplotype_correlation",
    "log_ratio",
    "ratio_weight",
    "reference_share",
    "share_offset",
]

Float = NDArray[np.float64]

_Z: Final = float(norm.ppf(0.975))
_LN2: Final = float(np.log(2.0))
_LEAST, _MOST = 1e-6, 0.5
"""Overdispersion that is looked for; at the least, counts are binomial."""
_STEP: Final = 1e-4


def log_ratio(first: Float, second: Float) -> tuple[Float, Float]:
    """log2 of the reads (n,) of one haplotype over those of the other, and its error by counting alone.

    Half a read is added to either (Haldane 1956, Anscombe 1956); the variance is that of Gart and Zweifel
    (1967, Biometrika 54:181).

    Examples
    --------
    >>> ratio, error = log_ratio(np.array([31.5]), np.array([7.5]))
    >>> ratio.item(), round(error.item(), 4)
    (2.0, 0.5702)
    """
    a, b = np.asarray(first, np.float64) + 0.5, np.asarray(second, np.float64) + 0.5
    return np.log2(a / b), np.sqrt(1 / a + 1 / b) / _LN2


@dataclass(frozen=True, slots=True)
class AllelicFit:
    """A beta-binomial regression without intercept.

    Attributes
    ----------
    slope
        Change of log2(first / second) per unit of the predictor; None where nothing can be fitted.
    slope_se
        From the observed information, overdispersion fitted beside it. None where that is not positive, as
        where every read is of one haplotype: the slope is then where the search ends, and only `pval` counts.
    pval
        Of slope 0, by likelihood ratio (chi-square, one degree of freedom).
    dispersion
        rho: a share's variance is p (1 - p) (1 + (n - 1) rho) / n; 1e-6 where counts are binomial.
    n
        People with reads.
    """

    slope: float | None
    slope_se: float | None
    pval: float | None
    dispersion: float | None
    n: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the slope, Wald's."""
        if self.slope is None or self.slope_se is None:
            return None
        return self.slope - _Z * self.slope_se, self.slope + _Z * self.slope_se


def allelic_regression(
    first: Float, second: Float, predictor: Float, offset: Float | float = 0.0
) -> AllelicFit:
    """Fit logit P(read of the first haplotype) = offset + slope * predictor, beta-binomial, by likelihood.

    Parameters
    ----------
    first, second
        (n,) reads of either haplotype of each person.
    predictor
        (n,) first less second.
    offset
        Log odds of the first haplotype where they do not differ, such as the advantage of REF in mapping.
    """
    total = np.asarray(first, np.float64) + second
    has = total > 0
    counts, x = np.asarray(first, np.float64)[has], np.asarray(predictor, np.float64)[has]
    base, n = np.broadcast_to(np.asarray(offset, np.float64), has.shape)[has], int(has.sum())
    size = float(np.sqrt(np.mean(x**2))) if n else 0.0
    if n < 2 or size == 0.0:
        return AllelicFit(None, None, None, None, n)
    likelihood = _Likelihood(counts, total[has], x / size, base)
    null = likelihood.best(with_slope=False)
    full = likelihood.best(with_slope=True, start=null.x)
    error = likelihood.slope_error(full.x)
    gain = max(2 * (null.fun - full.fun), 0.0)
    return AllelicFit(
        float(full.x[0]) / size / _LN2,
        None if error is None else error / size / _LN2,
        float(chi2.sf(gain, 1)),
        float(np.exp(full.x[1])),
        n,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Likelihood:
    """Minus log likelihood of (slope, log rho), without the binomial coefficients."""

    first: Float
    total: Float
    x: Float
    offset: Float

    def __call__(self, point: Float) -> tuple[float, Float]:
        """Value and gradient."""
        slope, rho = point[0], float(np.exp(point[1]))
        p = np.clip(expit(self.offset + slope * self.x), 1e-12, 1 - 1e-12)
        size = (1 - rho) / rho
        a, b, second = p * size, (1 - p) * size, self.total - self.first
        value = np.sum(betaln(self.first + a, second + b) - betaln(a, b))
        both = digamma(size) - digamma(self.total + size)
        by_a = digamma(self.first + a) - digamma(a) + both
        by_b = digamma(second + b) - digamma(b) + both
        by_slope = np.sum((by_a - by_b) * size * p * (1 - p) * self.x)
        by_size = np.sum(by_a * p + by_b * (1 - p))
        return -float(value), -np.array([by_slope, by_size * -1 / rho])

    def best(self, with_slope: bool, start: Float | None = None) -> optimize.OptimizeResult:
        """The largest likelihood, from the better of two starts."""
        slopes = (-30.0, 30.0) if with_slope else (0.0, 0.0)
        bounds = [slopes, (np.log(_LEAST), np.log(_MOST))]
        starts = [np.array([0.0, np.log(rho)]) for rho in (1e-3, 0.05)] if start is None else [start]
        starts += [] if start is None else [np.array([0.0, np.log(1e-3)])]
        found = [
            optimize.minimize(self, one, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-13})
            for one in starts
        ]
        return min(found, key=lambda one: float(one.fun))

    def slope_error(self, point: Float) -> float | None:
        """From second differences of the likelihood; of the slope alone where rho is at its least."""
        at_edge = point[1] <= np.log(_LEAST) + 1e-3 or point[1] >= np.log(_MOST) - 1e-3
        steps = np.eye(2)[: 1 if at_edge else 2] * _STEP
        curve = np.array([(self(point + s)[1] - self(point - s)[1]) / (2 * _STEP) for s in steps])
        curve = curve[:, : len(steps)]
        if not np.isfinite(curve).all() or np.linalg.eigvalsh((curve + curve.T) / 2).min() <= 0:
            return None
        return float(np.sqrt(np.linalg.inv((curve + curve.T) / 2)[0, 0]))


def reference_share(reference: Float, other: Float) -> tuple[Estimate, float | None]:
    """Share of reads with REF over (n,) heterozygous calls, beta-binomial, and the overdispersion.

    .5 where REF and ALT are mapped alike and neither is expressed more.
    """
    fit = allelic_regression(reference, other, np.ones(len(reference)))
    if fit.slope is None:
        return Estimate(fit.n), None
    share = float(expit(fit.slope * _LN2))
    if fit.interval is None:
        return Estimate(fit.n, share), fit.dispersion
    low, high = (float(expit(end * _LN2)) for end in fit.interval)
    return Estimate(fit.n, share, low, high), fit.dispersion


def ratio_weight(total: Float, dispersion: float) -> Float:
    """(n,) one over the variance of a log2 ratio of so many reads, where neither haplotype has more.

    The error of `log_ratio` would give the most unequal ratios the least weight, hence those that tell most.
    """
    n = np.maximum(np.asarray(total, np.float64), 1.0)
    return np.asarray(n * _LN2**2 / (4 * (1 + (n - 1) * dispersion)))


def haplotype_correlation(predicted: Float, ratio: Float, weight: Float) -> Estimate:
    """Correlation through zero of (n,) predicted differences and log ratios.

    It is Pearson's of the 2n pairs in which every person's haplotypes are taken in both orders, whose means
    are zero. Interval by Fisher's z, with the error 1 / sqrt(n - 2) of a correlation whose means are known:
    as of one pair more whose means are not.
    """
    n = int(np.count_nonzero(predicted))
    xx, yy = float(np.sum(weight * predicted**2)), float(np.sum(weight * ratio**2))
    if n < 2 or xx == 0.0 or yy == 0.0:
        return Estimate(n)
    r = float(np.sum(weight * predicted * ratio) / np.sqrt(xx * yy))
    if n < 4 or abs(r) >= 1.0:
        return Estimate(n, r)
    return Estimate(n, r, *fisher_interval(r, n + 1))


def effective_differences(first: Float, second: Float) -> float:
    """How many people a correlation through zero rests on: Kish's number of the squares, the fewer of either.

    Examples
    --------
    >>> effective_differences(np.array([1.0, -1.0, 0.0]), np.ones(3))
    2.0
    """
    return min(_kish(np.asarray(values, np.float64) ** 2) for values in (first, second))


def _kish(squares: Float) -> float:
    total = squares.sum()
    return float(total**2 / np.sum(squares**2)) if total > 0 else 0.0


def share_offset(share: float, lead: Float) -> Float:
    """Log odds of the first haplotype from REF's share of reads and what REF leads by on it (-1 to 1)."""
    return np.asarray(logit(share) * lead)
