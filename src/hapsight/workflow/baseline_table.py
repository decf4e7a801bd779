"""The linear baselines side by side: each method's R over genes, and its difference to the first one's."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from hapsight.cohort.digest import file_digest
from hapsight.evaluate.paired import Mean, mean_fold_r, mean_interval
from hapsight.tables import BASELINES
from hapsight.workflow.baseline_runs import BaselineRun, ImportedRun, baseline_runs, imported_runs
from hapsight.workflow.baseline_units import baseline_units
from hapsight.workflow.blocks import in_gene_order
from hapsight.workflow.opened import Opened

__all__ = ["baseline_entries", "baseline_table"]

_JUDGED = ("ok", "no_model")
"""Statuses of the genes that are compared in pairs; a gene without a model predicts nothing: R = 0."""


def baseline_entries(opened: Opened) -> list[dict[str, Any]]:
    """What the record says of the baselines, in order; of a file also its path and digest."""
    trained, imported = baseline_runs(opened), imported_runs(opened)
    return [
        *({"name": run.method, "read_out": run.read_out, "split": run.split} for run in trained),
        *(
            {
                "name": run.method,
                "read_out": run.read_out,
                "split": run.split,
                "path": str(run.path),
                "sha256": file_digest(run.path),
            }
            for run in imported
        ),
    ]


def baseline_table(opened: Opened, per_gene: pl.DataFrame) -> pl.DataFrame:
    """One row per baseline; see ``docs/formats.md``.

    Each is compared with the elastic net of the same split (else with the first method), gene by gene;
    what was trained elsewhere, with the random split's.
    """
    runs: list[BaselineRun | ImportedRun] = [*baseline_runs(opened), *imported_runs(opened)]
    rows = []
    for run in runs:
        against = _reference(run, baseline_runs(opened))
        mine = _rows(per_gene, run)
        ok = mine.filter(pl.col("status") == "ok")["pearson_r"].to_numpy()
        folds = _fold_means(opened, run) if isinstance(run, BaselineRun) else Mean(None, 0, None, None)
        mean, paired = mean_interval(ok), _difference(per_gene, run, against)
        rows.append(
            {
                **mine.select("model", "read_out", "protocol").row(0, named=True),
                "split": run.split,
                "genes": len(mine),
                "genes_ok": len(ok),
                "mean_r": mean.value,
                "ci_low": mean.ci_low,
                "ci_high": mean.ci_high,
                "share_negative": float((ok < 0).mean()) if len(ok) else None,
                "share_used": mine["share_used"].median(),
                "share_weight_used": mine["share_weight_used"].median(),
                "genes_low_share": int((mine["status"] == "low_share").sum()),
                "mean_fold_r": folds.value,
                "fold_genes": folds.n,
                "fold_ci_low": folds.ci_low,
                "fold_ci_high": folds.ci_high,
                "against": against.method if against and against != run else None,
                "paired_genes": paired.n,
                "difference": paired.value,
                "difference_ci_low": paired.ci_low,
                "difference_ci_high": paired.ci_high,
            }
        )
    return pl.DataFrame(rows, schema=BASELINES)


def _reference(run: BaselineRun | ImportedRun, trained: list[BaselineRun]) -> BaselineRun | None:
    """The baseline that `run` is compared with; None where nothing was trained here."""
    same = [other for other in trained if other.split == run.split] or trained
    return min(same, key=lambda other: other.method != "elastic_net", default=None)


def _rows(per_gene: pl.DataFrame, run: BaselineRun | ImportedRun) -> pl.DataFrame:
    return per_gene.filter(pl.col("model") == run.method, pl.col("read_out") == run.read_out)


def _fold_means(opened: Opened, run: BaselineRun) -> Mean:
    units = [(unit.name, unit.key) for unit in baseline_units(opened, run)]
    table = in_gene_order(opened.folder.baseline(run.folder).read(units, "genes"), opened.cohort.genes)
    return mean_fold_r([np.array(r, dtype=np.float64) for r in table["fold_r"].to_list()])


def _difference(per_gene: pl.DataFrame, run: BaselineRun | ImportedRun, against: BaselineRun | None) -> Mean:
    if against is None or against == run:
        return Mean(None, 0, None, None)
    mine, other = (
        _rows(per_gene, one)
        .filter(pl.col("status").is_in(_JUDGED))
        .select("gene_id", r=pl.col("pearson_r").fill_null(0.0))
        for one in (run, against)
    )
    both = mine.join(other, on="gene_id", how="inner")
    return mean_interval((both["r"] - both["r_right"]).to_numpy())
