"""Is a gene's strongest variant more than the luck of the best of many? Permutations of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapsight.evaluate.eqtl import CisDosage, nominal_scan, strongest
from hapsight.evaluate.eqtl_beta import BetaApproximation, beta_approximation
from hapsight.evaluate.nulls import empirical_p

__all__ = ["GeneTest", "draw_permutations", "map_gene", "permutation_maxima"]

Float = NDArray[np.float64]

_ROWS = 512
"""Variants of a product, so that it stays in the processor's cache."""

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
    shuffled = cis.design.residuals(expression[permutations])
    shuffled /= np.linalg.norm(shuffled, axis=1, keepdims=True)
    columns = np.ascontiguousarray(shuffled.T, dtype=precision)  # (N, P)
    largest = np.zeros(len(permutations), precision)
    tested = np.flatnonzero(cis.tested)
    for start in range(0, len(tested), _ROWS):
        rows = tested[start : start + _ROWS]
        r = (cis.centred[rows] / cis.norm[rows, None]).astype(precision) @ columns  # (rows, P)
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
