"""The linear baselines side by side: each method's R over genes, and its difference to the first one's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from hapsight.cohort.digest import file_digest
from hapsight.evaluate.paired import Mean, mean_fold_r, mean_interval
from hapsight.tables import BASELINES
from hapsight.workflow.arms import Arm
from hapsight.workflow.baseline_runs import BaselineRun, ImportedRun
from hapsight.workflow.blocks import in_gene_order
from hapsight.workflow.opened import Opened

__all__ = ["baseline_entries", "baseline_table"]

_JUDGED = ("ok", "no_model")
"""Statuses of the genes that are compared in pairs; a gene without a model predicts nothing: R = 0."""


def baseline_entries(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """What the record says of the linear arms, in order; of a file also its path and digest."""
    return [_entry(arm, arm.made_by) for arm in arms if isinstance(arm.made_by, BaselineRun | ImportedRun)]


def _entry(arm: Arm, run: BaselineRun | ImportedRun) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": run.method, "read_out": run.read_out, "split": run.split}
    if isinstance(run, ImportedRun):
        return entry | {"path": str(run.path), "sha256": file_digest(run.path)}
    return entry | {"units": [unit.name for unit in arm.units]}


def baseline_table(opened: Opened, arms: Sequence[Arm], per_gene: pl.DataFrame) -> pl.DataFrame:
    """One row per linear arm; see ``docs/formats.md``.

    Each is compared with the elastic net of the same split (else with the first method), gene by gene;
    what was trained elsewhere, with the random split's.
    """
    rows = []
    for arm in arms:
        against, mine = _reference(arm, arms), arm.rows(per_gene)
        ok = mine.filter(pl.col("status") == "ok")["pearson_r"].to_numpy()
        folds = _fold_means(opened, arm) if arm.held_out else Mean(None, 0, None, None)
        mean, paired = mean_interval(ok), _difference(per_gene, arm, against)
        rows.append(
            {
                **mine.select("model", "read_out", "protocol").row(0, named=True),
                "split": _split(arm),
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
                "against": against.model if against and against is not arm else None,
                "paired_genes": paired.n,
                "difference": paired.value,
                "difference_ci_low": paired.ci_low,
                "difference_ci_high": paired.ci_high,
            }
        )
    return pl.DataFrame(rows, schema=BASELINES)


def _split(arm: Arm) -> str:
    assert isinstance(arm.made_by, BaselineRun | ImportedRun)
    return arm.made_by.split


def _reference(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The arm that `arm` is compared with; None where nothing was trained here."""
    trained = [other for other in arms if other.held_out]
    same = [other for other in trained if _split(other) == _split(arm)] or trained
    return min(same, key=lambda other: other.model != "elastic_net", default=None)


def _fold_means(opened: Opened, arm: Arm) -> Mean:
    table = in_gene_order(arm.read("genes"), opened.cohort.genes)
    return mean_fold_r([np.array(r, dtype=np.float64) for r in table["fold_r"].to_list()])


def _difference(per_gene: pl.DataFrame, arm: Arm, against: Arm | None) -> Mean:
    if against is None or against is arm:
        return Mean(None, 0, None, None)
    mine, other = (
        one.rows(per_gene)
        .filter(pl.col("status").is_in(_JUDGED))
        .select("gene_id", r=pl.col("pearson_r").fill_null(0.0))
        for one in (arm, against)
    )
    both = mine.join(other, on="gene_id", how="inner")
    return mean_interval((both["r"] - both["r_right"]).to_numpy())
