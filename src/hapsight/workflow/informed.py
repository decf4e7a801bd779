"""The stage of informed prediction: what evidence is worth, on the same people, beside its control."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import WeightRow
from hapsight.cohort.effect_fit import SAMPLE, require_fit
from hapsight.cohort.nouns import Variants
from hapsight.config import InformedConfig
from hapsight.errors import ConfigError
from hapsight.workflow.baseline import fit_baseline
from hapsight.workflow.baseline_runs import BaselineRun
from hapsight.workflow.baseline_units import baseline_blocks
from hapsight.workflow.crew import SetAside, compute, crew_of
from hapsight.workflow.informed_evidence import EffectEvidence, Feature, open_features
from hapsight.workflow.informed_tables import gene_rows, summary_table
from hapsight.workflow.informed_units import (
    Evidence,
    InformedUnit,
    evidence_sets,
    fit_unit,
    fit_units,
    learn_unit,
    learn_units,
    plain_run,
)
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.predictdb import Exported, export_units
from hapsight.workflow.variants import VariantReader

__all__ = ["Informed", "export_informed", "informed", "require_evidence"]

_Rows = tuple[pl.DataFrame, list[NDArray[np.float64]]]


@dataclass(frozen=True, slots=True, eq=False)
class Informed:
    """What was found: tables as in `hapsight.informed_tables`, written to ``informed/``."""

    per_gene: pl.DataFrame
    shapes: pl.DataFrame
    summary: pl.DataFrame


def informed(opened: Opened, progress: Progress) -> Informed:
    """Fit the plain elastic net and all evidence on the same folds, and compare; finished units are kept.

    Raises
    ------
    ConfigError, InputError
        Evidence cannot be read, or there is too little to learn from.
    IncompleteError
        Some units were set aside, after all others were finished that do not need them.
    """
    features = _features(opened)
    for feature in features.values():
        if isinstance(feature, EffectEvidence):
            require_fit(feature.path, "effects", _samples(opened, feature), opened.cohort.reference)
    wanted = evidence_sets(opened.config.informed)
    aside = SetAside()
    for split in opened.config.informed.splits:
        with aside.later():
            fit_baseline(opened, plain_run(opened, split), progress)
    with aside.later():
        shapes = _fit_all(opened, wanted, features, progress)
    aside.report()
    found = [_plain_rows(opened, split) for split in opened.config.informed.splits]
    found += [_evidence_rows(opened, one, features, shapes) for one in wanted]
    result = Informed(pl.concat([table for table, _ in found]), shapes, summary_table(found))
    for name in ("per_gene", "shapes", "summary"):
        opened.folder.write(f"informed/{name}.parquet", getattr(result, name))
    return result


def _features(opened: Opened) -> dict[str, Feature]:
    cohort = opened.cohort
    return open_features(opened.config.informed, cohort.genes, cohort.reference.contigs)


def _samples(opened: Opened, given: EffectEvidence) -> Iterator[tuple[Sequence[WeightRow], Variants]]:
    """The genes with the most effects, and their variants."""
    cohort, size = opened.cohort, given.read().sizes
    reader = VariantReader(cohort.genotypes, cohort.reference)
    for gene in sorted(cohort.genes, key=lambda gene: -size.get(gene.gene_id, 0))[:SAMPLE]:
        yield given.rows(gene), reader(gene.cis(opened.config.baseline.cis_window))


def _fit_all(
    opened: Opened, wanted: Sequence[Evidence], features: dict[str, Feature], progress: Progress
) -> pl.DataFrame:
    """Learn what evidence is worth, and fit every set by that; returns the shapes that were learned."""
    learning = learn_units(opened, wanted, features)
    _run(opened, "informed shapes", learn_unit, learning, progress)
    shapes = _read_shapes(learning)
    units = [unit for one in wanted for unit in _fit_units(opened, one, features, shapes)]
    _run(opened, "informed", fit_unit, units, progress)
    return shapes


def export_informed(
    opened: Opened, evidence: str, split: str, path: Path, build: str | None = None
) -> Exported:
    """Write the final weights by some evidence as a PredictDB file, as `export_predictdb` does.

    Raises
    ------
    ConfigError
        There is no such evidence.
    IncompleteError
        It has not been fitted.
    """
    one = require_evidence(opened.config.informed, evidence, split)
    features = _features(opened)
    shapes = _read_shapes(learn_units(opened, evidence_sets(opened.config.informed), features))
    units = _fit_units(opened, one, features, shapes)
    run = BaselineRun(
        f"{opened.config.informed.method} informed by {evidence}",
        split,
        plain_run(opened, split).read_out,
        "",
    )
    return export_units(
        opened, opened.folder.informed(*one.words), [unit.base for unit in units], run, path, build
    )


def require_evidence(config: InformedConfig, evidence: str, split: str) -> Evidence:
    """The evidence of this name and split.

    Raises
    ------
    ConfigError
        There is no such evidence.
    """
    known = [one for one in evidence_sets(config) if not one.shuffled]
    one = next((one for one in known if (one.name, one.split) == (evidence, split)), None)
    if one is None:
        raise ConfigError(
            "The configuration has no such evidence.",
            where="[informed]",
            expected="; ".join(f"{one.name}, {one.split}" for one in known),
            got=f"{evidence}, {split}",
        )
    return one


def _run(
    opened: Opened,
    label: str,
    work: Callable[[InformedUnit], str],
    units: Sequence[InformedUnit],
    progress: Progress,
) -> None:
    """Have done what is not yet done."""
    given = opened.config.informed
    files = [path for track in given.tracks for path in track.paths] + [
        effects.path for effects in given.effects
    ]
    with opened.folder.stage(label) as stage:
        crew = crew_of(opened, files=files)
        computed = compute(crew, label, work, units, progress)
        stage["computed"] = computed
        stage["detail"] = f"{computed} units computed, {len(units) - computed} kept, {crew}"


def _read_shapes(units: Sequence[InformedUnit]) -> pl.DataFrame:
    return pl.concat([unit.base.store.read([unit.base], "shapes") for unit in units])


def _fit_units(
    opened: Opened, one: Evidence, features: dict[str, Feature], shapes: pl.DataFrame
) -> list[InformedUnit]:
    mine = shapes.filter(
        pl.col("evidence") == one.name, pl.col("shuffled") == one.shuffled, pl.col("split") == one.split
    )
    return fit_units(opened, one, features, mine)


def _plain_rows(opened: Opened, split: str) -> _Rows:
    run = plain_run(opened, split)
    store = opened.folder.baseline(run.folder)
    return gene_rows(opened.cohort.genes, store, baseline_blocks(opened, run), "plain", False, split)


def _evidence_rows(
    opened: Opened, one: Evidence, features: dict[str, Feature], shapes: pl.DataFrame
) -> _Rows:
    units = [unit.base for unit in _fit_units(opened, one, features, shapes)]
    store = opened.folder.informed(*one.words)
    return gene_rows(opened.cohort.genes, store, units, one.name, one.shuffled, one.split)
