"""All of a run that is done in units of work: model predictions, baselines, eQTLs."""

from __future__ import annotations

from collections.abc import Sequence

from hapsight.predict.pool import pools_kept
from hapsight.workflow.baseline import baseline
from hapsight.workflow.crew import SetAside
from hapsight.workflow.eqtl import eqtl
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.predict import ModelRun, predict

__all__ = ["do_units"]


def do_units(opened: Opened, runs: Sequence[ModelRun], progress: Progress) -> None:
    """Predict, fit the baselines and map eQTLs, as configured; finished units are not done again.

    Raises
    ------
    IncompleteError
        Some units were set aside, after all others of all stages were finished.
    """
    aside = SetAside()
    with pools_kept():
        with aside.later():
            predict(opened, runs, progress)
        if opened.config.baseline.run:
            with aside.later():
                baseline(opened, progress)
        if opened.config.eqtl.run:
            with aside.later():
                eqtl(opened, progress)
    aside.report()
