"""The stage that compares each model's direction with the top eQTLs, and the models with one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval
from hapsight.errors import IncompleteError
from hapsight.evaluate.direction import Effects, direction_and_magnitude
from hapsight.evaluate.direction_factors import explain
from hapsight.evaluate.direction_strata import cut, strata
from hapsight.evaluate.summary import SIGNIFICANT
from hapsight.predict.windows import seen_interval
from hapsight.tables import DIRECTION, DIRECTION_FACTORS, DIRECTION_GENES, DIRECTION_STRATA, PER_GENE
from hapsight.workflow.agreement import Predicted, agreement_table
from hapsight.workflow.baseline_runs import baseline_runs, imported_runs
from hapsight.workflow.comparisons import (
    Compared,
    Source,
    baseline_comparisons,
    baseline_source,
    model_comparisons,
    model_source,
)
from hapsight.workflow.direction_genes import Judged, direction_genes, factors_of
from hapsight.workflow.imported import imported_comparisons, imported_source
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.predict import ModelRun
from hapsight.workflow.top_eqtls import top_eqtls

__all__ = ["direction", "direction_tables"]

_NO_EQTL = "No eQTLs were mapped (eqtl.run = false), so directions were not compared with them."


@dataclass(frozen=True, slots=True, eq=False)
class _Arm:
    """One model with one track, or one baseline."""

    source: Source
    weights: tuple[str, str] | None
    comparisons: Callable[[], Iterator[Compared]]
    window: Callable[[Gene], Interval]


def direction(opened: Opened, runs: Sequence[ModelRun], progress: Progress) -> None:
    """Write ``evaluation/direction*.parquet`` and ``evaluation/agreement.parquet``; after ``evaluate``.

    Raises
    ------
    IncompleteError
        The run is not evaluated, or its eQTLs are not mapped though they are wanted.
    """
    with opened.folder.stage("direction"):
        arms = list(_arms(opened, runs))
        results = _results(opened, arms)
        if not opened.config.eqtl.run:
            opened.folder.note(_NO_EQTL)
        tops = top_eqtls(opened, progress) if opened.config.eqtl.run else {}
        measured = opened.cohort.transformed
        genes, predicted = [pl.DataFrame(schema=DIRECTION_GENES)], []
        for arm in arms:
            kept: list[NDArray[np.float32]] = []
            judged = _judged(opened, arm, results[arm.source], measured, kept, progress)
            genes.append(direction_genes(arm.source, judged, tops, in_expression=arm.weights is None))
            predicted.append(Predicted(arm.source, arm.weights, np.array(kept)))
        table = pl.concat(genes)
        beside = table if tops else table.clear()
        for name, found in (direction_tables(beside) | {"direction_genes": beside}).items():
            opened.folder.write(f"evaluation/{name}.parquet", found)
        opened.folder.write("evaluation/agreement.parquet", agreement_table(predicted, results))


def _arms(opened: Opened, runs: Sequence[ModelRun]) -> Iterator[_Arm]:
    """All that ``evaluate`` has numbers of, in its order."""
    reach = opened.config.baseline.cis_window

    def cis(gene: Gene) -> Interval:
        return gene.cis(reach)

    for run in runs:
        for index in run.read_out.tracks:
            track = run.model.tracks[index].name
            yield _Arm(
                model_source(opened, run, track),
                (run.model.name.split("/")[0], run.fingerprint),
                lambda run=run, track=track: model_comparisons(opened, run, track),  # type: ignore[misc]
                lambda gene, run=run: seen_interval(gene, run.model, run.read_out),  # type: ignore[misc]
            )
    for baseline in baseline_runs(opened):
        source = baseline_source(opened, baseline)
        yield _Arm(source, None, lambda b=baseline: baseline_comparisons(opened, b), cis)  # type: ignore[misc]
    for imported in imported_runs(opened):
        source = imported_source(opened, imported)
        yield _Arm(source, None, lambda i=imported: imported_comparisons(opened, i), cis)  # type: ignore[misc]


def _results(opened: Opened, arms: Sequence[_Arm]) -> dict[Source, pl.DataFrame]:
    """Each arm's rows of ``per_gene``, genes in the cohort's order."""
    opened.require_current("evaluate")
    path = opened.folder.path / "evaluation" / "per_gene.parquet"
    table = pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=PER_GENE)
    wanted = [gene.gene_id for gene in opened.cohort.genes]
    found = {}
    for arm in arms:
        own = pl.all_horizontal(pl.col(name) == value for name, value in arm.source.labels().items())
        found[arm.source] = table.filter(own)
        if found[arm.source]["gene_id"].to_list() != wanted:
            raise IncompleteError(
                "A model of this run is not evaluated.",
                where=path,
                expected=f"{len(wanted)} genes of {arm.source.model}, read-out {arm.source.read_out}",
                got=f"{found[arm.source].height} genes",
                fix="run `hapsight evaluate` with this configuration first",
            )
    return found


def _judged(
    opened: Opened,
    arm: _Arm,
    results: pl.DataFrame,
    measured: NDArray[np.float64],
    kept: list[NDArray[np.float32]],
    progress: Progress,
) -> Iterator[Judged]:
    """Each gene with its result; its predictions go to `kept`."""
    rows = zip(arm.comparisons(), results.iter_rows(named=True), measured, strict=True)
    nobody = np.full(len(opened.cohort.samples), np.nan)
    for done, (compared, result, values) in enumerate(rows, start=1):
        kept.append((nobody if compared.status else compared.predicted).astype(np.float32))
        mean, sd = float(values.mean()), float(values.std())
        yield Judged(compared, arm.window(compared.gene), mean, sd, result)
        progress(f"direction {arm.source.model}", done, len(measured))


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
