"""The units of work of a baseline: blocks of genes, with all that a process needs to fit them.

Which baselines a configuration asks for, and what their numbers are called.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Gene
from hapsight.cohort.reference import Reference
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import make_folds, population_folds
from hapsight.linear.methods import Method, method_named
from hapsight.run.blocks import KeyedBlock, VariantReader, keyed_blocks, linear_blocks
from hapsight.run.config import BaselineConfig
from hapsight.run.opened import LINEAR_KEYS, Opened, gene_keys, row_digests
from hapsight.run.sections import MIN_SHARE
from hapsight.run.store import StoredUnit, UnitStore

__all__ = [
    "BaselineRun",
    "BaselineUnit",
    "ImportedRun",
    "baseline_blocks",
    "baseline_keys",
    "baseline_runs",
    "baseline_units",
    "baseline_words",
    "gene_seed",
    "imported_runs",
    "labels_of",
    "method_of",
    "net_options",
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
