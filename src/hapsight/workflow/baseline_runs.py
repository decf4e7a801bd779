"""Which baselines a configuration asks for, and what their numbers are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.folds import make_folds, population_folds
from hapsight.config import BaselineConfig
from hapsight.linear_config import MIN_SHARE
from hapsight.workflow.opened import Opened

__all__ = ["BaselineRun", "ImportedRun", "baseline_runs", "baseline_words", "imported_runs"]


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """A method that is trained on this cohort, and whom it is judged on.

    Attributes
    ----------
    method
        Its name, which is also the ``model`` of its numbers.
    split
        ``"random"``, or ``"population"``: each population held out in turn.
    read_out
        In words: who was held out, and the cis window.
    folder
        Its folder of units in ``baseline/``.
    """

    method: str
    split: str
    read_out: str
    folder: str

    def folds(self, opened: Opened) -> NDArray[np.int64]:
        """(N,) the fold in which each person is held out.

        Raises
        ------
        ConfigError
            People cannot be split in this way.
        """
        if self.split == "population":
            return population_folds(opened.cohort.populations)[0]
        n, k = len(opened.cohort.samples), opened.config.baseline.outer_folds
        return make_folds(n, k, np.random.default_rng(opened.config.seed))


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
    }


def imported_runs(opened: Opened) -> list[ImportedRun]:
    """The weights to import; empty where no baseline is to run."""
    config = opened.config.baseline
    return [ImportedRun(given.label, given.path, given.min_share) for given in config.imported if config.run]
