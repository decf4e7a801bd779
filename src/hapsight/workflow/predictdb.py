"""A finished baseline as a PredictDB file, for PrediXcan, MetaXcan and other cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import hapsight
from hapsight.cohort.predictdb import EXTRA, write_predictdb
from hapsight.errors import ConfigError
from hapsight.evaluate.correlation import correlate
from hapsight.evaluate.nulls import benjamini_hochberg
from hapsight.predict.store import NamedUnit, UnitStore
from hapsight.workflow.baseline_runs import BaselineRun, baseline_runs
from hapsight.workflow.baseline_units import baseline_blocks
from hapsight.workflow.blocks import in_gene_order
from hapsight.workflow.opened import Opened

__all__ = ["Exported", "chosen_run", "export_predictdb", "export_units"]


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
