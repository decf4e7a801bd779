"""Linear baselines: which a configuration asks for, and the units of work of those fitted here.

Weights trained elsewhere, of a PredictDB or a table, are applied on this cohort's genotypes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import OUTCOMES, Aligned, WeightRow, align_weights
from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.effect_fit import require_fit
from hapsight.cohort.effect_tables import EffectTable, read_effect_table
from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Gene, Interval, Variants
from hapsight.cohort.reference import Reference
from hapsight.files import file_digest
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import make_folds, population_folds, weighted_sum
from hapsight.linear.methods import Method, method_named
from hapsight.run.blocks import KeyedBlock, VariantReader, keyed_blocks, largest_genes, linear_blocks
from hapsight.run.crew import compute_here
from hapsight.run.opened import (
    LINEAR_KEYS,
    Opened,
    Progress,
    dropped_table,
    gene_keys,
    row_digests,
    table_digests,
)
from hapsight.run.sections import MIN_SHARE, BaselineConfig
from hapsight.run.store import StoredUnit, UnitStore

__all__ = [
    "BaselineRun",
    "BaselineUnit",
    "ImportedRun",
    "Rows",
    "apply_imported",
    "baseline_blocks",
    "baseline_keys",
    "baseline_runs",
    "baseline_units",
    "baseline_words",
    "cohort_weights",
    "gene_seed",
    "imported_runs",
    "imported_store",
    "imported_units",
    "labels_of",
    "method_of",
    "net_options",
    "reach",
    "used_dosage",
    "weights_by_gene",
]


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """A method that is trained on this cohort, and whom it is judged on.

    Attributes
    ----------
    method
        Its name, which is also the ``model`` of its numbers.
    split
        ``"random"``; or ``"population"`` or ``"super_population"``: each held out in turn.
    read_out
        In words: who was held out, and the cis window.
    folder
        Its folder of units in ``baseline/``.
    trained_in
        The one population, or super-population by `split`, that is learned from: its people are held out in
        random folds, all others in one more.
    """

    method: str
    split: str
    read_out: str
    folder: str
    trained_in: str | None = None

    def learners(self, opened: Opened) -> NDArray[np.bool_] | None:
        """(N,) the people of the population that is learned from; None: of all."""
        if self.trained_in is None:
            return None
        return np.array([label == self.trained_in for label in labels_of(opened, self.split)])

    def folds(self, opened: Opened) -> NDArray[np.int64]:
        """(N,) the fold in which each person is held out.

        Raises
        ------
        ConfigError
            People cannot be split in this way.
        """
        k, rng = opened.config.baseline.outer_folds, np.random.default_rng(opened.config.seed)
        if (learners := self.learners(opened)) is not None:
            folds = np.full(len(learners), k, np.int64)
            folds[learners] = make_folds(int(learners.sum()), k, rng)
            return folds
        if self.split != "random":
            return population_folds(labels_of(opened, self.split), self.split)[0]
        return make_folds(len(opened.cohort.samples), k, rng)


def labels_of(opened: Opened, split: str) -> tuple[str | None, ...]:
    """(N,) population, or super-population, of each person, by the split's name."""
    cohort = opened.cohort
    return cohort.populations if split == "population" else cohort.super_populations


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """Weights that were trained elsewhere, applied to this cohort.

    Attributes
    ----------
    method
        Its label in the configuration, which is also the ``model`` of its numbers.
    min_share
        A gene of which less of the weights, or of their absolute sum, can be used has no R.
    """

    method: str
    path: Path
    min_share: float = MIN_SHARE
    read_out: str = "trained elsewhere"
    split: str = "trained elsewhere"


def baseline_runs(opened: Opened) -> list[BaselineRun]:
    """The methods to train, each with each split; empty where no baseline is to run."""
    config = opened.config.baseline
    words = baseline_words(config)
    return [
        BaselineRun(method, split, words[split][0], method + words[split][1])
        for split in config.splits
        for method in config.methods
        if config.run
    ]


def baseline_words(config: BaselineConfig) -> dict[str, tuple[str, str]]:
    """Of each split: the read-out in words, and how names of folders end."""
    cis = f"cis {config.cis_window / 1e6:g} Mb"
    return {
        "random": (f"held out, {config.outer_folds} folds, {cis}", ""),
        "population": (f"held out by population, {cis}", ".population"),
        "super_population": (f"held out by super-population, {cis}", ".super_population"),
    }


def imported_runs(opened: Opened) -> list[ImportedRun]:
    """The weights to import; empty where no baseline is to run."""
    config = opened.config.baseline
    return [ImportedRun(given.label, given.path, given.min_share) for given in config.imported if config.run]


