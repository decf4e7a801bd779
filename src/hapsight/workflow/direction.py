"""The stage that compares each model's direction with the top eQTLs, and the models with one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.direction import Effects, direction_and_magnitude
from hapsight.evaluate.direction_factors import explain
from hapsight.evaluate.direction_strata import cut, strata
from hapsight.evaluate.summary import SIGNIFICANT
from hapsight.tables import DIRECTION, DIRECTION_FACTORS, DIRECTION_GENES, DIRECTION_STRATA
from hapsight.workflow.agreement import agreement_table
from hapsight.workflow.arms import Arm, Comparison, results_of
from hapsight.workflow.direction_genes import direction_genes, factors_of
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.top_eqtls import top_eqtls

__all__ = ["direction", "direction_tables"]

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
) -> Iterator[tuple[Comparison, dict[str, Any]]]:
    """Each gene with its result; its predictions go to `kept`."""
    genes = opened.cohort.genes
    nobody = np.full(len(opened.cohort.samples), np.nan)
    rows = zip(arm.comparisons(genes), results.iter_rows(named=True), strict=True)
    for done, (one, result) in enumerate(rows, start=1):
        kept.append((nobody if one.status else one.predicted).astype(np.float32))
        yield one, result
        progress(f"direction {arm.model}", done, len(genes))


def direction_tables(genes: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """``direction``, ``direction_strata`` and ``direction_factors`` of a table ``direction_genes``.

    Genes count that have both R (other than 0) and a top eQTL.
    """
    agreement: list[dict[str, Any]] = []
    strata_rows: list[dict[str, Any]] = []
    factor_rows: list[dict[str, Any]] = []
    labels = ["model", "read_out", "protocol"]
    counted = genes.filter(pl.col("sign_right").is_not_null() & pl.col("slope").is_not_null())
    edges = {factor: cut(factor, values) for factor, values in factors_of(counted).items()}
    for key, table in counted.group_by(labels, maintain_order=True):
        names = dict(zip(labels, key, strict=True))
        agreement += [names | found._asdict() for found in direction_and_magnitude(_effects(table))]
        factors, r = factors_of(table), table["pearson_r"].to_numpy()
        for factor, values in factors.items():
            strata_rows += [names | asdict(stratum) for stratum in strata(factor, values, r, edges[factor])]
        factor_rows += [names | row for row in _factor_rows(table, factors)]
    return {
        "direction": pl.DataFrame(agreement, schema=DIRECTION),
        "direction_strata": pl.DataFrame(strata_rows, schema=DIRECTION_STRATA),
        "direction_factors": pl.DataFrame(factor_rows, schema=DIRECTION_FACTORS),
    }


def _effects(table: pl.DataFrame) -> Effects:
    known = table.drop_nulls("model_slope")
    return Effects(
        r=known["pearson_r"].to_numpy(),
        model_slope=known["model_slope"].to_numpy(),
        eqtl_slope=known["slope"].to_numpy(),
        dosage_sd=known["dosage_sd"].to_numpy(),
        significant=(known["eqtl_qval"] < SIGNIFICANT).fill_null(False).to_numpy(),
    )


def _factor_rows(table: pl.DataFrame, factors: dict[str, NDArray[np.float64]]) -> Iterator[dict[str, Any]]:
    """Direction, and two measures of magnitude, on the same factors."""
    r = table["pearson_r"].to_numpy()
    slope = table["model_slope_sd"].fill_null(np.nan).to_numpy()
    moves = np.isfinite(slope) & (slope != 0)
    outcomes = {
        "sign_right": (r > 0, np.ones(len(r), np.bool_)),
        "abs_r": (np.abs(r), np.ones(len(r), np.bool_)),
        "log_abs_effect": (np.log10(np.abs(slope[moves])), moves),
    }
    for outcome, (values, kept) in outcomes.items():
        for found in explain(values, {name: column[kept] for name, column in factors.items()}):
            yield {"outcome": outcome} | asdict(found)
