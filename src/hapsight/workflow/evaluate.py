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
from hapsight.predict.store import UnitStore
from hapsight.tables import ACROSS_GENES, PER_GENE, PER_PERSON, SUMMARY
from hapsight.workflow.arms import Arm, Comparison, cards_in
from hapsight.workflow.baseline_table import baseline_entries, baseline_table
from hapsight.workflow.blocks import KeyedBlock
from hapsight.workflow.dropped import by_reason
from hapsight.workflow.eqtl import eqtl_blocks
from hapsight.workflow.explain import explain_blocks, explain_store
from hapsight.workflow.opened import Opened, Progress, dropped_table
from hapsight.workflow.per_gene import Chance, gene_row, with_qvalues

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

    def add_summary(self, arm: Arm, quantities: Iterable[Quantity]) -> None:
        self.summary.extend(arm.labels() | asdict(quantity) for quantity in quantities)

    def tables(self) -> dict[str, pl.DataFrame]:
        return {
            "per_gene": pl.concat([pl.DataFrame(schema=PER_GENE), *self.per_gene]),
            "per_person": pl.DataFrame(self.per_person, schema=PER_PERSON),
            "across_genes": pl.DataFrame(self.across_genes, schema=ACROSS_GENES),
            "summary": pl.DataFrame(self.summary, schema=SUMMARY),
        }


def evaluate(opened: Opened, arms: Sequence[Arm], progress: Progress) -> None:
    """Write ``evaluation/*.parquet`` and ``dropped.parquet`` from the finished units of the other stages.

    Raises
    ------
    IncompleteError
        Some units are not done.
    """
    with opened.folder.stage("evaluate"):
        rows, chance = _Rows(), Chance.of(opened)
        models = [card.entry(opened, own[0].units) for card, own in cards_in(arms).items()]
        opened.folder.record_models(models)
        for arm in arms:
            _add(opened, arm, chance, rows, progress)
        tables = rows.tables()
        linear = [arm for arm in arms if arm.card is None]
        tables["baselines"] = baseline_table(opened, linear, tables["per_gene"])
        opened.folder.record_baselines(baseline_entries(linear))
        for name, table in tables.items():
            opened.folder.write(f"evaluation/{name}.parquet", table)
        opened.mark_current("evaluate")
        opened.folder.write("dropped.parquet", _dropped(opened, arms))


def _add(opened: Opened, arm: Arm, chance: Chance, rows: _Rows, progress: Progress) -> None:
    """The arm's rows of all tables; only models of levels predict across genes and within people."""
    predicted, reference = [], []

    def kept() -> Iterator[Comparison]:
        for done, one in enumerate(arm.comparisons(opened.cohort.genes), start=1):
            predicted.append(one.predicted)
            reference.append(one.reference)
            yield one
            progress(f"evaluate {arm.model}", done, len(opened.cohort.genes))

    _add_per_gene(opened, arm, kept(), chance, rows)
    if arm.card is not None and arm.card.levels:
        observed = opened.cohort.transformed
        _add_across_genes(opened, arm, np.array(reference, np.float64), observed, rows)
        _add_within_people(opened, arm, np.array(predicted), observed, rows)


def _add_per_gene(
    opened: Opened, arm: Arm, compared: Iterable[Comparison], chance: Chance, rows: _Rows
) -> None:
    """One row per gene, q-values over those that are ``ok``, and their summary."""
    test = protocol_named(opened.config.protocol).test_of(arm.held_out)
    found = pl.DataFrame([gene_row(arm, one, chance) for one in compared], schema=PER_GENE)
    table = with_qvalues(found, test)
    rows.per_gene.append(table)
    ok = table.filter(pl.col("status") == "ok")
    pearson, spearman = (ok[name].to_numpy() for name in ("pearson_r", "spearman_r"))
    tests = [name for name in TESTS if arm.held_out or name != "folds"]
    qval = {name: ok[f"qval_{name}"].to_numpy() for name in tests}
    status = table["status"].to_list()
    rows.add_summary(arm, summarise_across_people(status, pearson, spearman, qval, test))


def _add_across_genes(opened: Opened, arm: Arm, reference: Float, observed: Float, rows: _Rows) -> None:
    for gene, value, expressed in zip(opened.cohort.genes, reference, observed, strict=True):
        names = {"gene_id": gene.gene_id, "gene_name": gene.gene_name}
        numbers = {"mean_expression": expressed.mean(), "sd_expression": expressed.std()}
        rows.across_genes.append(names | arm.labels() | {"predicted_reference": value} | numbers)
    rows.add_summary(arm, summarise_across_genes(reference, observed.mean(axis=1)))


def _add_within_people(opened: Opened, arm: Arm, predicted: Float, observed: Float, rows: _Rows) -> None:
    """Each person's correlation over genes: (G, N) predictions and expression."""
    spearman = []
    for sample, p, o in zip(opened.cohort.samples, predicted.T, observed.T, strict=True):
        found = correlate(p, o)
        numbers = {"n": found.n, "pearson_r": found.pearson_r, "spearman_r": found.spearman_r}
        rows.per_person.append({"sample_id": sample} | arm.labels() | numbers)
        if found.spearman_r is not None:
            spearman.append(found.spearman_r)
    rows.add_summary(arm, summarise_within_people(np.array(spearman)))


def _dropped(opened: Opened, arms: Sequence[Arm]) -> pl.DataFrame:
    """Everything that was left out, by the join or by any unit: ``kind, reason, count, names``."""
    tables = [dropped_table(opened.dropped)]
    tables += [arm.read("dropped") for arm in {arm.made_by: arm for arm in arms}.values()]
    if opened.config.eqtl.run:
        tables += _left_out(opened.folder.eqtl(), eqtl_blocks(opened))
    for card in cards_in(arms):
        store = explain_store(opened, card)
        if store.folder.exists():
            tables += _left_out(store, explain_blocks(opened, card))
    return by_reason(tables)


def _left_out(store: UnitStore, units: Iterable[KeyedBlock]) -> list[pl.DataFrame]:
    """Of units that are done: they may come after the evaluation, or not at all."""
    return [store.read([unit], "dropped") for unit in units if store.done(unit.name, unit.key)]
