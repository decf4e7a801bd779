"""A finished baseline as a PredictDB file, for PrediXcan, MetaXcan and other cohorts.

With the covariances that S-PrediXcan needs. One file of weights on this cohort, and what came of it in a few
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

import hapsight
from hapsight.cohort.alleles import OUTCOMES
from hapsight.cohort.nouns import Variants
from hapsight.cohort.predictdb import COVARIANCES, EXTRA, write_covariances, write_predictdb
from hapsight.errors import ConfigError, plural
from hapsight.report.disclosure_rules import enough_carriers, rounded, step
from hapsight.run.arms import imported_arm
from hapsight.run.baselines import BaselineRun, ImportedRun, apply_imported, baseline_blocks, baseline_runs
from hapsight.run.blocks import VariantReader, in_gene_order
from hapsight.run.opened import Opened, Progress
from hapsight.run.sections import MIN_SHARE
from hapsight.run.store import NamedUnit, UnitStore
from hapsight.stats.correlation import correlate
from hapsight.stats.nulls import benjamini_hochberg
from hapsight.stats.summary import Mean, mean_interval

__all__ = [
    "Applied",
    "CovarianceFile",
    "Exported",
    "apply_file",
    "chosen_run",
    "disclosed_covariance",
    "export_predictdb",
    "export_units",
]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CovarianceFile:
    """A file of covariances that is asked for.

    Attributes
    ----------
    path
        Its name ends in ``.gz``: by that MetaXcan knows that it is compressed.
    snp_key
        Column of the table ``weights`` that names the variants, as MetaXcan's ``--model_db_snp_key``.
    individuals
        In full digits, with variants that fewer than five people carry; readable for the owner alone.
    """

    path: Path
    snp_key: Literal["rsid", "varID"] = "rsid"
    individuals: bool = False

    def __post_init__(self) -> None:
        if self.path.suffix != ".gz":
            raise ConfigError(
                "The covariances are written gzipped.",
                where=self.path,
                expected="a name that ends in .gz, such as model.txt.gz",
                got=self.path.suffix or "no ending",
            )


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: genes and weights, and the genes left out, by reason.

    Attributes
    ----------
    pairs
        Rows of the covariance file.
    withheld
        Weights whose variant has no covariance, since fewer than five people carry or lack it.
    """

    genes: int
    weights: int
    left_out: dict[str, int]
    pairs: int = 0
    withheld: int = 0


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


def export_predictdb(
    opened: Opened,
    run: BaselineRun,
    path: Path,
    build: str | None = None,
    *,
    min_r: float | None = None,
    covariance: CovarianceFile | None = None,
) -> Exported:
    """Write the final weights of the genes that have a model, and how well they did on held-out people.

    The effect allele is ALT; the intercept is not part of the format. Genes without a model, and genes
    whose final fit has no variant, are left out and counted.

    Parameters
    ----------
    build
        Last part of the varIDs, such as ``"b38"``; they end with ALT where it is not given.
    min_r
        Genes whose held-out R is less, or that have none, are left out and counted.
    covariance
        The file for S-PrediXcan's ``--covariance``, where it is wanted.

    Raises
    ------
    ConfigError
        A gene has two variants of one name, and the covariances are to go by names.
    IncompleteError
        Some units of the baseline are not done.
    """
    store, units = opened.folder.baseline(run.folder), baseline_blocks(opened, run)
    return export_units(opened, store, units, run, path, build, min_r=min_r, covariance=covariance)


def export_units(
    opened: Opened,
    store: UnitStore,
    units: Sequence[NamedUnit],
    run: BaselineRun,
    path: Path,
    build: str | None = None,
    *,
    min_r: float | None = None,
    covariance: CovarianceFile | None = None,
) -> Exported:
    """`export_predictdb` of finished units of any store with a baseline's tables."""
    status = store.read(units, "genes").select("gene_id", "status")
    ok = status.filter(pl.col("status") == "ok")["gene_id"].to_list()
    weights = in_gene_order(store.read(units, "weights"), opened.cohort.genes)
    weights = weights.filter(pl.col("gene_id").is_in(ok))
    extra = _performance(opened, store.read(units, "predictions"), weights)
    left_out = dict(status.filter(pl.col("status") != "ok")["status"].value_counts().iter_rows())
    left_out["no variant in the final fit"] = len(ok) - len(extra)
    if min_r is not None:
        kept = extra.filter(pl.col("pred.perf.R") >= min_r)
        left_out[f"held-out R below {min_r:g}"] = len(extra) - len(kept)
        extra, weights = kept, weights.filter(pl.col("gene_id").is_in(kept["gene"].to_list()))
    named = weights.hstack(_weights(weights, build).select("rsid", "varID"))
    if covariance is not None:
        _require_other(path, covariance)
        _require_names(named, covariance)
    write_predictdb(path, _weights(weights, build), extra, len(opened.cohort.samples), _facts(opened, run))
    pairs, withheld = _write_covariances(opened, named, covariance) if covariance is not None else (0, 0)
    left_out = {reason: count for reason, count in left_out.items() if count}
    return Exported(len(extra), len(weights), left_out, pairs, withheld)


