"""Rows of ``agreement``: every pair of models of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.agreement import overlap, prediction_r, predictions_alike, same_direction
from hapsight.evaluate.correlation import correlate
from hapsight.evaluate.summary import SIGNIFICANT
from hapsight.tables import AGREEMENT
from hapsight.workflow.arms import Arm

__all__ = ["agreement_table"]


def agreement_table(
    predictions: Mapping[Arm, NDArray[np.float32]], per_gene: Mapping[Arm, pl.DataFrame]
) -> pl.DataFrame:
    """One row per pair.

    Parameters
    ----------
    predictions
        (G, N) each; NaN where a gene has none.
    per_gene
        ``gene_id, pearson_r, qval``.
    """
    return pl.DataFrame(list(_rows(predictions, per_gene)), schema=AGREEMENT)


def _rows(
    predictions: Mapping[Arm, NDArray[np.float32]], per_gene: Mapping[Arm, pl.DataFrame]
) -> Iterator[dict[str, Any]]:
    for one, other in combinations(predictions, 2):
        theirs = per_gene[other].select("gene_id", other_r="pearson_r", other_qval="qval")
        genes = per_gene[one].join(theirs, on="gene_id").drop_nulls(["pearson_r", "other_r"])
        r, other_r = (genes[name].to_numpy().astype(np.float64) for name in ("pearson_r", "other_r"))
        strong, other_strong = ((genes[n] < SIGNIFICANT).fill_null(False) for n in ("qval", "other_qval"))
        found, same = correlate(r, other_r), same_direction(r, other_r)
        failing = overlap(r < 0, other_r < 0)
        significant = overlap((r < 0) & strong.to_numpy(), (other_r < 0) & other_strong.to_numpy())
        alike = predictions_alike(prediction_r(predictions[one], predictions[other]))
        yield {
            **one.labels(),
            "other_model": other.model,
            "other_read_out": other.read_out,
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