@dataclass(frozen=True, slots=True, eq=False)
class BaselineUnit(StoredUnit):
    """All that a process needs to fit a block of genes: G genes, N people, C covariates.

    Attributes
    ----------
    expression
        (G, N), transformed.
    covariates
        (N, C), or ``None``.
    outer_folds
        (N,) the fold in which each person is held out; the same for every gene.
    learners
        (N,) who may be learned from; ``None``: everybody.
    """

    name: str
    key: str
    store: UnitStore
    genes: tuple[Gene, ...]
    genotypes: Genotypes
    reference: Reference
    cis_window: int
    expression: NDArray[np.float64]
    covariates: NDArray[np.float64] | None
    outer_folds: NDArray[np.int64]
    seed: int
    method: Method
    learners: NDArray[np.bool_] | None = None

    def reader(self) -> VariantReader:
        """Reads the variants of the genes' cis windows."""
        cis = [gene.cis(self.cis_window) for gene in self.genes]
        return VariantReader(self.genotypes, self.reference, cis)


def baseline_blocks(
    opened: Opened, run: BaselineRun, store: UnitStore | None = None, keys: Mapping[str, str] | None = None
) -> list[KeyedBlock]:
    """Name, key and genes of the units of a baseline; `store` and `keys` as of `baseline_units`."""
    config = opened.config.baseline
    return keyed_blocks(
        store or opened.folder.baseline(run.folder),
        linear_blocks(opened, config.cis_window, config.genes_per_unit),
        keys or baseline_keys(opened, run),
    )


def baseline_units(
    opened: Opened, run: BaselineRun, store: UnitStore | None = None, keys: Mapping[str, str] | None = None
) -> list[BaselineUnit]:
    """The units of a baseline.

    Parameters
    ----------
    store, keys
        Of another stage that has units of this kind; keys by ``gene_id``.
    """
    config, cohort = opened.config.baseline, opened.cohort
    store = store or opened.folder.baseline(run.folder)
    folds = run.folds(opened)
    return [
        BaselineUnit(
            name=block.name,
            key=block.key,
            store=store,
            genes=block.genes,
            genotypes=cohort.genotypes,
            reference=cohort.reference,
            cis_window=config.cis_window,
            expression=cohort.transformed[cohort.rows(block.genes)],
            covariates=None if cohort.covariates is None else cohort.covariates.values,
            outer_folds=folds,
            seed=opened.config.seed,
            method=method_of(opened, run),
            learners=run.learners(opened),
        )
        for block in baseline_blocks(opened, run, store, keys)
    ]


def method_of(opened: Opened, run: BaselineRun) -> Method:
    """How a run's baseline learns."""
    return method_named(run.method, net_options(opened.config.baseline))


def net_options(config: BaselineConfig) -> ElasticNetOptions:
    """The elastic net as it is configured."""
    return ElasticNetOptions(alpha=config.alpha, inner=config.inner_folds, min_maf=config.min_maf)


def baseline_keys(opened: Opened, run: BaselineRun) -> dict[str, str]:
    """By ``gene_id``: digest of all that a gene's fit depends on."""
    config, cohort = opened.config, opened.cohort
    control = () if config.expression.permuted is None else ("samples",)
    return gene_keys(
        "baseline",
        cohort.genes,
        {
            "run": run.folder,
            "method": repr(method_of(opened, run)),
            "cis_window": config.baseline.cis_window,
            "folds": run.folds(opened).tolist(),
            "policy": config.cohort.model_dump(mode="json", include=LINEAR_KEYS),
            "expression": config.expression.model_dump(mode="json"),
            "seed": config.seed,
            **opened.key_parts("genotypes", "reference", "covariates", *control),
        },
        row_digests(cohort.genes, cohort.expression.values),
    )


