"""One file of weights on this cohort, and what came of it in a few numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from hapsight.cohort.alleles import OUTCOMES
from hapsight.evaluate.correlation import correlate
from hapsight.evaluate.paired import Mean, mean_interval
from hapsight.linear_config import MIN_SHARE
from hapsight.workflow.arms import imported_arm
from hapsight.workflow.baseline_runs import ImportedRun
from hapsight.workflow.imported import apply_imported
from hapsight.workflow.opened import Opened, Progress

__all__ = ["Applied", "apply_file"]


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """What of a file's weights could be used, and how well they predict.

    Attributes
    ----------
    genes
        One row per gene of the cohort, as in ``baseline/imported.<label>`` of the run folder.
    mean_r
        Pearson R across people, over genes.
    """

    folder: Path
    genes: pl.DataFrame
    mean_r: Mean
    min_share: float

    def lines(self) -> Iterator[tuple[str, str]]:
        """What to print: names and values."""
        there = self.genes.filter(pl.col("n_weights") > 0)
        yield "genes of the cohort in the file", f"{len(there):,} of {len(self.genes):,}"
        yield "weights of these genes", f"{there['n_weights'].sum():,}"
        for outcome in OUTCOMES:
            yield f"  {outcome.replace('_', ' ')}", f"{there[outcome].sum():,}"
        for name, words in (("share_used", "weights"), ("share_weight_used", "sum of absolute weights")):
            shares = there[name].to_numpy()
            yield f"share of {words} used, median gene", f"{np.median(shares):.3f}" if len(shares) else "-"
        few = there.filter(pl.col("status") == "low_share").height
        yield f"genes with too few of them (below {self.min_share:g}), without R", f"{few:,}"
        r, low, high = self.mean_r.value, self.mean_r.ci_low, self.mean_r.ci_high
        interval = f" [{low:.3f}, {high:.3f}]" if low is not None else ""
        yield "mean R across people", f"{r:.3f}{interval} ({self.mean_r.n} genes)" if r is not None else "-"


def apply_file(
    opened: Opened, path: Path, label: str, progress: Progress, min_share: float = MIN_SHARE
) -> Applied:
    """Apply a file's weights, store the predictions, and correlate them with expression."""
    run = ImportedRun(label, path, min_share)
    apply_imported(opened, run, progress)
    arm = imported_arm(opened, run)
    genes = arm.read("genes")
    comparisons = arm.comparisons(opened.cohort.genes)
    found = [correlate(one.predicted, one.observed) for one in comparisons if not one.status]
    r = np.array([one.pearson_r for one in found if one.pearson_r is not None], dtype=np.float64)
    return Applied(arm.store.folder, genes, mean_interval(r), min_share)
