"""Rows of ``direction_genes``: each gene's R beside its top eQTL and what the model makes of that variant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Interval
from hapsight.evaluate.correlation import is_constant
from hapsight.evaluate.direction import variant_effect
from hapsight.tables import DIRECTION_GENES
from hapsight.workflow.arms import Arm, Comparison
from hapsight.workflow.top_eqtls import TopEqtl

__all__ = ["direction_genes", "factors_of"]

Float = NDArray[np.float64]
Row = dict[str, Any]


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


def factors_of(genes: pl.DataFrame) -> dict[str, Float]:
    """(G,) each: the factors of `hapsight.evaluate.direction_strata.CLASSES`; NaN where not known."""
    smallest = float(np.finfo(np.float64).tiny)
    columns = genes.select(
        "distance",
        "maf",
        "mean_expression",
        "n_ld80",
        "n_signals",
        "in_window",
        "h2",
        abs_slope=pl.col("slope").abs(),
        neg_log10_p=-pl.col("pval_nominal").clip(lower_bound=smallest).log10(),
    )
    return {c.name: c.cast(pl.Float64).fill_null(np.nan).to_numpy() for c in columns.iter_columns()}
