"""The order of a run: what `hapsight run` does after the check, and `hapsight evaluate` of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hapsight.cohort.check import CheckResult
from hapsight.models.protocol import SequenceModel
from hapsight.report.build import build_report
from hapsight.run.arms import Arm, arms_of
from hapsight.run.config import Config
from hapsight.run.crew import SetAside
from hapsight.run.effects import EffectsRun
from hapsight.run.executor import pools_kept
from hapsight.run.finished import made_from, mark_finished
from hapsight.run.opened import Opened, Progress
from hapsight.stages.baseline import baseline
from hapsight.stages.check import save_checks
from hapsight.stages.direction import direction
from hapsight.stages.drivers import drivers, saturate_drivers
from hapsight.stages.eqtl import eqtl
from hapsight.stages.evaluate import evaluate
from hapsight.stages.explain import explain
from hapsight.stages.gene_pages import gene_pages
from hapsight.stages.predict import ModelRun, load_models, predict

__all__ = ["compare", "compiling_meanwhile", "do_units", "run"]


def run(
    opened: Opened,
    checks: Sequence[CheckResult],
    progress: Progress,
    notes: Sequence[str] = (),
    loaded: Mapping[int, SequenceModel] | None = None,
    checked: Mapping[str, Any] | None = None,
) -> Path:
    """Every stage, as configured; finished work is kept.

    Parameters
    ----------
    checks
        What the check found, to be kept beside the run.
    notes
        Sentences that the report is to show.
    loaded
        Models that are there already, by their place in the configuration.
    checked
        What the check took, as the record has stages.

    Returns
    -------
    The report.

    Raises
    ------
    IncompleteError
        Some units were set aside, after all others were finished.
    """
    config, models = opened.config, load_models(opened, loaded)
    with opened.folder.locked():
        opened.begin()
        if checked is not None:
            opened.folder.add_stage(checked)
        made = made_from(config, notes, opened.inputs)
        save_checks(config, checks)
        for note in notes:
            opened.folder.note(note)
        with pools_kept():
            do_units(opened, models, progress)
            arms = arms_of(opened, models)
            evaluate(opened, arms, progress)
            direction(opened, arms, progress)
        if config.explain.run:
            explain(opened, models, progress)
            drivers(opened, arms, progress)
            saturate_drivers(opened, models, progress)
            gene_pages(opened, arms, progress)
        with opened.folder.stage("report"):
            page = build_report(config.output)
        mark_finished(config, made)
    return page


def do_units(opened: Opened, models: Sequence[ModelRun | EffectsRun], progress: Progress) -> None:
    """Predict, fit the baselines and map eQTLs, as configured; finished units are not done again.

    Raises
    ------
    IncompleteError
        Some units were set aside, after all others of all stages were finished.
    """
    aside = SetAside()
    with pools_kept(apart=True), aside.later():  # its processes hold models, which others do not need
        predict(opened, models, progress)
    with pools_kept():
        if opened.config.baseline.run:
            with aside.later():
                baseline(opened, progress)
        if opened.config.eqtl.run:
            with aside.later():
                eqtl(opened, progress)
    aside.report()


def compiling_meanwhile(config: Config) -> AbstractContextManager[None]:
    """Compile what the first run of all would wait for, while cohort and models are read."""
    if not config.baseline.run or not {"elastic_net", "lasso"} & set(config.baseline.methods):
        return nullcontext()
    from hapsight.linear.elastic_net import compiling_meanwhile as nets

    return nets()


def compare(opened: Opened, arms: Sequence[Arm], progress: Progress) -> None:
    """Evaluate, and compare directions with eQTLs, which are mapped if they are not yet."""
    with pools_kept():
        evaluate(opened, arms, progress)
        if opened.config.eqtl.run:
            eqtl(opened, progress)
        direction(opened, arms, progress)
