"""The stage that carries prediction from one population to another: trained in one, judged in each.

Every linear method is trained on the people of one population alone and predicts everybody; its own people
by folds. Sequence models, and weights trained elsewhere, learn from nobody here and are judged in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.errors import ConfigError
from hapsight.least_squares import Design
from hapsight.linear.fits import population_folds
from hapsight.linear.nested import require_people
from hapsight.run.arms import Arm
from hapsight.run.baselines import BaselineRun, baseline_blocks, labels_of, method_of
from hapsight.run.blocks import in_gene_order
from hapsight.run.opened import Opened, Progress
from hapsight.run.store import UnitStore
from hapsight.stages.baseline import fit_baselines
from hapsight.stats.correlation import correlate
from hapsight.stats.summary import Mean, mean_difference, mean_interval
from hapsight.tables import PORTABILITY, PORTABILITY_GENES

__all__ = ["FEWEST_PEOPLE", "Portability", "portability", "portability_runs"]

Float = NDArray[np.float64]
Split = Literal["population", "super_population"]

FEWEST_PEOPLE: Final = 20
"""Populations of fewer people are neither learned from nor judged in."""


@dataclass(frozen=True, slots=True, eq=False)
class Portability:
    """The tables of the stage.

    Attributes
    ----------
    summary, per_gene
        Columns `PORTABILITY` and `PORTABILITY_GENES`.
    left_out
        Populations of fewer than `FEWEST_PEOPLE`, or too few for every method, and how many people each has.
    """

    summary: pl.DataFrame
    per_gene: pl.DataFrame
    left_out: Mapping[str, int]


def portability_runs(opened: Opened, split: Split) -> list[BaselineRun]:
    """Each method trained in each population of at least `FEWEST_PEOPLE`.

    Raises
    ------
    ConfigError
        Fewer than two such populations; somebody has none; or one has too few people for a method.
    """
    config, sizes = opened.config.baseline, _sizes(opened, split)
    kept = [name for name, size in sizes.items() if size >= FEWEST_PEOPLE]
    if len(kept) < 2:
        raise ConfigError(
            "There are too few populations to carry prediction from one to another.",
            where="samples under [cohort]",
            expected=f"2 of at least {FEWEST_PEOPLE} people",
            got=", ".join(f"{name} {size}" for name, size in sizes.items()),
        )
    words = split.replace("_", "-")
    cis = f"cis {config.cis_window / 1e6:g} Mb"
    runs = [
        BaselineRun(method, split, f"trained in one {words}, {cis}", f"{method}.{split}.{name}", name)
        for method in config.methods
        for name in kept
    ]
    for run in runs:
        _require(opened, run)
    return runs


def _sizes(opened: Opened, split: Split) -> dict[str, int]:
    """People of each population, by name; everybody has one."""
    folds, names = population_folds(labels_of(opened, split), split)
    return dict(zip(names, np.bincount(folds).tolist(), strict=True))


def _require(opened: Opened, run: BaselineRun) -> None:
    """Refuse a population that leaves a fold too few people for the method or for the covariates."""
    folds, learners = run.folds(opened), run.learners(opened)
    assert learners is not None
    require_people(folds, method_of(opened, run), learners)
    if opened.cohort.covariates is not None:
        for fold in range(opened.config.baseline.outer_folds):
            train = learners & (folds != fold)
            Design.of(int(train.sum()), opened.cohort.covariates.values[train])


def portability(opened: Opened, arms: Sequence[Arm], split: Split, progress: Progress) -> Portability:
    """Train in each population, judge in each, and write ``evaluation/portability{,_genes}.parquet``.

    Parameters
    ----------
    arms
        What learned from nobody here: sequence models, and weights trained elsewhere.
    split
        By population or by super-population of the sample sheet.

    Raises
    ------
    ConfigError
        As `portability_runs`.
    IncompleteError
        Some units were set aside, after all others were finished; or, before anything is trained, a model's
        predictions are not done.
    """
    runs, judged_too = portability_runs(opened, split), [arm for arm in arms if not arm.held_out]
    for arm in judged_too:
        arm.store.require(arm.units)
    fit_baselines(opened, [(run, _store(opened, run)) for run in runs], progress)
    with opened.folder.stage("portability"):
        judged = _Judged.of(opened, split, list(dict.fromkeys(str(run.trained_in) for run in runs)))
        per_gene = pl.concat(
            [pl.DataFrame(schema=PORTABILITY_GENES)]
            + [_carried(opened, run, judged) for run in runs]
            + [_of_arm(opened, arm, judged) for arm in judged_too]
        )
        summary = _summary(per_gene)
        opened.folder.write("evaluation/portability_genes.parquet", per_gene)
        opened.folder.write("evaluation/portability.parquet", summary)
    sizes = _sizes(opened, split)
    return Portability(summary, per_gene, {k: n for k, n in sizes.items() if k not in judged.people})


def _store(opened: Opened, run: BaselineRun) -> UnitStore:
    return opened.folder.portability(run.method, run.split, str(run.trained_in))


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """The people of each population, and what their expression is without covariates."""

    people: Mapping[str, NDArray[np.intp]]
    observed: Mapping[str, Float]

    @classmethod
    def of(cls, opened: Opened, split: Split, names: Sequence[str]) -> _Judged:
        """(G, n) residuals of each population, covariates fitted in its own people."""
        labels, cohort = labels_of(opened, split), opened.cohort
        people = {
            name: np.array([i for i, one in enumerate(labels) if one == name], np.intp) for name in names
        }
        observed = {}
        for name, own in people.items():
            covariates = None if cohort.covariates is None else cohort.covariates.values[own]
            observed[name] = Design.of(len(own), covariates).residuals(cohort.transformed[:, own])
        return cls(people, observed)


Row = dict[str, Any]


def _carried(opened: Opened, run: BaselineRun, judged: _Judged) -> pl.DataFrame:
    """Rows of one method trained in one population."""
    table = _store(opened, run).read(baseline_blocks(opened, run, _store(opened, run)), "predictions")
    shape = len(opened.cohort.genes), len(opened.cohort.samples)
    predicted = in_gene_order(table, opened.cohort.genes)["predicted"].to_numpy().reshape(shape)
    labels = {"model": run.method, "read_out": run.read_out, "protocol": opened.config.protocol}
    trained = str(run.trained_in)
    folds, rows = run.folds(opened), list[Row]()
    for name, people in judged.people.items():
        own = folds[people] if name == trained else None
        facts = labels | {"trained_in": trained, "judged_in": name, "n_trained": len(judged.people[trained])}
        rows += _rows(opened, facts, predicted[:, people], judged.observed[name], own)
    return pl.DataFrame(rows, schema=PORTABILITY_GENES)


def _of_arm(opened: Opened, arm: Arm, judged: _Judged) -> pl.DataFrame:
    """Rows of what learned from nobody here."""
    found = list(arm.comparisons(opened.cohort.genes))
    predicted, rows = np.array([one.predicted for one in found], np.float64), list[Row]()
    for name, people in judged.people.items():
        facts = arm.labels() | {"trained_in": None, "judged_in": name, "n_trained": None}
        rows += _rows(opened, facts, predicted[:, people], judged.observed[name], None)
    return pl.DataFrame(rows, schema=PORTABILITY_GENES)


def _rows(
    opened: Opened, facts: Row, predicted: Float, observed: Float, folds: NDArray[np.int64] | None
) -> Iterator[Row]:
    for gene, own, expressed in zip(opened.cohort.genes, predicted, observed, strict=True):
        yield {"gene_id": gene.gene_id, "gene_name": gene.gene_name} | facts | _r(own, expressed, folds)


def _r(predicted: Float, observed: Float, folds: NDArray[np.int64] | None) -> Row:
    """R of (n,) people; of those held out by folds the mean over folds, one without R counting 0."""
    found = correlate(predicted, observed)
    row: Row = {"n": found.n, "status": found.status, "pearson_r": found.pearson_r}
    row |= {"ci_low": found.ci_low, "ci_high": found.ci_high}
    if folds is None or found.pearson_r is None:
        return row
    every = [correlate(predicted[folds == k], observed[folds == k]).pearson_r for k in np.unique(folds)]
    row |= {"ci_low": None, "ci_high": None}
    if all(r is None for r in every):  # a mean in each fold
        return row | {"status": "constant_prediction", "pearson_r": None}
    return row | {"pearson_r": float(np.mean([r or 0.0 for r in every]))}


_ARM: Final = ("model", "read_out", "protocol")
_COUNTED: Final = ("ok", "constant_prediction")


def _summary(per_gene: pl.DataFrame) -> pl.DataFrame:
    """Means over genes; a constant prediction knows nothing: R = 0."""
    counted = per_gene.filter(pl.col("status").is_in(_COUNTED)).with_columns(
        r=pl.col("pearson_r").fill_null(0.0)
    )
    rows = []
    for table in counted.partition_by(*_ARM, "trained_in", "judged_in", maintain_order=True):
        first = table.select(*_ARM, "trained_in", "judged_in", "n_trained", "n").row(0, named=True)
        own = counted.filter(pl.all_horizontal(pl.col(name) == first[name] for name in _ARM)).filter(
            trained_in=first["judged_in"], judged_in=first["judged_in"]
        )
        mine, beside = mean_interval(table["r"].to_numpy()), _difference(table, own, first)
        rows.append(
            first
            | {"genes": mine.n, "genes_constant": int((table["status"] != "ok").sum())}
            | {"mean_r": mine.value, "ci_low": mine.ci_low, "ci_high": mine.ci_high}
            | {"to_own": beside.value, "to_own_ci_low": beside.ci_low, "to_own_ci_high": beside.ci_high}
        )
    return pl.DataFrame(rows, schema=PORTABILITY)


def _difference(table: pl.DataFrame, own: pl.DataFrame, first: Row) -> Mean:
    """R less that of the method trained in the judged population itself, gene by gene."""
    if first["trained_in"] in (None, first["judged_in"]):
        return Mean(None, 0, None, None)
    return mean_difference(table, own)
