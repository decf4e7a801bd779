"""The stage that compares predictions with expression and writes the tables of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.correlation import correlate
from hapsight.evaluate.nulls import benjamini_hochberg, null_test, random_weights_null
from hapsight.evaluate.summary import (
    Quantity,
    summarise_across_genes,
    summarise_across_people,
    summarise_within_people,
)
from hapsight.workflow.baseline import METHOD, baseline_units, gene_seed
from hapsight.workflow.comparisons import (
    Compared,
    Source,
    baseline_comparisons,
    baseline_source,
    expression,
    model_comparisons,
    model_source,
)
from hapsight.workflow.opened import Opened, Progress, dropped_table
from hapsight.workflow.predict import ModelRun

__all__ = ["evaluate"]

Float = NDArray[np.float64]

_LABELS: Final = {"model": pl.String, "read_out": pl.String, "protocol": pl.String}

PER_GENE: Final = {
    "gene_id": pl.String,
    "gene_name": pl.String,
    "contig": pl.String,
    "tss": pl.Int64,
    "strand": pl.String,
    **_LABELS,
    "observed": pl.String,
    "n": pl.Int64,
    "status": pl.String,
    "pearson_r": pl.Float64,
    "spearman_r": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "pval_nominal": pl.Float64,
    "pval_empirical": pl.Float64,
    "qval": pl.Float64,
    "null_draws": pl.Int64,
    "null_mean": pl.Float64,
    "null_sd": pl.Float64,
    "z": pl.Float64,
    "n_variants": pl.Int64,
    "n_distinct": pl.Int64,
    "prediction_sd": pl.Float64,
}
PER_PERSON: Final = {
    "sample_id": pl.String,
    **_LABELS,
    "n": pl.Int64,
    "pearson_r": pl.Float64,
    "spearman_r": pl.Float64,
}
ACROSS_GENES: Final = {
    "gene_id": pl.String,
    "gene_name": pl.String,
    **_LABELS,
    "predicted_reference": pl.Float64,
    "mean_expression": pl.Float64,
}
SUMMARY: Final = {
    **_LABELS,
    "quantity": pl.String,
    "value": pl.Float64,
    "n": pl.Int64,
    "unit": pl.String,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}
"""Columns of the tables; their meaning is in ``docs/formats.md``."""

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
        rows = _Rows()
        for run in runs:
            for index in run.read_out.tracks:
                _add_model(opened, run, run.model.tracks[index].name, rows, progress)
        if opened.config.baseline.run:
            source = baseline_source(opened)
            compared = _counted(baseline_comparisons(opened), source, opened, progress)
            _add_per_gene(opened, source, compared, rows)
        for name, table in rows.tables().items():
            opened.folder.write(f"evaluation/{name}.parquet", table)
        opened.folder.write("dropped.parquet", _dropped(opened, runs))


def _add_model(opened: Opened, run: ModelRun, track: str, rows: _Rows, progress: Progress) -> None:
    source = model_source(opened, run, track)
    predicted, reference = [], []

    def kept() -> Iterator[Compared]:
        for compared in _counted(model_comparisons(opened, run, track), source, opened, progress):
            predicted.append(compared.predicted)
            reference.append(compared.reference)
            yield compared

    _add_per_gene(opened, source, kept(), rows)
    observed = expression(opened)
    _add_across_genes(opened, source, np.array(reference, np.float64), observed.mean(axis=1), rows)
    _add_within_people(opened, source, np.array(predicted), observed, rows)


def _counted(
    compared: Iterator[Compared], source: Source, opened: Opened, progress: Progress
) -> Iterator[Compared]:
    for done, one in enumerate(compared, start=1):
        yield one
        progress(f"evaluate {source.model}", done, len(opened.cohort.genes))


def _add_per_gene(opened: Opened, source: Source, compared: Iterable[Compared], rows: _Rows) -> None:
    """One row per gene, q-values over those that are ``ok``, and their summary."""
    config = opened.config
    table = pl.DataFrame(
        [_gene_row(source, one, config.evaluate.null_draws, config.seed) for one in compared], schema=PER_GENE
    )
    ok = table["status"].to_numpy() == "ok"
    qval = np.full(len(table), np.nan)
    qval[ok] = benjamini_hochberg(table["pval_empirical"].to_numpy()[ok])
    table = table.with_columns(pl.Series("qval", qval).fill_nan(None))
    rows.per_gene.append(table)
    pearson, spearman = (table[name].to_numpy()[ok] for name in ("pearson_r", "spearman_r"))
    rows.add_summary(source, summarise_across_people(table["status"].to_list(), pearson, spearman, qval[ok]))


def _gene_row(source: Source, one: Compared, draws: int, seed: int) -> Row:
    """A row of ``per_gene``, its q-value still missing."""
    gene, labels = one.gene, {**source.labels(), "observed": source.observed}
    row: Row = {
        "gene_id": gene.gene_id,
        "gene_name": gene.gene_name,
        "contig": gene.contig,
        "tss": gene.tss,
        "strand": gene.strand.value if gene.strand else None,
        **labels,
        "n_variants": len(one.dosage),
        "n_distinct": one.n_distinct,
        "prediction_sd": float(np.std(one.predicted, ddof=1)),
    }
    if one.status is not None:
        return {**dict.fromkeys(PER_GENE), **row, "n": len(one.observed), "status": one.status}
    found = correlate(one.predicted, one.observed)
    row |= asdict(found)
    if found.pearson_r is None:
        status = (
            "no_variants" if not len(one.dosage) and found.status == "constant_prediction" else found.status
        )
        return {**dict.fromkeys(PER_GENE), **row, "status": status}
    rng = np.random.default_rng(gene_seed(seed, gene.gene_id))
    null = random_weights_null(one.dosage, one.observed, draws, rng)
    return {**row, **asdict(null_test(found.pearson_r, null)), "qval": None}


def _add_across_genes(opened: Opened, source: Source, reference: Float, mean: Float, rows: _Rows) -> None:
    for gene, value, expressed in zip(opened.cohort.genes, reference, mean, strict=True):
        names = {"gene_id": gene.gene_id, "gene_name": gene.gene_name}
        rows.across_genes.append(
            names | source.labels() | {"predicted_reference": value, "mean_expression": expressed}
        )
    rows.add_summary(source, summarise_across_genes(reference, mean))


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
        units = [(name, key) for name, key, _ in run.units(opened)]
        tables.append(opened.folder.predictions(run.label, run.read_out.name).read(units, "dropped"))
    if opened.config.baseline.run:
        units = [(unit.name, unit.key) for unit in baseline_units(opened)]
        tables.append(opened.folder.baseline(METHOD).read(units, "dropped"))
    return (
        pl.concat(tables)
        .unique(maintain_order=True)
        .group_by("kind", "reason", maintain_order=True)
        .agg(count=pl.len(), names=pl.col("name"))
        .sort("kind", "reason")
    )
