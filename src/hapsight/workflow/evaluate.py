"""The stage that compares predictions with expression and writes the tables of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.correlation import correlate
from hapsight.evaluate.nulls import TESTS
from hapsight.evaluate.protocols import protocol_named
from hapsight.evaluate.summary import (
    Quantity,
    summarise_across_genes,
    summarise_across_people,
    summarise_within_people,
)
from hapsight.tables import ACROSS_GENES, PER_GENE, PER_PERSON, SUMMARY
from hapsight.workflow.baseline_runs import baseline_runs, imported_runs
from hapsight.workflow.baseline_table import baseline_entries, baseline_table
from hapsight.workflow.baseline_units import baseline_units
from hapsight.workflow.comparisons import (
    Compared,
    Source,
    baseline_comparisons,
    baseline_source,
    model_comparisons,
    model_source,
)
from hapsight.workflow.dropped import by_reason
from hapsight.workflow.eqtl import eqtl_units
from hapsight.workflow.explain import explain_store, explain_units
from hapsight.workflow.imported import (
    imported_comparisons,
    imported_source,
    imported_store,
    imported_units,
)
from hapsight.workflow.opened import Opened, Progress, dropped_table
from hapsight.workflow.per_gene import Chance, gene_row, with_qvalues
from hapsight.workflow.predict import ModelRun, model_entry

__all__ = ["evaluate"]

Float = NDArray[np.float64]

Row = dict[str, Any]


@dataclass
class _Rows:
    """Rows of the four tables, as they come."""

    per_gene: list[pl.DataFrame] = field(default_factory=list)
    per_person: list[Row] = field(default_factory=list)
    across_genes: list[Row] = field(default_factory=list)
    summary: list[Row] = field(default_factory=list)

    def add_summary(self, source: Source, quantities: Iterable[Quantity]) -> None:
        self.summary.extend(source.labels() | asdict(quantity) for quantity in quantities)

    def tables(self) -> dict[str, pl.DataFrame]:
        return {
            "per_gene": pl.concat([pl.DataFrame(schema=PER_GENE), *self.per_gene]),
            "per_person": pl.DataFrame(self.per_person, schema=PER_PERSON),
            "across_genes": pl.DataFrame(self.across_genes, schema=ACROSS_GENES),
            "summary": pl.DataFrame(self.summary, schema=SUMMARY),
        }


def evaluate(opened: Opened, runs: Sequence[ModelRun], progress: Progress) -> None:
    """Write ``evaluation/*.parquet`` and ``dropped.parquet`` from the finished units of the other stages.

    Raises
    ------
    IncompleteError
        Some units are not done.
    """
    with opened.folder.stage("evaluate"):
        rows, chance = _Rows(), Chance.of(opened)
        opened.folder.record_models([model_entry(opened, run) for run in runs])
        for run in runs:
            for index in run.read_out.tracks:
                _add_model(opened, run, run.model.tracks[index].name, chance, rows, progress)
        for source, found in _baselines(opened):
            _add_per_gene(opened, source, _counted(found, source, opened, progress), chance, rows)
        tables = rows.tables()
        tables["baselines"] = baseline_table(opened, tables["per_gene"])
        opened.folder.record_baselines(baseline_entries(opened))
        for name, table in tables.items():
            opened.folder.write(f"evaluation/{name}.parquet", table)
        opened.mark_current("evaluate")
        opened.folder.write("dropped.parquet", _dropped(opened, runs))


def _baselines(opened: Opened) -> Iterator[tuple[Source, Iterator[Compared]]]:
    """What was trained on this cohort, and what was trained elsewhere."""
    for run in baseline_runs(opened):
        yield baseline_source(opened, run), baseline_comparisons(opened, run)
    for imported in imported_runs(opened):
        yield imported_source(opened, imported), imported_comparisons(opened, imported)


def _add_model(
    opened: Opened, run: ModelRun, track: str, chance: Chance, rows: _Rows, progress: Progress
) -> None:
    source = model_source(opened, run, track)
    predicted, reference = [], []

    def kept() -> Iterator[Compared]:
        for compared in _counted(model_comparisons(opened, run, track), source, opened, progress):
            predicted.append(compared.predicted)
            reference.append(compared.reference)
            yield compared

    _add_per_gene(opened, source, kept(), chance, rows)
    observed = opened.cohort.transformed
    _add_across_genes(opened, source, np.array(reference, np.float64), observed, rows)
    _add_within_people(opened, source, np.array(predicted), observed, rows)


def _counted(
    compared: Iterator[Compared], source: Source, opened: Opened, progress: Progress
) -> Iterator[Compared]:
    for done, one in enumerate(compared, start=1):
        yield one
        progress(f"evaluate {source.model}", done, len(opened.cohort.genes))


def _add_per_gene(
    opened: Opened, source: Source, compared: Iterable[Compared], chance: Chance, rows: _Rows
) -> None:
    """One row per gene, q-values over those that are ``ok``, and their summary."""
    test = protocol_named(opened.config.protocol).test_of(source.held_out)
    found = pl.DataFrame([gene_row(source, one, chance) for one in compared], schema=PER_GENE)
    table = with_qvalues(found, test)
    rows.per_gene.append(table)
    ok = table.filter(pl.col("status") == "ok")
    pearson, spearman = (ok[name].to_numpy() for name in ("pearson_r", "spearman_r"))
    tests = [name for name in TESTS if source.held_out or name != "folds"]
    qval = {name: ok[f"qval_{name}"].to_numpy() for name in tests}
    status = table["status"].to_list()
    rows.add_summary(source, summarise_across_people(status, pearson, spearman, qval, test))


def _add_across_genes(opened: Opened, source: Source, reference: Float, observed: Float, rows: _Rows) -> None:
    for gene, value, expressed in zip(opened.cohort.genes, reference, observed, strict=True):
        names = {"gene_id": gene.gene_id, "gene_name": gene.gene_name}
        numbers = {"mean_expression": expressed.mean(), "sd_expression": expressed.std()}
        rows.across_genes.append(names | source.labels() | {"predicted_reference": value} | numbers)
    rows.add_summary(source, summarise_across_genes(reference, observed.mean(axis=1)))


def _add_within_people(
    opened: Opened, source: Source, predicted: Float, observed: Float, rows: _Rows
) -> None:
    """Each person's correlation over genes: (G, N) predictions and expression."""
    spearman = []
    for sample, p, o in zip(opened.cohort.samples, predicted.T, observed.T, strict=True):
        found = correlate(p, o)
        numbers = {"n": found.n, "pearson_r": found.pearson_r, "spearman_r": found.spearman_r}
        rows.per_person.append({"sample_id": sample} | source.labels() | numbers)
        if found.spearman_r is not None:
            spearman.append(found.spearman_r)
    rows.add_summary(source, summarise_within_people(np.array(spearman)))


def _dropped(opened: Opened, runs: Sequence[ModelRun]) -> pl.DataFrame:
    """Everything that was left out, by the join or by any unit: ``kind, reason, count, names``."""
    tables = [dropped_table(opened.dropped)]
    for run in runs:
        units = [(unit.name, unit.key) for unit in run.units(opened)]
        tables.append(run.store(opened).read(units, "dropped"))
    for baseline in baseline_runs(opened):
        units = [(unit.name, unit.key) for unit in baseline_units(opened, baseline)]
        tables.append(opened.folder.baseline(baseline.folder).read(units, "dropped"))
    for imported in imported_runs(opened):
        units = [(unit.name, unit.key) for unit in imported_units(opened, imported)]
        tables.append(imported_store(opened, imported).read(units, "dropped"))
    if opened.config.eqtl.run:
        mapped = [(unit.name, unit.key) for unit in eqtl_units(opened)]
        tables += [
            opened.folder.eqtl().read([unit], "dropped")
            for unit in mapped
            if opened.folder.eqtl().done(*unit)
        ]
    return by_reason([*tables, *_dropped_by_explain(opened, runs)])


def _dropped_by_explain(opened: Opened, runs: Sequence[ModelRun]) -> Iterator[pl.DataFrame]:
    """Of units that are done: variants are explained after the evaluation, or not at all."""
    for run in runs:
        store = explain_store(opened, run)
        for unit in explain_units(opened, run) if store.folder.exists() else ():
            if store.done(unit.name, unit.key):
                yield store.read([(unit.name, unit.key)], "dropped")
