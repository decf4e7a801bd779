"""What a run would do and take, without doing it.

Measured on real windows: plain passes against shared work, and one arithmetic against another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene
from hapsight.cohort.tables import write_table
from hapsight.dna import Codes
from hapsight.engine.views import Sequences, of_genes, views
from hapsight.errors import ConfigError
from hapsight.models.protocol import Precision, ReadOut, SharedModel
from hapsight.run.blocks import VariantReader
from hapsight.run.opened import Opened, Progress
from hapsight.run.run_folder import peak_mb, reset_peak
from hapsight.stages.predict import ModelRun, load_sequence_models, predicted, spread_genes
from hapsight.stats.correlation import correlate
from hapsight.tables import PRECISION

if TYPE_CHECKING:
    from hapsight.engine.outputs import GenePrediction

__all__ = [
    "ModelPlan",
    "SharingBench",
    "bench_precision",
    "bench_sharing",
    "keep_precision",
    "plan_model",
    "precision_of_models",
]

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


def plan_model(opened: Opened, run: ModelRun, progress: Progress) -> ModelPlan:
    """Count distinct work over all genes and time a few passes."""
    from hapsight.engine.cost import flop_per_second, plan_gene

    cohort = opened.cohort
    reader = VariantReader(cohort.genotypes, cohort.reference)
    sequences = Sequences(run.model, run.read_out, reader, cohort.reference.fetch)
    own = of_genes(run.model, run.read_out, cohort.genes)
    distinct, flop = 0, 0.0
    for done, gene in enumerate(cohort.genes, start=1):
        reads, took = plan_gene(sequences, gene, own=own[gene.gene_id])
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


Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SharingBench:
    """One gene's haplotypes both ways.

    Attributes
    ----------
    haplotypes
        As asked for: the first people's two haplotypes each, equal ones included.
    plain_seconds, plain_tflop, plain_peak_mb
        One forward pass per haplotype, batch of one; the time is that of `timed` haplotypes in proportion.
    timed
        Haplotypes that were run one by one.
    largest_difference
        Between the two on these, relative to the largest absolute value.
    """

    model: str
    gene_id: str
    haplotypes: int
    distinct: int
    timed: int
    plain_seconds: float
    shared_seconds: float
    plain_tflop: float
    shared_tflop: float
    plain_peak_mb: int
    shared_peak_mb: int
    largest_difference: float

    @property
    def speed_up(self) -> float:
        """Plain over shared wall time."""
        return self.plain_seconds / self.shared_seconds


def bench_sharing(
    opened: Opened, run: ModelRun, gene: Gene, haplotypes: int, timed: int | None = None
) -> SharingBench:
    """Run some people's haplotypes of one gene shared, and all or the first `timed` of them one by one.

    Raises
    ------
    ConfigError
        The model has no local layers to share.
    """
    if not isinstance(run.model, SharedModel):
        raise ConfigError(f"{run.model.name} has no local layers to share.", fix="bench a model that has")
    codes, distinct = _haplotypes(opened, run, gene, haplotypes)
    from hapsight.engine.engine import Valuer
    from hapsight.engine.outputs import at_gene
    from hapsight.engine.shared import plain_values

    config, forward = opened.config.predict, _one_view(run.read_out)
    valuer, some = Valuer(run.model, forward, run.device, config.batch_size, config.budget), codes[:timed]
    with at_gene(gene.gene_id):
        (shared, flop), shared_seconds, shared_peak = _timed(lambda: valuer(codes))
        (plain, _), plain_seconds, plain_peak = _timed(
            lambda: (plain_values(run.model, run.read_out, some, run.device), 0.0)
        )
    return SharingBench(
        run.model.name,
        gene.gene_id,
        len(codes),
        distinct,
        len(some),
        plain_seconds * len(codes) / len(some),
        shared_seconds,
        len(codes) * run.model.flop_per_pass / 1e12,
        flop / 1e12,
        plain_peak,
        shared_peak,
        float(np.max(np.abs(plain - shared[: len(some)])) / np.max(np.abs(plain))),
    )


def _haplotypes(opened: Opened, run: ModelRun, gene: Gene, count: int) -> tuple[Codes, int]:
    """(H, L) codes of the first people's haplotypes, and how many are distinct."""
    cohort, read_out = opened.cohort, _one_view(run.read_out)
    reader = VariantReader(cohort.genotypes, cohort.reference)
    found, codes = Sequences(run.model, read_out, reader, cohort.reference.fetch).of(gene)
    wanted = found.index.reshape(-1)[:count]
    return codes[1:][wanted], len(np.unique(wanted))


