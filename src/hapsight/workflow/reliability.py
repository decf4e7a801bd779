"""Rows of ``explain/reliability``: how probable it is that each gene's sign is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.agreement import prediction_r
from hapsight.evaluate.summary import SIGNIFICANT
from hapsight.explain.driver_summary import CHANGED
from hapsight.explain.reliability import Genes, out_of_fold
from hapsight.explain.reliability_quality import TOO_FEW, judge
from hapsight.explain_tables import RELIABILITY, RELIABILITY_FEATURES, RELIABILITY_SUMMARY
from hapsight.workflow.arms import Arm

__all__ = ["TOO_FEW", "Reliability", "features", "reliability"]

_SMALLEST = 1e-12
"""Added before logarithms of what can be 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Both tables of one model."""

    genes: pl.DataFrame
    summary: pl.DataFrame


def features(
    drivers: pl.DataFrame, per_gene: pl.DataFrame, arm: Arm, predictions: Mapping[Arm, NDArray[np.float32]]
) -> pl.DataFrame:
    """What is known of each gene's prediction without its expression.

    Parameters
    ----------
    drivers
        Rows of one model and one form.
    per_gene
        The model's rows of ``per_gene``, genes as in the predictions.
    predictions
        (G, N) of every sequence model of the run, `arm` among them.

    Returns
    -------
    Columns ``gene_id`` and `RELIABILITY_FEATURES`; one row per gene of `per_gene`.
    """
    others = [other for other in predictions if other is not arm]
    agreement = {
        name: _mean_r(predictions[arm], [predictions[o] for o in others if o.is_replicate_of(arm) == alike])
        for name, alike in (("agreement_models", False), ("agreement_replicates", True))
    }
    beside = per_gene.select(
        "gene_id",
        log_n_variants=(pl.col("n_variants") + 1).log10(),
        log_prediction_sd=(pl.col("prediction_sd") + _SMALLEST).log10(),
    ).with_columns(pl.Series(name, values) for name, values in agreement.items())
    found = drivers.select(
        "gene_id",
        "additivity",
        "n_drivers",
        "driver_r",
        "conservation",
        log_spread=(pl.col("spread") + 1e-3).log10(),
        log_effect=(pl.col("effect").abs() + _SMALLEST).log10(),
        log_distance=(pl.col("distance") + 1).log10(),
        motif=pl.col("motif").is_in(CHANGED),
    )
    table = beside.join(found, on="gene_id", how="left", maintain_order="left")
    table = table.select("gene_id", *(pl.col(n).cast(k) for n, k in RELIABILITY_FEATURES.items()))
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def reliability(
    drivers: pl.DataFrame,
    per_gene: pl.DataFrame,
    known: pl.DataFrame,
    labels: Mapping[str, str],
    rng: np.random.Generator,
) -> Reliability:
    """Estimate and judge the reliability of one model's signs.

    Parameters
    ----------
    known
        `features`.
    """
    table = per_gene.select("gene_id", "gene_name", "contig", "tss", "pearson_r", "qval").join(
        known, on="gene_id", how="inner", maintain_order="left"
    )
    table = table.join(drivers.select("gene_id"), on="gene_id", how="semi", maintain_order="left")
    table = table.filter(pl.col("pearson_r").is_not_null() & (pl.col("pearson_r") != 0))
    named = {name: pl.lit(value) for name, value in labels.items()}
    table = table.with_columns(sign_right=pl.col("pearson_r") > 0, **named)
    values = table.select(*RELIABILITY_FEATURES).fill_null(np.nan).to_numpy().astype(np.float64)
    right = table["sign_right"].to_numpy()
    found = out_of_fold(Genes(values, right, table["contig"].to_list(), table["tss"].to_numpy()))
    nothing = pl.lit(None)
    estimated = {
        "fold": nothing if found is None else pl.Series(found.fold),
        "probability": nothing if found is None else pl.Series(found.probability),
        "base_rate": nothing if found is None else pl.Series(found.base_rate),
    }
    table = table.with_columns(**estimated).select(pl.col(n).cast(k) for n, k in RELIABILITY.items())
    rows = [dict(labels) | row for row in _summary(table, rng)]
    return Reliability(table, pl.DataFrame(rows, schema=RELIABILITY_SUMMARY))


def _summary(table: pl.DataFrame, rng: np.random.Generator) -> list[dict[str, Any]]:
    """All genes, and those with a significant R; the estimates are the same."""
    rows = []
    for name, genes in (("all", table), ("significant", table.filter(pl.col("qval") < SIGNIFICANT))):
        row: dict[str, Any] = {"genes": name, "n": genes.height, "beats_base_rate": False, "verdict": TOO_FEW}
        if genes.height and genes["probability"].null_count() == 0:
            probability, base, right = (
                genes[c].to_numpy() for c in ("probability", "base_rate", "sign_right")
            )
            quality = judge(probability, base, right, rng)
            if quality is not None:
                row |= asdict(quality) | {"verdict": quality.verdict}
        rows.append(row)
    return rows


def _mean_r(own: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """(G,) mean over other models of the r over people of both predictions; NaN where there is none."""
    table = np.array([prediction_r(own, other) for other in others])
    known = np.isfinite(table)
    if not len(others):
        return np.full(len(own), np.nan)
    total = np.where(known, table, 0.0).sum(axis=0)
    n = known.sum(axis=0)
    return np.asarray(np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0))
