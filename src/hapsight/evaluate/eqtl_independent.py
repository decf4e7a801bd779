"""Independent signals of a gene: variants that stay significant beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.evaluate.eqtl import CisDosage
from hapsight.evaluate.eqtl_permutations import GeneTest, map_gene
from hapsight.least_squares import Design

__all__ = ["Signal", "independent_signals"]

Float = NDArray[np.float64]


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
    """Tests of one gene given any of its variants."""

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

    def given(self, variants: Sequence[int], threshold: float) -> GeneTest | None:
        """The strongest variant with `variants` among the covariates, where it is significant."""
        if len(variants) >= self._cis.design.dof:
            return None
        design = Design.of(
            len(self._expression), np.hstack([self._covariates, self._dosage[list(variants)].T])
        )
        found = map_gene(self._cis.under(design), self._expression, self._permutations)
        significant = found is not None and found.beta is not None and found.beta.pval_beta <= threshold
        return found if significant else None
