"""The stage that fits the baselines: blocks of genes, on several processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from hapsight.cohort.nouns import Gene, Variants
from hapsight.linear.nested import GeneFit, fit_held_out
from hapsight.run.baselines import (
    BaselineRun,
    BaselineUnit,
    baseline_runs,
    baseline_units,
    gene_seed,
    imported_runs,
)
from hapsight.run.crew import SetAside, compute, crew_of, work_in_words
from hapsight.run.imported import apply_imported
from hapsight.run.opened import Opened, Progress, dropped_table
from hapsight.run.store import UnitStore

__all__ = ["baseline", "fit_baseline", "unit_tables", "weights_table"]


def baseline(opened: Opened, progress: Progress) -> None:
    """Fit every configured method to every gene, held out, and apply weights trained elsewhere.

    Finished units are not computed again.

    Raises
    ------
    IncompleteError
        Some units were set aside, after all others of all methods were finished.
    """
    aside = SetAside()
    for run in baseline_runs(opened):
        with aside.later():
            fit_baseline(opened, run, progress)
    for imported in imported_runs(opened):
        apply_imported(opened, imported, progress)
    aside.report()


def fit_baseline(
    opened: Opened, run: BaselineRun, progress: Progress, store: UnitStore | None = None
) -> None:
    """Fit one method to every gene, held out by one split; finished units are not computed again.

    Parameters
    ----------
    store
        Of another stage that has units of this kind.
    """
    label = f"{store.made_by if store else 'baseline'} {run.folder}"
    with opened.folder.stage(label) as stage:
        units, crew = baseline_units(opened, run, store), crew_of(opened)
        computed = compute(crew, label, _fit_unit, units, progress)
        stage["computed"] = computed
        stage["detail"] = f"{work_in_words(computed, len(units))}, {crew}"


def _fit_unit(unit: BaselineUnit) -> str:
    """Fit a block of genes and store it; returns the unit's name."""
    reader, fits, variants = unit.reader(), [], []
    for gene, expression in zip(unit.genes, unit.expression, strict=True):
        near = reader(gene.cis(unit.cis_window))
        variants.append(near)
        fits.append(
            fit_held_out(
                near.linear_dosage,
                expression,
                unit.covariates,
                unit.outer_folds,
                gene_seed(unit.seed, gene.gene_id),
                unit.method,
                near.one_copy,
                unit.learners,
            )
        )
    tables = unit_tables(unit, variants, fits) | {"dropped": dropped_table(reader.dropped)}
    unit.store.write(unit.name, unit.key, tables)
    return unit.name


def unit_tables(
    unit: BaselineUnit, variants: Sequence[Variants], fits: Sequence[GeneFit]
) -> dict[str, pl.DataFrame]:
    """The tables ``predictions``, ``genes`` and ``weights`` of a block of genes (see ``docs/formats.md``)."""
    samples = unit.genotypes.samples
    found = list(zip(unit.genes, variants, fits, strict=True))
    return {
        "predictions": pl.concat([_predictions(gene, samples, fit) for gene, _, fit in found]),
        "genes": pl.DataFrame([_gene_row(gene, near, fit) for gene, near, fit in found]),
        "weights": pl.concat([weights_table(gene, near, fit) for gene, near, fit in found]),
    }


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


def weights_table(gene: Gene, variants: Variants, fit: GeneFit) -> pl.DataFrame:
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
