"""The stage that compares each model's direction with the top eQTLs, and the models with one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.agreement import overlap, prediction_r, predictions_alike, same_direction
from hapsight.evaluate.correlation import correlate
from hapsight.evaluate.direction import Effects, direction_and_magnitude
from hapsight.evaluate.direction_factors import explain
from hapsight.evaluate.direction_strata import cut, strata
from hapsight.evaluate.summary import SIGNIFICANT
from hapsight.tables import AGREEMENT, DIRECTION, DIRECTION_FACTORS, DIRECTION_GENES, DIRECTION_STRATA
from hapsight.workflow.arms import Arm, Comparison, results_of
from hapsight.workflow.direction_genes import direction_genes, factors_of
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.top_eqtls import top_eqtls

__all__ = ["agreement_table", "direction", "direction_tables"]

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
