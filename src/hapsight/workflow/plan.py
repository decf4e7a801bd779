"""What a run would do and take, without doing it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np

from hapsight.baseline.nested import fit_gene
from hapsight.sequence.haplotypes import personal_sequences
from hapsight.sequence.window import Window
from hapsight.workflow.baseline import baseline_units, gene_seed
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
        Forward passes if every person's two haplotypes were run for every gene.
    distinct
        Passes that are run: distinct haplotypes, and the reference of every gene.
    seconds
        Estimated from a few passes on this machine, without reading files.
    """

    model: str
    genes: int
    people: int
    asked: int
    distinct: int
    seconds: float
    disk_mb: float
    tflop: float


@dataclass(frozen=True, slots=True)
class BaselinePlan:
    """What the baseline takes, estimated from fitting one gene with a median number of variants."""

    genes: int
    people: int
    workers: int
    gene_seconds: float
    seconds: float


def plan_model(opened: Opened, run: ModelRun, progress: Progress) -> ModelPlan:
    """Count distinct sequences over all genes and time a few passes."""
    cohort, window = opened.cohort, run.model.window
    reader = VariantReader(cohort.genotypes, cohort.reference)
    distinct = 0
    for done, gene in enumerate(cohort.genes, start=1):
        around = Window.around(gene, window.upstream, window.downstream, window.oriented)
        distinct += 1 + len(personal_sequences(around, reader, cohort.reference.fetch).distinct)
        progress(f"plan {run.model.name}", done, len(cohort.genes))
    asked = 2 * len(cohort.samples) * len(cohort.genes)
    values = asked * len(run.read_out.tracks)
    return ModelPlan(
        run.model.name,
        len(cohort.genes),
        len(cohort.samples),
        asked,
        distinct,
        distinct * _seconds_a_pass(run, opened.config.predict.batch_size),
        values * _BYTES_PER_VALUE / 1e6,
        distinct * run.model.flop_per_pass / 1e12,
    )


def _seconds_a_pass(run: ModelRun, batch_size: int, repeats: int = 3) -> float:
    """Best of a few batches of random sequence, after one to warm up."""
    import torch

    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.integers(0, 4, (batch_size, run.model.window.length), dtype=np.uint8))
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            run.model.predict(codes.to(run.device), run.read_out).cpu()
            times.append(time.perf_counter() - start)
    return min(times[1:]) / batch_size


def plan_baseline(opened: Opened) -> BaselinePlan:
    """Fit the gene in the middle of the list and multiply."""
    units = baseline_units(opened)
    unit = units[len(units) // 2]
    gene = unit.genes[len(unit.genes) // 2]
    reader = VariantReader(unit.genotypes, unit.reference)
    dosage = reader(gene.cis(unit.cis_window)).dosage
    expression = unit.expression[len(unit.genes) // 2]

    def fit(columns: int) -> float:
        start = time.perf_counter()
        seed = gene_seed(unit.seed, gene.gene_id)
        fit_gene(dosage[:columns], expression, unit.covariates, unit.outer_folds, seed, unit.options)
        return time.perf_counter() - start

    fit(20)  # compiles
    seconds = fit(len(dosage))
    workers = opened.config.workers or os.cpu_count() or 1
    n_genes = len(opened.cohort.genes)
    return BaselinePlan(n_genes, len(opened.cohort.samples), workers, seconds, seconds * n_genes / workers)
