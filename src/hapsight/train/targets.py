"""Expression as a loss wants it; every statistic is of training people only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.least_squares import residualise
from hapsight.train.losses import Scale

__all__ = ["Targets", "rows_of"]

Float = NDArray[np.float64]

_RESOLUTION = 1e-9
"""A gene whose training people differ by no more than this, relative to their mean, counts as constant."""

_SHOWN = 10


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Expression of G genes in N people.

    Attributes
    ----------
    measured
        (G, N) as in the file.
    residual
        (G, N) transformed, less the training people's mean and what covariates explain among them: what
        predictions are judged by, of every person and gene.
    mean, spread
        (G,) mean of the transformed expression, and standard deviation (n - 1) of the residual, of the
        training people; a spread of 0 is a gene that does not vary among them.
    """

    gene_ids: tuple[str, ...]
    measured: Float
    residual: Float
    mean: Float
    spread: Float

    @classmethod
    def of(
        cls,
        gene_ids: Sequence[str],
        measured: Float,
        transformed: Float,
        covariates: Float | None,
        train: NDArray[np.bool_],
    ) -> Self:
        """Fit what is fitted, to the people of `train`.

        Parameters
        ----------
        measured, transformed
            (G, N).
        covariates
            (N, C) or None.
        train
            (N,) who is trained on.

        Raises
        ------
        InputError
            The covariates leave nothing of the training people.
        """
        c_train = None if covariates is None else covariates[train]
        residual = residualise(transformed[:, train], c_train, transformed, covariates)[1]
        mean, spread = transformed[:, train].mean(axis=1), residual[:, train].std(axis=1, ddof=1)
        spread[spread <= _RESOLUTION * np.maximum(np.abs(mean), 1.0)] = 0.0
        return cls(tuple(gene_ids), measured, residual, mean, spread)

    def on_scale(self, scale: Scale, seen: NDArray[np.intp]) -> Float:
        """(G, N) targets of a loss.

        ``z``
            Residual over the gene's spread; 0 for a gene that does not vary among the training people.
        ``level``
            Mean and residual, in standard deviations of the means of the genes `seen` from their mean: the
            scale of a model that was trained to tell genes apart, such as Xpresso.
        ``counts``
            As measured, with no covariates taken out.

        Raises
        ------
        InputError
            ``counts`` of values below zero, or ``level`` of genes that all have one mean.
        """
        if scale == "z":
            known = self.spread > 0
            return np.where(known[:, None], self.residual / np.where(known, self.spread, 1.0)[:, None], 0.0)
        if scale == "level":
            return self._levels(seen)
        if self.measured.size and self.measured.min() < 0:
            gene = self.gene_ids[int(np.argmin(self.measured.min(axis=1)))]
            raise InputError(
                "A loss on counts meets expression below zero.",
                where=f"gene {gene}",
                expected="counts, RPKM or TPM",
                got=f"minimum {self.measured.min():g}",
                fix="give expression that is not normalised, or use a loss on z-scores (pairwise_mse)",
            )
        return self.measured

    def _levels(self, seen: NDArray[np.intp]) -> Float:
        means = self.mean[seen]
        spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
        if not spread:
            raise InputError(
                "A loss on levels needs genes of different mean expression.",
                expected="at least 2 seen genes with different means",
                got=f"{len(means)} genes",
            )
        return np.asarray((self.mean[:, None] + self.residual - means.mean()) / spread, np.float64)


def rows_of(wanted: Sequence[str], gene_ids: Sequence[str], where: object = None) -> NDArray[np.intp]:
    """Rows of the genes `wanted` among `gene_ids`.

    Raises
    ------
    InputError
        Some are not there; they are named.
    """
    row = {name: index for index, name in enumerate(gene_ids)}
    missing = [name for name in wanted if name not in row]
    if missing:
        raise InputError(
            "The expression does not have all genes that are to be trained on or judged.",
            where=where,
            expected=f"all of {len(wanted)} genes",
            got=f"{len(missing)} are missing: {', '.join(missing[:_SHOWN])}"
            + (" ..." if len(missing) > _SHOWN else ""),
            fix="give an expression file with these genes, or leave them out (keep_genes)",
        )
    return np.array([row[name] for name in wanted], dtype=np.intp)
