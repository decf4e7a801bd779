"""A finished baseline as a PredictDB file, for PrediXcan, MetaXcan and other cohorts.

One file of weights on this cohort, and what came of it in a few numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import hapsight
from hapsight.cohort.alleles import OUTCOMES
from hapsight.cohort.predictdb import EXTRA, write_predictdb
from hapsight.errors import ConfigError, plural
from hapsight.run.arms import imported_arm
from hapsight.run.baselines import BaselineRun, ImportedRun, baseline_blocks, baseline_runs
from hapsight.run.blocks import in_gene_order
from hapsight.run.imported import apply_imported
from hapsight.run.opened import Opened, Progress
from hapsight.run.sections import MIN_SHARE
from hapsight.run.store import NamedUnit, UnitStore
from hapsight.stats.correlation import correlate
from hapsight.stats.nulls import benjamini_hochberg
from hapsight.stats.summary import Mean, mean_interval

__all__ = ["Applied", "Exported", "apply_file", "chosen_run", "export_predictdb", "export_units"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: genes and weights, and the genes left out, by reason."""

    genes: int
    weights: int
    left_out: dict[str, int]


def chosen_run(opened: Opened, method: str | None, split: str | None) -> BaselineRun:
    """The configured baseline of this method and split; the first where they are not given.

    Raises
    ------
    ConfigError
        The configuration has no such baseline.
    """
    runs = baseline_runs(opened)
    for run in runs:
        if method in (None, run.method) and split in (None, run.split):
            return run
    raise ConfigError(
        "The configuration has no such baseline.",
        expected="; ".join(f"{run.method}, {run.split}" for run in runs) or "run = true under [baseline]",
        got=f"{method or 'any method'}, {split or 'any split'}",
    )


def export_predictdb(opened: Opened, run: BaselineRun, path: Path, build: str | None = None) -> Exported:
    """Write the final weights of the genes that have a model, and how well they did on held-out people.

    The effect allele is ALT; the intercept is not part of the format. Genes without a model, and genes
    whose final fit has no variant, are left out and counted.

    Parameters
    ----------
    build
        Last part of the varIDs, such as ``"b38"``; they end with ALT where it is not given.

    Raises
    ------
    IncompleteError
        Some units of the baseline are not done.
    """
    store, units = opened.folder.baseline(run.folder), baseline_blocks(opened, run)
    return export_units(opened, store, units, run, path, build)


def export_units(
    opened: Opened,
    store: UnitStore,
    units: Sequence[NamedUnit],
    run: BaselineRun,
    path: Path,
    build: str | None = None,
) -> Exported:
    """`export_predictdb` of finished units of any store with a baseline's tables."""
    status = store.read(units, "genes").select("gene_id", "status")
    ok = status.filter(pl.col("status") == "ok")["gene_id"].to_list()
    weights = in_gene_order(store.read(units, "weights"), opened.cohort.genes)
    weights = weights.filter(pl.col("gene_id").is_in(ok))
    extra = _performance(opened, store.read(units, "predictions"), weights)
    write_predictdb(path, _weights(weights, build), extra, len(opened.cohort.samples), _facts(opened, run))
    left_out = dict(status.filter(pl.col("status") != "ok")["status"].value_counts().iter_rows())
    empty = len(ok) - len(extra)
    return Exported(
        len(extra), len(weights), left_out | ({"no variant in the final fit": empty} if empty else {})
    )


def _weights(weights: pl.DataFrame, build: str | None) -> pl.DataFrame:
    end = [] if build is None else [pl.lit(build)]
    parts = [pl.col("contig"), (pl.col("position") + 1).cast(pl.String), pl.col("ref"), pl.col("alt"), *end]
    return weights.select(
        gene="gene_id",
        rsid="variant_id",
        varID=pl.concat_str(parts, separator="_"),
        ref_allele="ref",
        eff_allele="alt",
        weight="weight",
    )


def _performance(opened: Opened, predictions: pl.DataFrame, weights: pl.DataFrame) -> pl.DataFrame:
    """The table ``extra``, genes in the cohort's order: R over all held-out people, its square, and p."""
    by_gene = predictions.partition_by("gene_id", as_dict=True)
    sizes = dict(weights.group_by("gene_id").len().iter_rows())
    rows = []
    for gene in opened.cohort.genes:
        if gene.gene_id in sizes:
            table = by_gene[(gene.gene_id,)]
            found = correlate(table["predicted"].to_numpy(), table["observed"].to_numpy())
            rows.append(
                (gene.gene_id, gene.gene_name, sizes[gene.gene_id], found.pearson_r, found.pval_nominal)
            )
    table = pl.DataFrame(
        rows,
        schema={
            "gene": pl.String,
            "genename": pl.String,
            "n.snps.in.model": pl.Int64,
            "pred.perf.R": pl.Float64,
            "pred.perf.pval": pl.Float64,
        },
        orient="row",
    )
    qval = benjamini_hochberg(table["pred.perf.pval"].to_numpy().astype(np.float64))
    square = pl.col("pred.perf.R").pow(2).alias("pred.perf.R2")
    return table.with_columns(square, pl.Series("pred.perf.qval", qval)).select(*EXTRA, "pred.perf.R")


def _facts(opened: Opened, run: BaselineRun) -> dict[str, object]:
    """Provenance, for the table ``construction``."""
    return {
        "hapsight": hapsight.__version__,
        "cohort": opened.config.name,
        "method": run.method,
        "performance": run.read_out,
        "seed": opened.config.seed,
        "permuted": opened.config.expression.permuted,
        "genotypes": opened.digest_of("genotypes"),
    }


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
        yield (
            "mean R across people",
            f"{r:.3f}{interval} ({plural(self.mean_r.n, 'gene')})" if r is not None else "-",
        )


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
