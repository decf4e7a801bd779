"""What a run would take: all its stages on a few of its own genes, timed, and what that makes for all.

Three trials in a temporary folder tell what a stage takes at all from what it takes for each gene. The
predictions of a model grow with its operations, which are counted for every gene; the check with the bases
of the windows; gene pages up to their greatest number; all else with the genes.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hapsight.cohort.nouns import Gene
from hapsight.errors import plural
from hapsight.models.protocol import SequenceModel
from hapsight.pipeline import run
from hapsight.run.blocks import linear_blocks
from hapsight.run.config import Config
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened, Progress, parts_of
from hapsight.run.run_folder import RunFolder, processor_seconds
from hapsight.run.sections import ClusterConfig
from hapsight.stages.check import check
from hapsight.stages.gene_pages import MOST
from hapsight.stages.plan import ModelPlan, plan_model
from hapsight.stages.predict import ModelRun

__all__ = ["Plan", "StagePlan", "Took", "extrapolated", "plan_run", "timed", "trial_genes"]

_FEW: Final = 2
_MORE: Final = 6
"""Genes of the trials."""
_PATIENCE: Final = 20.0
"""Seconds that a model may take on the genes of a trial; a slower one is timed on a few passes only."""


@dataclass(frozen=True, slots=True)
class Took:
    """Processor time, of all processes, and wall time; in seconds."""

    processor: float
    wall: float


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What a stage of the run would do and take.

    Attributes
    ----------
    took
        Processor time of all processes, and wall time with the configured workers.
    """

    stage: str
    work: str
    took: Took
    disk_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would take, and what of it was measured on how many genes."""

    stages: tuple[StagePlan, ...]
    trial: int

    @property
    def total(self) -> Took:
        """Of all stages."""
        return Took(sum(s.took.processor for s in self.stages), sum(s.took.wall for s in self.stages))


def plan_run(opened: Opened, runs: Sequence[ModelRun | EffectsRun], opening: Took, show: Progress) -> Plan:
    """Time every stage on a few genes, and say what the run takes for all.

    Parameters
    ----------
    opening
        What opening the cohort took.
    """
    genes = opened.cohort.genes
    models = {run.label: plan_model(opened, run, show) for run in runs if isinstance(run, ModelRun)}
    more = trial_genes(genes, _MORE)
    few = more[: max(1, len(more) * _FEW // _MORE)] if len(more) < len(genes) else ()
    found, todo = [], [some for some in (few, few, more) if some]  # the first pays what a process pays once
    for done, some in enumerate(todo):
        show("plan, trials", done, len(todo))
        loaded = {
            place: _quick(opened, one, more) for place, one in enumerate(runs) if isinstance(one, ModelRun)
        }
        found.append(_Trial(some, _timed_stages(opened, some, loaded), _timed_check(opened, some)))
    show("plan, trials", len(found), len(found))
    return Plan((_check_row(opened, found, opening), *_rows(opened, runs, models, found)), len(more))


@dataclass(frozen=True, slots=True)
class _Trial:
    genes: Sequence[Gene]
    stages: Mapping[str, Took]
    check: Took


def trial_genes(genes: Sequence[Gene], count: int) -> tuple[Gene, ...]:
    """`count` genes in pairs of neighbours, which share variants as all genes do; the middle pair first.

    Examples
    --------
    >>> genes = [Gene(f"g{i}", "chr1", i) for i in range(100)]
    >>> [gene.gene_id for gene in trial_genes(genes, 6)]
    ['g49', 'g50', 'g0', 'g1', 'g98', 'g99']
    """
    if len(genes) <= count:
        return tuple(genes)
    pairs = count // 2
    starts = sorted(
        {round(n * (len(genes) - 2) / max(pairs - 1, 1)) for n in range(pairs)},
        key=lambda first: abs(first - len(genes) // 2),
    )
    places = dict.fromkeys(place for first in starts for place in (first, first + 1))
    return tuple(genes[place] for place in places)


def extrapolated(trials: Sequence[tuple[float, float]], whole: float) -> float:
    """What the whole takes, of up to three trials (amount, seconds): what it takes at all, and by amount.

    Neither part is below 0. What only the first of them pays, such as imports, the run pays too; the amount
    is judged by the last two.

    Examples
    --------
    >>> extrapolated([(2, 5.0), (6, 9.0)], 100)
    103.0
    >>> extrapolated([(2, 5.0), (6, 5.0)], 100), extrapolated([(3, 6.0)], 4)
    (5.0, 8.0)
    >>> extrapolated([(2, 5.0), (2, 2.0), (6, 6.0)], 100)
    103.0
    """
    (few, first), (_, short), (more, long) = trials[0], trials[-2:][0], trials[-1]
    if more <= few:
        return long * whole / more if more else long
    rate = min(max(0.0, (long - short) / (more - few)), long / more)
    return max(first + rate * (whole - few), long + rate * (whole - more))


def _quick(opened: Opened, run: ModelRun, genes: Sequence[Gene]) -> SequenceModel:
    """The model, or where it would take long on these genes one that reads as much and computes little."""
    from hapsight.engine.cost import StandIn

    return StandIn(run.model) if _seconds(opened, run, genes) > _PATIENCE else run.model


def _seconds(opened: Opened, run: ModelRun, genes: Sequence[Gene]) -> float:
    from hapsight.engine.cost import flop_per_second

    flop = sum(run.predicted_flop(opened, gene) for gene in genes)
    return flop / flop_per_second(run.model, run.read_out, opened.config.predict.batch_size, run.device)


def _timed_stages(
    opened: Opened, genes: Sequence[Gene], loaded: Mapping[int, SequenceModel]
) -> dict[str, Took]:
    """By name: what each stage of a run of these genes takes, in this process alone."""
    with tempfile.TemporaryDirectory(prefix="hapsight-plan-") as folder:
        config = _of_trial(opened.config, Path(folder) / "run")
        cohort, place = opened.cohort.of_genes(genes), RunFolder(config.output)
        small = Opened(config, cohort, opened.dropped, opened.inputs, place)
        run(small, (), lambda stage, done, of: None, loaded=loaded)
        stages = place.record()["stages"]
    return {stage["name"]: Took(stage["processor_seconds"], stage["seconds"]) for stage in stages}


def _of_trial(config: Config, output: Path) -> Config:
    return config.model_copy(
        update={
            "output": output,
            "workers": 1,
            "predict": config.predict.model_copy(update={"workers": 1}),
            "explain": config.explain.model_copy(update={"genes": ()}),
            "cluster": ClusterConfig(),
        }
    )


def _timed_check(opened: Opened, genes: Sequence[Gene]) -> Took:
    cohort = opened.config.cohort.model_copy(update={"keep_genes": tuple(gene.gene_id for gene in genes)})
    config = opened.config.model_copy(update={"cohort": cohort})
    with timed() as took:
        check(config, parts_of(config))
    return took()


@contextmanager
def timed() -> Iterator[Callable[[], Took]]:
    """What has been taken since the block began."""
    start, processor = time.perf_counter(), processor_seconds()
    yield lambda: Took(processor_seconds() - processor, time.perf_counter() - start)


def _check_row(opened: Opened, trials: Sequence[_Trial], opening: Took) -> StagePlan:
    """The check reads the variants of all windows, those of several genes once."""
    config = opened.config
    reach = max(section.cis_window for section in (config.baseline, config.eqtl))
    genes = opened.cohort.genes
    parts = [
        [(_bases(t.genes, reach), getattr(t.check, kind)) for t in trials] for kind in ("processor", "wall")
    ]
    processor, wall = (extrapolated(part, _bases(genes, reach)) for part in parts)
    work = (
        f"{plural(len(opened.cohort.samples), 'people')}, {plural(len(genes), 'gene')}, all sites near them"
    )
    return StagePlan("check", work, Took(processor + opening.processor, wall + opening.wall))


def _bases(genes: Sequence[Gene], reach: int) -> float:
    """Bases within `reach` of a TSS, each once."""
    found, contig, end = 0, "", 0
    for gene in sorted(genes, key=lambda gene: (gene.contig, gene.tss)):
        first = max(0, gene.tss - reach, end if gene.contig == contig else 0)
        contig, end = gene.contig, gene.tss + reach
        found += end - first
    return found


def _rows(
    opened: Opened,
    runs: Sequence[ModelRun | EffectsRun],
    models: Mapping[str, ModelPlan],
    trials: Sequence[_Trial],
) -> Iterator[StagePlan]:
    by_stage = {f"predict {one.label} ({one.read_out.name})": one for one in runs}
    for stage in trials[-1].stages:
        one = by_stage.get(stage)
        if isinstance(one, ModelRun):
            yield _predict_row(opened, stage, one, models[one.label], trials)
        elif one is not None:
            work = f"{plural(len(one.given.table), 'effect')} of a table added up; no passes"
            yield StagePlan(stage, work, _of_genes(opened, stage, trials))
        else:
            yield StagePlan(stage, _work_of(opened, stage), _of_genes(opened, stage, trials))


def _predict_row(
    opened: Opened, stage: str, run: ModelRun, found: ModelPlan, trials: Sequence[_Trial]
) -> StagePlan:
    ratio, saved = found.asked / found.distinct, found.asked_tflop / found.tflop
    passes = f"{plural(found.distinct, 'pass')} of {found.asked:,} asked for: {ratio:.1f}x fewer"
    work = f"{passes}; {found.tflop:,.1f} TFLOP of {found.asked_tflop:,.1f}: {saved:.1f}x fewer"
    if _seconds(opened, run, trials[-1].genes) > _PATIENCE:
        took = Took(found.seconds, found.seconds / opened.config.predict.workers)
        return StagePlan(stage, f"{work}, timed on a few passes", took, found.disk_mb)

    def amount(genes: Sequence[Gene]) -> float:
        return sum(run.predicted_flop(opened, gene) for gene in genes)

    took = _scaled(stage, [(amount(t.genes), t) for t in trials], amount(opened.cohort.genes))
    return StagePlan(
        stage, work, replace(took, wall=took.wall / opened.config.predict.workers), found.disk_mb
    )


def _of_genes(opened: Opened, stage: str, trials: Sequence[_Trial]) -> Took:
    """Of a stage whose work goes with the number of genes."""
    genes = len(opened.cohort.genes)
    if stage.startswith("explain ") and opened.config.explain.genes:
        genes = min(genes, len(opened.config.explain.genes))
    if stage == "gene pages":
        genes = min(genes, 2 * MOST * max(1, len(opened.config.models)))
    took = _scaled(stage, [(len(t.genes), t) for t in trials], genes)
    return replace(took, wall=took.wall / _workers(opened, stage))


def _workers(opened: Opened, stage: str) -> int:
    """Processes that a stage keeps busy."""
    if not stage.startswith(("baseline ", "eqtl")):
        return 1
    config = opened.config.eqtl if stage == "eqtl" else opened.config.baseline
    units = len(linear_blocks(opened, config.cis_window, config.genes_per_unit))
    return min(units, opened.config.workers or os.cpu_count() or 1)


def _scaled(stage: str, trials: Sequence[tuple[float, _Trial]], whole: float) -> Took:
    none = Took(0.0, 0.0)
    of = [(amount, trial.stages.get(stage, none)) for amount, trial in trials]
    return Took(
        extrapolated([(amount, took.processor) for amount, took in of], whole),
        extrapolated([(amount, took.wall) for amount, took in of], whole),
    )


def _work_of(opened: Opened, stage: str) -> str:
    genes, workers = len(opened.cohort.genes), _workers(opened, stage)
    if stage == "report":
        return "one page, with pictures"
    if stage == "gene pages":
        return "a page each of the genes of largest |R|"
    if workers > 1:
        return f"{plural(genes, 'gene')} on {plural(workers, 'process')}"
    return plural(genes, "gene")
