"""Plain passes against shared work, on real windows: time, operations, memory, and whether they agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene
from hapsight.dna import Codes
from hapsight.errors import ConfigError
from hapsight.models.protocol import SharedModel
from hapsight.workflow.memory import peak_mb, reset_peak
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import ModelRun
from hapsight.workflow.variants import VariantReader

__all__ = ["SharingBench", "bench_sharing"]

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
    from hapsight.predict.outputs import at_gene
    from hapsight.predict.shared import plain_values

    some = codes[:timed]
    with at_gene(gene.gene_id):
        (shared, flop), shared_seconds, shared_peak = _timed(lambda: _shared(run, codes, opened))
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
    from hapsight.predict.engine import Sequences

    cohort, read_out = opened.cohort, replace(run.read_out, reverse_complement=False, shifts=(0,))
    reader = VariantReader(cohort.genotypes, cohort.reference)
    found, codes = Sequences(run.model, read_out, reader, cohort.reference.fetch).of(gene)
    wanted = found.index.reshape(-1)[:count]
    return codes[1:][wanted], len(np.unique(wanted))


def _shared(run: ModelRun, codes: Codes, opened: Opened) -> tuple[Values, float]:
    from hapsight.predict.shared import shared_values

    assert isinstance(run.model, SharedModel)
    config = opened.config.predict
    values, work = shared_values(
        run.model,
        run.read_out,
        codes,
        device=run.device,
        batch_size=config.batch_size,
        budget=int(config.budget_gb * 2**30),
    )
    return values, work.flop


def _timed(
    action: Callable[[], tuple[Values, float]],
) -> tuple[tuple[Values, float], float, int]:
    """What an action gives, its wall time in seconds, and its peak memory in MB."""
    reset_peak()
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start, peak_mb()[0]
