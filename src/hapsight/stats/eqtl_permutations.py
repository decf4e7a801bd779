"""Is a gene's strongest variant more than the luck of the best of many? Permutations of people.

The smallest of many correlated p-values follows a beta distribution: permutation p-values made smooth.

Independent signals of a gene: variants that stay significant beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.least_squares import Design
from hapsight.stats.eqtl import CisDosage, nominal_scan, p_of_r2, strongest
from hapsight.stats.nulls import empirical_p

__all__ = [
    "BetaApproximation",
    "GeneTest",
    "Signal",
    "beta_approximation",
    "draw_permutations",
    "independent_signals",
    "map_gene",
    "permutation_maxima",
]

Float = NDArray[np.float64]

_REACH = 6.0
"""How far from the nominal degrees of freedom the true ones are looked for, in units of log."""

_STEPS = 50
"""Most steps of Newton's method; half a dozen are usual."""

_SETTLED = 1e-9
"""Step, relative to the shapes, after which they no longer change."""


@dataclass(frozen=True, slots=True)
class BetaApproximation:
    """The beta approximation of a gene's permutation p-value (FastQTL, Ongen 2016; names of tensorQTL).

    Attributes
    ----------
    beta_shape1, beta_shape2
        Maximum-likelihood shapes of the beta distribution of the permutations' smallest p-values.
    true_df
        Degrees of freedom under which the first shape is 1 by the method of moments.
    pval_true_df
        p of the observed r^2 with `true_df` degrees of freedom.
    pval_beta
        Probability of a smaller one under the beta distribution.
    """

    beta_shape1: float
    beta_shape2: float
    true_df: float
    pval_true_df: float
    pval_beta: float


def beta_approximation(r2: float, null: Float, dof: int) -> BetaApproximation | None:
    """p-value of the largest r^2 of a gene beyond the resolution of its permutations.

    Parameters
    ----------
    r2
        Observed.
    null
        (P,) largest r^2 of each permutation.
    dof
        Of a single test.

    Returns
    -------
    ``None`` where the permutations differ too little for a fit (such as very few people).
    """
    true_df = _true_df(null, dof)
    shapes = None if true_df is None else _shapes(_inside(p_of_r2(null, true_df)))
    if true_df is None or shapes is None:
        return None
    pval = float(p_of_r2(r2, true_df))
    return BetaApproximation(*shapes, true_df, pval, float(scipy.special.betainc(*shapes, pval)))


def _inside(pvalues: Float) -> Float:
    """p-values kept off 0 and 1, whose logarithms do not exist."""
    return np.clip(pvalues, np.finfo(np.float64).tiny, 1.0 - np.finfo(np.float64).eps)


def _true_df(null: Float, dof: int) -> float | None:
    """Degrees of freedom under which the null's p-values have a first shape of 1 by moments."""

    def excess(log_df: float) -> float:
        return float(np.log(_moments(_inside(p_of_r2(null, np.exp(log_df))))[0]))

    start = np.log(dof)
    low, high = start - 0.5, start + 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        while not excess(low) * excess(high) <= 0:
            low, high = low - 0.5, high + 0.5
            if high - start > _REACH:
                return None
        return float(np.exp(scipy.optimize.brentq(excess, low, high, xtol=1e-10)))


def _moments(pvalues: Float) -> tuple[float, float]:
    """Shapes of the beta distribution that has the mean and variance of these p-values."""
    mean, variance = pvalues.mean(), pvalues.var()
    total = mean * (1.0 - mean) / variance - 1.0
    return float(mean * total), float((1.0 - mean) * total)


def _shapes(pvalues: Float) -> tuple[float, float] | None:
    """Maximum-likelihood shapes: those whose expected log p and log (1 - p) are the means found.

    Newton's method on the logarithms of the shapes, from those by moments.
    """
    found = np.array([np.log(pvalues).mean(), np.log1p(-pvalues).mean()])
    log_shapes = np.log(_moments(pvalues))
    for _ in range(_STEPS):
        shapes = np.exp(log_shapes)
        gap = scipy.special.digamma(shapes) - scipy.special.digamma(shapes.sum()) - found
        slope = np.diag(scipy.special.polygamma(1, shapes)) - scipy.special.polygamma(1, shapes.sum())
        step = np.linalg.solve(slope * shapes, gap)
        log_shapes = log_shapes - np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < _SETTLED:
            first, second = np.exp(log_shapes)
            return float(first), float(second)
    return None


_ORDERS = 128
"""Orders of people that are residualised together."""

_DOUBTFUL = 1e-4
"""Difference of r^2 from the observed within which single precision does not decide which is larger."""


@dataclass(frozen=True, slots=True)
class GeneTest:
    """A gene's strongest variant and how sure it is.

    Attributes
    ----------
    variant
        Index of the variant.
    num_var
        Variants that were tested.
    pval_perm
        ``(1 + permutations whose largest r^2 reaches the observed) / (permutations + 1)``.
    beta
        The smooth form of `pval_perm`; ``None`` where it cannot be fitted.
    """

    variant: int
    num_var: int
    slope: float
    slope_se: float
    pval_nominal: float
    pval_perm: float
    beta: BetaApproximation | None


