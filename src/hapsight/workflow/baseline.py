"""The stage that fits the baseline: blocks of genes, on several processes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.baseline.nested import ElasticNetOptions, GeneFit, fit_gene, make_folds
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Gene, Variants
from hapsight.cohort.reference import Reference
from hapsight.config import BaselineConfig
from hapsight.evaluate.expression import transform
from hapsight.predict.executor import run_units
from hapsight.predict.store import UnitStore, content_key
from hapsight.workflow.opened import POLICY_KEYS, Opened, Progress, dropped_table, gene_facts
from hapsight.workflow.variants import VariantReader

__all__ = ["METHOD", "baseline", "baseline_units"]

METHOD = "elastic_net"


@dataclass(frozen=True, slots=True, eq=False)
class BaselineUnit:
    """All that a process needs to fit a block of genes: G genes, N people, C covariates.

    Attributes
    ----------
    expression
        (G, N), transformed.
    covariates
        (N, C), or ``None``.
    outer_folds
        (N,) the fold in which each person is held out; the same for every gene.
    """

    name: str
    key: str
    store: UnitStore
    genes: tuple[Gene, ...]
    genotypes: GenotypeFile
    reference: Reference
    cis_window: int
    expression: NDArray[np.float64]
    covariates: NDArray[np.float64] | None
    outer_folds: NDArray[np.int64]
    seed: int
    options: ElasticNetOptions


def baseline(opened: Opened, progress: Progress) -> None:
    """Fit the nested elastic net of every gene; finished units are not fitted again."""
    label = f"baseline {METHOD}"
    with opened.folder.stage(label) as stage:
        units = baseline_units(opened)
        todo = [unit for unit in units if not unit.store.done(unit.name, unit.key)]
        kept = len(units) - len(todo)
        progress(label, kept, len(units))
        workers = opened.config.workers or os.cpu_count() or 1
        for done, _ in enumerate(run_units(_fit_unit, todo, workers), start=kept + 1):
            progress(label, done, len(units))
        stage["computed"] = len(todo)
        stage["detail"] = f"{len(todo)} units computed, {kept} kept, {workers} processes"


def baseline_units(opened: Opened) -> list[BaselineUnit]:
    """The units of the configured baseline."""
    config, cohort = opened.config.baseline, opened.cohort
    values = transform(
        cohort.expression.values, opened.config.expression.transform, opened.config.expression.pseudocount
    )
    row = {gene.gene_id: index for index, gene in enumerate(cohort.genes)}
    folds = make_folds(len(cohort.samples), config.outer_folds, np.random.default_rng(opened.config.seed))
    return [
        BaselineUnit(
            name=name,
            key=_key(opened, genes),
            store=opened.folder.baseline(METHOD),
            genes=tuple(genes),
            genotypes=cohort.genotypes,
            reference=cohort.reference,
            cis_window=config.cis_window,
            expression=values[[row[gene.gene_id] for gene in genes]],
            covariates=None if cohort.covariates is None else cohort.covariates.values,
            outer_folds=folds,
            seed=opened.config.seed,
            options=_options(config),
        )
        for name, genes in opened.units(config.genes_per_unit)
    ]


def _options(config: BaselineConfig) -> ElasticNetOptions:
    return ElasticNetOptions(
        alpha=config.alpha, outer=config.outer_folds, inner=config.inner_folds, min_maf=config.min_maf
    )


def _key(opened: Opened, genes: Sequence[Gene]) -> str:
    config = opened.config
    return content_key(
        {
            "stage": METHOD,
            "options": config.baseline.model_dump(mode="json", exclude={"run", "genes_per_unit"}),
            "policy": config.cohort.model_dump(mode="json", include=POLICY_KEYS),
            "expression": config.expression.model_dump(mode="json"),
            "seed": config.seed,
            "genes": gene_facts(genes),
            **opened.key_parts("genotypes", "reference", "expression", "covariates"),
        }
    )


def _fit_unit(unit: BaselineUnit) -> str:
    """Fit a block of genes and store it; returns the unit's name."""
    cis = [gene.cis(unit.cis_window) for gene in unit.genes]
    reader = VariantReader(unit.genotypes, unit.reference, cis)
    fits, variants = [], []
    for gene, interval, expression in zip(unit.genes, cis, unit.expression, strict=True):
        near = reader(interval)
        variants.append(near)
        fits.append(
            fit_gene(
                near.dosage,
                expression,
                unit.covariates,
                unit.outer_folds,
                gene_seed(unit.seed, gene.gene_id),
                unit.options,
            )
        )
    samples = unit.genotypes.samples
    tables = {
        "predictions": pl.concat(
            [_predictions(g, samples, f) for g, f in zip(unit.genes, fits, strict=True)]
        ),
        "genes": pl.DataFrame(
            [_gene_row(g, v, f) for g, v, f in zip(unit.genes, variants, fits, strict=True)]
        ),
        "weights": pl.concat([_weights(g, v, f) for g, v, f in zip(unit.genes, variants, fits, strict=True)]),
        "dropped": dropped_table(reader.dropped),
    }
    unit.store.write(unit.name, unit.key, tables)
    return unit.name


def gene_seed(seed: int, gene_id: str) -> int:
    """A seed of this gene's own, the same whatever else is run and in which order."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{gene_id}".encode()).digest()[:8], "big")


def _predictions(gene: Gene, samples: Sequence[str], fit: GeneFit) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "gene_id": [gene.gene_id] * len(samples),
            "sample_id": samples,
            "fold": fit.fold,
            "observed": fit.observed,
            "predicted": fit.predicted,
        }
    )


def _gene_row(gene: Gene, variants: Variants, fit: GeneFit) -> dict[str, object]:
    return {
        "gene_id": gene.gene_id,
        "status": fit.status,
        "n": len(fit.observed),
        "n_variants": len(variants),
        "fold_r": fit.fold_r.tolist(),
        "fold_lambda": fit.fold_lambda.tolist(),
        "final_lambda": fit.final_lambda,
        "n_nonzero": fit.n_nonzero,
    }


def _weights(gene: Gene, variants: Variants, fit: GeneFit) -> pl.DataFrame:
    """The final fit's non-zero effects per ALT allele, one row each."""
    chosen = np.flatnonzero(fit.weights)
    return pl.DataFrame(
        {
            "gene_id": [gene.gene_id] * len(chosen),
            "variant_id": [variants.variant_id[v] for v in chosen],
            "contig": [variants.contig] * len(chosen),
            "position": variants.position[chosen],
            "ref": [variants.ref[v] for v in chosen],
            "alt": [variants.alt[v] for v in chosen],
            "weight": fit.weights[chosen],
            "intercept": [fit.intercept] * len(chosen),
        },
        schema_overrides={
            "gene_id": pl.String,
            "variant_id": pl.String,
            "contig": pl.String,
            "ref": pl.String,
            "alt": pl.String,
            "intercept": pl.Float64,
        },
    )