def gene_seed(seed: int, gene_id: str) -> int:
    """A seed of this gene's own, the same whatever else is run and in which order."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{gene_id}".encode()).digest()[:8], "big")


Rows = tuple[WeightRow, ...]

_GENES: Final = {
    "gene_id": pl.String,
    "status": pl.String,
    "n_weights": pl.Int64,
    "n_used": pl.Int64,
    "share_used": pl.Float64,
    "share_weight_used": pl.Float64,
    **dict.fromkeys(OUTCOMES, pl.Int64),
}


def apply_imported(opened: Opened, run: ImportedRun, progress: Progress) -> None:
    """Predict every gene by the file's weights; finished units are not computed again.

    Raises
    ------
    InputError
        The file cannot be read, has no gene of the cohort, is of another build, or has two weights for a
        variant.
    """
    label = f"baseline {run.method}"
    with opened.folder.stage(f"{label} (trained elsewhere)") as stage:
        given = cohort_weights(opened, run)
        store, units = imported_store(opened, run), imported_units(opened, run, given)
        weights = given.by_gene()
        stage["computed"] = compute_here(
            store,
            units,
            partial(_apply_unit, opened, run, weights),
            label,
            progress,
            before=lambda: require_fit(
                run.path, "weights", _samples(opened, weights), opened.cohort.reference
            ),
        )
        stage["detail"] = f"{len(weights)} of {len(opened.cohort.genes)} genes are in the file"


def imported_store(opened: Opened, run: ImportedRun) -> UnitStore:
    """Where the predictions lie."""
    return opened.folder.baseline(f"imported.{run.method}")


def imported_units(opened: Opened, run: ImportedRun, given: EffectTable | None = None) -> list[KeyedBlock]:
    """The units of one file's weights.

    Parameters
    ----------
    given
        `cohort_weights` of it; read where it is not given.
    """
    given = cohort_weights(opened, run) if given is None else given
    digest, config = file_digest(run.path), opened.config
    blocks = linear_blocks(opened, config.baseline.cis_window, config.baseline.genes_per_unit)
    parts = {
        "weights": digest,
        "min_share": run.min_share,
        "cis_window": config.baseline.cis_window,
        "policy": config.cohort.model_dump(mode="json", include=LINEAR_KEYS),
        **opened.key_parts("genotypes", "reference"),
    }
    keys = gene_keys("imported weights", opened.cohort.genes, parts, table_digests(given.table))
    return keyed_blocks(imported_store(opened, run), blocks, keys)


def weights_by_gene(
    run: ImportedRun, genes: Sequence[Gene], contigs: Mapping[str, int] = MappingProxyType({})
) -> Mapping[str, Rows]:
    """The file's weights of each cohort gene that it has, by the cohort's ``gene_id``.

    Parameters
    ----------
    contigs
        Lengths of the FASTA's contigs, which tell its build.

    Raises
    ------
    InputError
        The file cannot be read, or has no gene of the cohort; see `hapsight.cohort.effect_tables`.
    """
    return _read(run, genes, contigs).by_gene()


def cohort_weights(opened: Opened, run: ImportedRun) -> EffectTable:
    """The file's weights of the cohort's genes; errors as of `weights_by_gene`."""
    return _read(run, opened.cohort.genes, opened.cohort.reference.contigs)


def _read(run: ImportedRun, genes: Sequence[Gene], contigs: Mapping[str, int]) -> EffectTable:
    return read_effect_table(run.path, "weights").for_genes(genes, contigs)


def _samples(opened: Opened, weights: Mapping[str, Rows]) -> Iterator[tuple[Rows, Variants]]:
    rows = {gene.gene_id: weights.get(gene.gene_id, ()) for gene in opened.cohort.genes}
    return largest_genes(
        opened,
        lambda gene: len(rows[gene.gene_id]),
        lambda gene: rows[gene.gene_id],
        lambda gene: reach(gene, rows[gene.gene_id], opened),
    )


def _apply_unit(
    opened: Opened, run: ImportedRun, weights: Mapping[str, Rows], unit: KeyedBlock
) -> dict[str, pl.DataFrame]:
    cohort = opened.cohort
    intervals = [reach(gene, weights.get(gene.gene_id, ()), opened) for gene in unit.genes]
    reader = VariantReader(cohort.genotypes, cohort.reference, intervals)
    predictions, facts = [], []
    for gene, interval in zip(unit.genes, intervals, strict=True):
        variants, rows = reader(interval), weights.get(gene.gene_id)
        aligned = align_weights(rows or (), variants)
        aligned.require_one_each("weights", f"{run.path}, gene {gene.gene_id}")
        predicted = aligned.intercept + weighted_sum(aligned.weights, variants.linear_dosage)
        facts.append(_facts(gene, rows, aligned, run.min_share))
        predictions.append(
            pl.DataFrame(
                {
                    "gene_id": [gene.gene_id] * len(cohort.samples),
                    "sample_id": cohort.samples,
                    "predicted": predicted,
                }
            )
        )
    return {
        "predictions": pl.concat(predictions),
        "genes": pl.DataFrame(facts, schema=_GENES),
        "dropped": dropped_table(reader.dropped),
    }


def reach(gene: Gene, rows: Rows, opened: Opened) -> Interval:
    """The cis window, widened to all places that the gene's weights name on its contig."""
    cis = gene.cis(opened.config.baseline.cis_window)
    contig = plain_contig(gene.contig)
    inside = [row.place.position for row in rows if row.place is not None and row.place.contig == contig]
    return Interval(gene.contig, min([cis.start, *inside]), max([cis.end, *(p + 1 for p in inside)]))


def _facts(gene: Gene, rows: Rows | None, aligned: Aligned, least: float) -> dict[str, object]:
    share = aligned.share_used
    if not rows or share is None:
        status = "no_model"
    elif not aligned.n_used:
        status = "no_variants"
    else:
        status = "ok" if min(share, aligned.used_weight) >= least else "low_share"
    return {
        "gene_id": gene.gene_id,
        "status": status,
        "n_weights": len(rows or ()),
        "n_used": aligned.n_used,
        "share_used": share,
        "share_weight_used": aligned.used_weight if rows else None,
        **aligned.counts,
    }


def used_dosage(reader: VariantReader, interval: Interval, rows: Rows) -> NDArray[np.uint8]:
    """(V, N) of the variants that weights are laid on."""
    variants = reader(interval)
    return variants.take(np.flatnonzero(align_weights(rows, variants).used)).linear_dosage