def draw_permutations(n: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(count, n) orders of n people."""
    return rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)


def permutation_maxima(
    cis: CisDosage,
    expression: Float,
    permutations: NDArray[np.int64],
    precision: type[np.floating[Any]] = np.float32,
) -> Float:
    """Largest r^2 over the variants for each permutation of the people's expression.

    Permuted expression has the covariates projected out of it again, as in tensorQTL.

    Parameters
    ----------
    expression
        (N,), residual: what covariates explain must not be permuted with it.
    permutations
        (P, N) orders of people.
    precision
        Of the products.

    Returns
    -------
    (P,) float64
    """
    columns = np.empty(permutations.shape[::-1], precision)  # (N, P)
    for start in range(0, len(permutations), _ORDERS):
        some = slice(start, start + _ORDERS)
        shuffled = cis.design.residuals(expression[permutations[some]])
        columns[:, some] = (shuffled / np.linalg.norm(shuffled, axis=1, keepdims=True)).T
    largest = np.zeros(len(permutations), precision)
    for some, centred in cis.centred():
        norm = cis.norm[some]
        if not (tested := norm > 0).any():
            continue
        unit = centred[tested] / norm[tested, None]
        r = unit.astype(precision) @ columns  # (rows, P)
        np.maximum(largest, np.maximum(r.max(axis=0), -r.min(axis=0)), out=largest)
    return np.minimum(largest.astype(np.float64) ** 2, 1.0)


def map_gene(cis: CisDosage, expression: Float, permutations: NDArray[np.int64]) -> GeneTest | None:
    """The strongest variant of a gene, and its p after the search over all of them.

    Parameters
    ----------
    expression
        (N,), residual on the covariates of everyone.
    permutations
        (P, N) orders of people; the same for all genes.

    Returns
    -------
    ``None`` where no variant, or no expression, varies.
    """
    scan = nominal_scan(cis, expression)
    top = strongest(scan)
    if top is None:
        return None
    r2 = float(scan.r[top] ** 2)
    null = permutation_maxima(cis, expression, permutations)
    near = np.flatnonzero(np.abs(null - r2) < _DOUBTFUL)  # ties among them: of few carriers, of few values
    if len(near):
        null[near] = permutation_maxima(cis, expression, permutations[near], np.float64)
    return GeneTest(
        variant=top,
        num_var=int(cis.tested.sum()),
        slope=float(scan.slope[top]),
        slope_se=float(scan.slope_se[top]),
        pval_nominal=float(scan.pval_nominal[top]),
        pval_perm=empirical_p(r2, null),
        beta=beta_approximation(r2, null, scan.dof),
    )


@dataclass(frozen=True, slots=True)
class Signal:
    """One of a gene's independent signals.

    Attributes
    ----------
    rank
        Order in which the forward pass found it; 1 is the gene's strongest variant.
    test
        The signal's strongest variant given the other signals.
    """

    rank: int
    test: GeneTest


def independent_signals(
    dosage: NDArray[np.uint8],
    expression: Float,
    covariates: Float | None,
    permutations: NDArray[np.int64],
    first: GeneTest,
    threshold: float,
) -> list[Signal]:
    """Forward-backward stepwise regression, as tensorQTL's ``map_independent`` does it.

    Forward, the strongest variant given all found so far is added while its `pval_beta` does not exceed
    `threshold`. Backward, each signal is searched anew given all others; it is dropped where it is no
    longer significant, or leads to a variant that another signal has taken. A gene with one signal keeps it.

    Parameters
    ----------
    dosage
        (V, N) ALT alleles.
    expression
        (N,), residual on the covariates.
    covariates
        (N, C) or ``None``.
    permutations
        (P, N) orders of people.
    first
        The gene's own test, without other variants.
    threshold
        Largest `pval_beta` of the genes that are significant at the false discovery rate.
    """
    scans = _Scans(dosage, expression, covariates, permutations)
    forward = [first]
    while (found := scans.given([test.variant for test in forward], threshold)) is not None:
        forward.append(found)
    if len(forward) == 1:
        return [Signal(1, first)]
    chosen = [test.variant for test in forward]
    kept: dict[int, Signal] = {}
    for rank, variant in enumerate(chosen, start=1):
        again = scans.given([other for other in chosen if other != variant], threshold)
        if again is not None and again.variant not in kept:
            kept[again.variant] = Signal(rank, again)
    return list(kept.values())


class _Scans:
    """Tests of one gene given any of its variants, each made once.

    What the forward pass found last is what the backward pass asks of that signal.
    """

    def __init__(
        self,
        dosage: NDArray[np.uint8],
        expression: Float,
        covariates: Float | None,
        permutations: NDArray[np.int64],
    ) -> None:
        self._dosage, self._expression, self._permutations = dosage, expression, permutations
        self._covariates = np.empty((len(expression), 0)) if covariates is None else covariates
        self._cis = CisDosage.of(dosage, Design.of(len(expression), covariates))
        self._made: dict[tuple[int, ...], GeneTest | None] = {}

    def given(self, variants: Sequence[int], threshold: float) -> GeneTest | None:
        """The strongest variant with `variants` among the covariates, where it is significant."""
        if len(variants) >= self._cis.design.dof:
            return None
        if (order := tuple(variants)) not in self._made:
            self._made[order] = self._test(order)
        found = self._made[order]
        significant = found is not None and found.beta is not None and found.beta.pval_beta <= threshold
        return found if significant else None

    def _test(self, variants: tuple[int, ...]) -> GeneTest | None:
        design = Design.of(
            len(self._expression), np.hstack([self._covariates, self._dosage[list(variants)].T])
        )
        return map_gene(self._cis.under(design), self._expression, self._permutations)
