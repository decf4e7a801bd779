"""Rows of ``agreement``: every pair of models of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.agreement import overlap, prediction_r, predictions_alike, same_direction
from hapsight.evaluate.correlation import correlate
from hapsight.evaluate.summary import SIGNIFICANT
from hapsight.tables import AGREEMENT
from hapsight.workflow.comparisons import Source

__all__ = ["Predicted", "agreement_table"]


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """One model of a run, all genes.

    Attributes
    ----------
    weights
        Name of the model without its weights, and the fingerprint of the weights; None for a baseline.
    predictions
        (G, N) float32; NaN where a gene has none.
    """

    source: Source
    weights: tuple[str, str] | None
    predictions: NDArray[np.float32]

    def is_replicate_of(self, other: Predicted) -> bool:
        """Whether both are the same model and read-out with different weights."""
        if self.weights is None or other.weights is None:
            return False
        (name, mine), (same, theirs) = self.weights, other.weights
        return name == same and mine != theirs and self.source.read_out == other.source.read_out


def agreement_table(models: Sequence[Predicted], per_gene: Mapping[Source, pl.DataFrame]) -> pl.DataFrame:
    """One row per pair.

    Parameters
    ----------
    per_gene
        By source: ``gene_id, pearson_r, qval``.
    """
    return pl.DataFrame(list(_rows(models, per_gene)), schema=AGREEMENT)


def _rows(models: Sequence[Predicted], per_gene: Mapping[Source, pl.DataFrame]) -> Iterator[dict[str, Any]]:
    for one, other in combinations(models, 2):
        theirs = per_gene[other.source].select("gene_id", other_r="pearson_r", other_qval="qval")
        genes = per_gene[one.source].join(theirs, on="gene_id").drop_nulls(["pearson_r", "other_r"])
        r, other_r = (genes[name].to_numpy().astype(np.float64) for name in ("pearson_r", "other_r"))
        strong, other_strong = ((genes[n] < SIGNIFICANT).fill_null(False) for n in ("qval", "other_qval"))
        found, same = correlate(r, other_r), same_direction(r, other_r)
        failing = overlap(r < 0, other_r < 0)
        significant = overlap((r < 0) & strong.to_numpy(), (other_r < 0) & other_strong.to_numpy())
        alike = predictions_alike(prediction_r(one.predictions, other.predictions))
        yield {
            **one.source.labels(),
            "other_model": other.source.model,
            "other_read_out": other.source.read_out,
            "replicates": one.is_replicate_of(other),
            "n": found.n,
            "pearson_r": found.pearson_r,
            "ci_low": found.ci_low,
            "ci_high": found.ci_high,
            "spearman_r": found.spearman_r,
            "same_sign": same.value,
            "same_sign_ci_low": same.ci_low,
            "same_sign_ci_high": same.ci_high,
            **{f"failing_{name}": value for name, value in asdict(failing).items()},
            **{f"significant_failing_{name}": value for name, value in asdict(significant).items()},
            "prediction_genes": alike.genes,
            "prediction_r_lower": alike.lower,
            "prediction_r_median": alike.median,
            "prediction_r_upper": alike.upper,
        }