def _require_other(path: Path, wanted: CovarianceFile) -> None:
    if wanted.path.resolve() == path.resolve():
        raise ConfigError(
            "Weights and covariances are to be one file.",
            where=path,
            expected="two names, such as model.db and model.txt.gz",
        )


def _require_names(weights: pl.DataFrame, wanted: CovarianceFile) -> None:
    """Names stand between spaces in the file, and S-PrediXcan finds a variant by its name alone."""
    for column in ("gene_id", wanted.snp_key):
        broken = weights.filter(pl.col(column).str.contains(r'[\s"]'))[column]
        if len(broken):
            raise ConfigError(
                "A name with a space or a quotation mark cannot stand in a file of covariances.",
                where=f"{column} {broken[0]!r}",
                fix="rename it in the cohort's files" + (", or --snp-key varID" if column == "rsid" else ""),
            )
    twice = weights.filter(pl.struct("gene_id", wanted.snp_key).is_duplicated())
    if len(twice):
        raise ConfigError(
            "Two variants of a gene have one name, so covariances cannot go by names.",
            where=f"gene {twice['gene_id'][0]}, {twice[wanted.snp_key][0]}; {len(twice):,} weights in all",
            fix="--snp-key varID, and MetaXcan's --model_db_snp_key varID",
        )


def _write_covariances(opened: Opened, weights: pl.DataFrame, wanted: CovarianceFile) -> tuple[int, int]:
    """Rows that were written, and weights without any."""
    reader = VariantReader(opened.cohort.genotypes, opened.cohort.reference)
    by_gene = weights.partition_by("gene_id", as_dict=True)
    shown = 0

    def tables() -> Iterator[pl.DataFrame]:
        nonlocal shown
        for gene in opened.cohort.genes:
            own = by_gene.get((gene.gene_id,))
            if own is not None:
                table = _gene_covariances(own, reader(gene.cis(opened.config.baseline.cis_window)), wanted)
                shown += table["RSID1"].n_unique()
                yield table

    rows = write_covariances(wanted.path, tables(), private=wanted.individuals)
    return rows, len(weights) - shown


def _gene_covariances(weights: pl.DataFrame, near: Variants, wanted: CovarianceFile) -> pl.DataFrame:
    """Each pair of the gene's variants, and each variant with itself."""
    place = {key: v for v, key in enumerate(zip(near.position.tolist(), near.ref, near.alt, strict=True))}
    chosen = near.take(np.array([place[key] for key in weights.select("position", "ref", "alt").iter_rows()]))
    dosage = chosen.linear_dosage.astype(np.float64)
    if wanted.individuals:
        kept, values = np.arange(len(chosen)), np.atleast_2d(np.cov(dosage))
    else:
        kept, values = disclosed_covariance(dosage, chosen.maf)
    first, second = np.triu_indices(len(kept))
    names = weights[wanted.snp_key].gather(kept)
    return pl.DataFrame(
        {
            "GENE": pl.repeat(weights["gene_id"][0], len(first), eager=True),
            "RSID1": names.gather(first),
            "RSID2": names.gather(second),
            "VALUE": values[first, second],
        },
        schema=COVARIANCES,
    )


def disclosed_covariance(dosage: Float, maf: Float) -> tuple[NDArray[np.intp], Float]:
    """The covariances of dosages over people as they may be published.

    Correlations are rounded by the carriers of the rarer variant, and the nearest positive semi-definite
    matrix is taken; a variance is that of Hardy and Weinberg at the rounded frequency.

    Parameters
    ----------
    dosage
        (V, N) copies of ALT.
    maf
        (V,) frequency of the rarer allele.

    Returns
    -------
    (K,) the variants that are shown, and (K, K) their covariances.
    """
    n = dosage.shape[1]
    shown = np.flatnonzero(pl.select(enough_carriers(pl.lit(pl.Series(maf)), pl.lit(float(n)))).to_series())
    if not len(shown):
        return shown, np.zeros((0, 0))
    frequency = pl.Series(maf[shown])
    coarse = step(pl.lit(float(n)))
    p = pl.select(pl.max_horizontal(rounded(pl.lit(frequency), coarse), coarse / 2)).to_series().to_numpy()
    carriers = n * np.minimum.outer(maf[shown], maf[shown])
    pairs = pl.DataFrame({"r": np.atleast_2d(np.corrcoef(dosage[shown])).ravel(), "n": carriers.ravel()})
    near = pairs.select(rounded(pl.col("r").fill_nan(0.0), step(pl.col("n"))))
    r = near.to_series().to_numpy().reshape(carriers.shape)
    sd = np.sqrt(2 * p * (1 - p))
    return shown, _semidefinite(r) * np.outer(sd, sd)


def _semidefinite(r: Float) -> Float:
    """Correlations without negative eigenvalues, with ones on the diagonal."""
    r = r.copy()
    np.fill_diagonal(r, 1.0)
    values, vectors = np.linalg.eigh(r)
    if values[0] >= 0:
        return r
    whole = (vectors * np.maximum(values, 0.0)) @ vectors.T
    sd = np.sqrt(np.diag(whole))
    clean: Float = whole / np.outer(sd, sd)
    return clean


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