def _one_view(read_out: ReadOut) -> ReadOut:
    """The same without its other strand and shifts."""
    return replace(read_out, reverse_complement=False, shifts=(0,))


def _timed(
    action: Callable[[], tuple[Values, float]],
) -> tuple[tuple[Values, float], float, int]:
    """What an action gives, its wall time in seconds, and its peak memory in MB."""
    reset_peak()
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start, peak_mb()[0]


def bench_precision(
    opened: Opened, run: ModelRun, precisions: Sequence[Precision], genes: Sequence[Gene]
) -> pl.DataFrame:
    """Compare arithmetics with float64 on some genes of a cohort, all of its people.

    Returns
    -------
    A row of ``PRECISION`` for each arithmetic.
    """
    from hapsight.engine.precision import compare

    exact = predicted(opened, run, genes, "float64")
    r_exact = _r(opened, genes, exact)
    rows = []
    for precision in precisions:
        other = predicted(opened, run, genes, precision)
        loss = asdict(compare(exact, other))
        rows.append(
            {
                "model": run.label,
                "read_out": run.read_out.name,
                "protocol": opened.config.protocol,
                "device": run.device,
                "precision": precision,
                "people": len(opened.cohort.samples),
                "genes_tried": len(genes),
                **loss,
                "lost_by_tenth": list(loss["lost_by_tenth"]),
                **_result(r_exact, _r(opened, genes, other)),
            }
        )
    return pl.DataFrame(rows, schema=PRECISION)


def _r(opened: Opened, genes: Sequence[Gene], found: Sequence[GenePrediction]) -> Values:
    """(G,) R across people of the first track with expression; NaN where predictions are constant."""
    pairs = zip(found, map(opened.cohort.observed, genes), strict=True)
    return np.array(
        [correlate(one.values.mean(axis=1)[:, 0], values).pearson_r for one, values in pairs], float
    )


def _result(exact: Values, other: Values) -> dict[str, float | int | None]:
    """What a result of R across people becomes, over the genes that have one in both."""
    both = ~np.isnan(exact) & ~np.isnan(other)
    a, b = exact[both], other[both]
    if not len(a):
        return dict.fromkeys(("mean_r_exact", "mean_r", "negative_exact", "negative")) | {
            "sign_of_r_changed": 0
        }
    return {
        "mean_r_exact": float(a.mean()),
        "mean_r": float(b.mean()),
        "negative_exact": float((a < 0).mean()),
        "negative": float((b < 0).mean()),
        "sign_of_r_changed": int((np.sign(a) != np.sign(b)).sum()),
    }


def precision_of_models(opened: Opened, precisions: Sequence[Precision], genes: int | None) -> pl.DataFrame:
    """`bench_precision` of all configured models, on so many genes evenly spread over the list, or all."""
    every = opened.cohort.genes
    some = spread_genes(every, len(every) if genes is None else genes)
    runs = load_sequence_models(opened, "`hapsight bench precision`")
    return pl.concat([bench_precision(opened, run, precisions, some) for run in runs])


def keep_precision(opened: Opened, found: pl.DataFrame) -> Path:
    """Keep the table in the run folder, for the report, beside rows of other models and arithmetics."""
    path = opened.folder.path / "predictions" / "precision.parquet"
    labels = ["model", "read_out", "device", "precision"]
    if path.exists():
        found = pl.concat([pl.read_parquet(path).join(found, on=labels, how="anti"), found])
    with opened.folder.locked():
        write_table(path, found)
    return path
