"""What a run would do and take, without doing it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hapsight.baseline.nested import fit_held_out
from hapsight.predict.views import views
from hapsight.workflow.baseline_runs import baseline_runs
from hapsight.workflow.baseline_units import BaselineUnit, baseline_units, gene_seed
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.predict import ModelRun
from hapsight.workflow.variants import VariantReader

__all__ = ["BaselinePlan", "ModelPlan", "plan_baseline", "plan_model"]

_BYTES_PER_VALUE = 3.5
"""Measured size of one haplotype's value in a predictions table, names and all, compressed."""


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What running one model takes.

    Attributes
    ----------
    asked
        Forward passes if every person's two haplotypes were run for every gene, strand and shift.
    distinct
        Passes that are run: distinct haplotypes (as far as the read-out depends on them), and references.
    asked_tflop, tflop
        Floating-point operations of either.
    seconds
        Estimated from a few passes on this machine, without reading files.
    """

    model: str
    genes: int
    people: int
    asked: int
    distinct: int
    asked_tflop: float
    tflop: float
    seconds: float
    disk_mb: float


@dataclass(frozen=True, slots=True)
class BaselinePlan:
    """What the baselines take together, estimated from fitting one gene with a median number of variants.

    Attributes
    ----------
    gene_seconds
        Of all methods and splits on one gene, without reading genotypes.
    gene_seconds_of
        The same by method and split, as their folders in ``baseline/`` are called.
    """

    genes: int
    people: int
    workers: int
    gene_seconds: float
    seconds: float
    gene_seconds_of: dict[str, float]


def plan_model(opened: Opened, run: ModelRun, progress: Progress) -> ModelPlan:
    """Count distinct work over all genes and time a few passes."""
    from hapsight.predict.engine import Sequences
    from hapsight.predict.work import flop_per_second, plan_gene

    cohort = opened.cohort
    reader = VariantReader(cohort.genotypes, cohort.reference)
    sequences = Sequences(run.model, run.read_out, reader, cohort.reference.fetch)
    distinct, flop = 0, 0.0
    for done, gene in enumerate(cohort.genes, start=1):
        reads, took = plan_gene(sequences, gene)
        distinct, flop = distinct + reads, flop + took
        progress(f"plan {run.label}", done, len(cohort.genes))
    haplotypes = 2 * len(cohort.samples) * len(cohort.genes)
    asked = haplotypes * len(list(views(run.model, run.read_out)))
    return ModelPlan(
        run.label,
        len(cohort.genes),
        len(cohort.samples),
        asked,
        distinct,
        asked * run.model.flop_per_pass / 1e12,
        flop / 1e12,
        flop / flop_per_second(run.model, run.read_out, opened.config.predict.batch_size, run.device),
        haplotypes * len(run.read_out.tracks) * _BYTES_PER_VALUE / 1e6,
    )


def plan_baseline(opened: Opened) -> BaselinePlan:
    """Fit the gene in the middle of the list by every method and split, and multiply."""
    took = {run.folder: _gene_seconds(baseline_units(opened, run)) for run in baseline_runs(opened)}
    workers = opened.config.workers or os.cpu_count() or 1
    n_genes = len(opened.cohort.genes)
    seconds = sum(took.values())
    return BaselinePlan(
        n_genes, len(opened.cohort.samples), workers, seconds, seconds * n_genes / workers, took
    )


def _gene_seconds(units: Sequence[BaselineUnit]) -> float:
    unit = units[len(units) // 2]
    gene = unit.genes[len(unit.genes) // 2]
    reader = VariantReader(unit.genotypes, unit.reference)
    near = reader(gene.cis(unit.cis_window))
    dosage = near.linear_dosage
    expression = unit.expression[len(unit.genes) // 2]

    def fit(columns: int) -> float:
        start = time.perf_counter()
        seed = gene_seed(unit.seed, gene.gene_id)
        fit_held_out(dosage[:columns], expression, unit.covariates, unit.outer_folds, seed, unit.method)
        return time.perf_counter() - start

    fit(20)  # compiles
    return fit(len(dosage))
