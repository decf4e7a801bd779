"""The stage that compares each model's direction with the top eQTLs, and the models with one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Interval
from hapsight.run.arms import Arm, Comparison, results_of
from hapsight.run.opened import Opened, Progress
from hapsight.stages.eqtl_sets import TopEqtl, top_eqtls
from hapsight.stats.agreement import prediction_r, predictions_alike, r_beside_r
from hapsight.stats.correlation import is_constant
from hapsight.stats.direction import variant_effect
from hapsight.stats.direction_factors import direction_tables
from hapsight.tables import AGREEMENT, DIRECTION_GENES

__all__ = ["agreement_table", "direction"]

Float = NDArray[np.float64]
Row = dict[str, Any]

_NO_EQTL = "No eQTLs were mapped (eqtl.run = false), so directions were not compared with them."


def direction(opened: Opened, arms: Sequence[Arm], progress: Progress) -> None:
    """Write ``evaluation/direction*.parquet`` and ``evaluation/agreement.parquet``; after ``evaluate``.

    Raises
    ------
    IncompleteError
        The run is not evaluated, or its eQTLs are not mapped though they are wanted.
    """
    with opened.folder.stage("direction"):
        results = results_of(opened, arms)
        if not opened.config.eqtl.run:
            opened.folder.note(_NO_EQTL)
        tops = top_eqtls(opened, progress) if opened.config.eqtl.run else {}
        genes, predicted = [pl.DataFrame(schema=DIRECTION_GENES)], {}
        for arm in arms:
            kept: list[NDArray[np.float32]] = []
            judged = _judged(opened, arm, results[arm], kept, progress)
            genes.append(direction_genes(arm, judged, opened.cohort.transformed, tops))
            predicted[arm] = np.array(kept)
        table = pl.concat(genes)
        beside = table if tops else table.clear()
        for name, found in (direction_tables(beside) | {"direction_genes": beside}).items():
            opened.folder.write(f"evaluation/{name}.parquet", found)
        opened.folder.write("evaluation/agreement.parquet", agreement_table(predicted, results))


def _judged(
    opened: Opened, arm: Arm, results: pl.DataFrame, kept: list[NDArray[np.float32]], progress: Progress
) -> Iterator[tuple[Comparison, Row]]:
    """Each gene with its result; its predictions go to `kept`."""
    genes = opened.cohort.genes
    nobody = np.full(len(opened.cohort.samples), np.nan)
    rows = zip(arm.comparisons(genes), results.iter_rows(named=True), strict=True)
    for done, (one, result) in enumerate(rows, start=1):
        kept.append((nobody if one.status else one.predicted).astype(np.float32))
        yield one, result
        progress(f"direction {arm.model}", done, len(genes))


def direction_genes(
    arm: Arm,
    judged: Iterable[tuple[Comparison, Row]],
    measured: Float,
    tops: Mapping[str, TopEqtl],
) -> pl.DataFrame:
    """One row per gene.

    A linear arm predicts expression in the units it is measured in. Predictions of a model are brought to
    these units by the line of mean expression on reference prediction.

    Parameters
    ----------
    judged
        Each gene with its row of ``per_gene``.
    measured
        (G, N) transformed expression.
    """
    rows = [
        _row(arm, one, result, values, tops.get(one.gene.gene_id))
        for (one, result), values in zip(judged, measured, strict=True)
    ]
    table = pl.DataFrame(rows, schema=DIRECTION_GENES)
    scale = 1.0 if arm.card is None else _scale(table)
    return table.with_columns(model_slope_expression=pl.col("model_slope") * scale)


def _row(arm: Arm, one: Comparison, result: Row, values: Float, top: TopEqtl | None) -> Row:
    gene, r = one.gene, result["pearson_r"]
    row: Row = {
        **dict.fromkeys(DIRECTION_GENES),
        "gene_id": gene.gene_id,
        "gene_name": gene.gene_name,
        **arm.labels(),
        "status": result["status"],
        "n": result["n"],
        "pearson_r": r,
        "model_qval": result["qval"],
        "mean_expression": float(values.mean()),
        "sd_expression": float(values.std()),
        "predicted_reference": one.reference,
        "sign_right": None if not r else r > 0,
    }
    return row if top is None else row | _beside(arm.window(gene), one, top)


def _beside(window: Interval, one: Comparison, top: TopEqtl) -> Row:
    """What the model makes of the top variant."""
    row: Row = top.row | {"in_window": window.start <= top.position < window.end}
    effect = None if one.status else variant_effect(one.predicted, top.dosage)
    if effect is None:
        return row
    row |= {"model_slope": effect.slope, "model_slope_sd": effect.slope_sd}
    signed = effect.slope and top.row["slope"]
    return row | {"variant_sign_agrees": (effect.slope > 0) == (top.row["slope"] > 0) if signed else None}


def _scale(genes: pl.DataFrame) -> float | None:
    """Slope of mean expression on reference prediction over genes; None where there is no line."""
    known = genes.drop_nulls(["predicted_reference", "mean_expression"])
    x, y = (known[name].to_numpy() for name in ("predicted_reference", "mean_expression"))
    if len(known) < 3 or is_constant(x):
        return None
    return float(np.polyfit(x - x.mean(), y, 1)[0])


def agreement_table(
    predictions: Mapping[Arm, NDArray[np.float32]], per_gene: Mapping[Arm, pl.DataFrame]
) -> pl.DataFrame:
    """Rows of ``agreement``: every pair of the run's arms.

    Parameters
    ----------
    predictions
        (G, N) each; NaN where a gene has none.
    per_gene
        ``gene_id, pearson_r, qval``.
    """
    return pl.DataFrame(list(_pairs(predictions, per_gene)), schema=AGREEMENT)


def _pairs(
    predictions: Mapping[Arm, NDArray[np.float32]], per_gene: Mapping[Arm, pl.DataFrame]
) -> Iterator[Row]:
    for one, other in combinations(predictions, 2):
        alike = predictions_alike(prediction_r(predictions[one], predictions[other]))
        yield {
            **one.labels(),
            "other_model": other.model,
            "other_read_out": other.read_out,
            "replicates": one.is_replicate_of(other),
            **r_beside_r(per_gene[one], per_gene[other]),
            "prediction_genes": alike.genes,
            "prediction_r_lower": alike.lower,
            "prediction_r_median": alike.median,
            "prediction_r_upper": alike.upper,
        }
