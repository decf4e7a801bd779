"""A sum over elements as it is, beside the same with weights learned on other people and other genes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped
from hapsight.engine.views import Sequences, window_of
from hapsight.errors import ConfigError
from hapsight.explain.reliability import stretches
from hapsight.run.blocks import VariantReader, blocks_of_size
from hapsight.run.opened import Opened, Progress
from hapsight.seeds import stream
from hapsight.stages.informed_units import plain_run
from hapsight.stages.predict import ModelRun
from hapsight.stages.validation import Validated, estimate_row, track_labels
from hapsight.stats.correlation import correlate
from hapsight.stats.direction import share_true
from hapsight.stats.nulls import benjamini_hochberg
from hapsight.stats.ranks import Estimate, grouped_mean
from hapsight.stats.summary import SIGNIFICANT, fold_p, mean_interval

if TYPE_CHECKING:
    from hapsight.engine.elements import PersonalElements

__all__ = ["ABC_GENES", "validate_abc"]

ABC_GENES: Final = {
    "gene_id": pl.String,
    "model": pl.String,
    "read_out": pl.String,
    "track": pl.String,
    "elements": pl.Int64,
    "n": pl.Int64,
    "stretch": pl.Int64,
    "varies": pl.Boolean,
    "untrained_r": pl.Float64,
    "trained_r": pl.Float64,
    "untrained_pval_folds": pl.Float64,
    "trained_pval_folds": pl.Float64,
}
"""``abc.parquet``: one row per model and gene; R is 0 where the prediction does not vary."""

_TOGETHER: Final = 250
"""Genes whose elements are read together."""
_STRETCHES: Final = 20

Float = NDArray[np.float64]


def validate_abc(opened: Opened, runs: Sequence[ModelRun], progress: Progress) -> Validated:
    """Learn the weights and judge them; folds of people are those of the baseline, genes go by stretches.

    Raises
    ------
    ConfigError
        A model is no sum over elements, or has several tracks.
    """
    parts, rows, record = list[pl.DataFrame](), list[dict[str, Any]](), list[dict[str, Any]]()
    for run in runs:
        (labels, *more) = track_labels(run)
        if more or not run.read_out.name.startswith(("elements", "abc")):
            raise ConfigError(
                "Weights of elements are learned of a sum over elements.",
                where=f"model {run.label}",
                expected="a read-out `abc` or `elements`, of one track",
                got=f"{run.read_out.name}, {1 + len(more)} tracks",
                fix="give the option `elements` and read_out = 'abc'",
            )
        table, weights = _judged(opened, run, labels, progress)
        parts.append(table)
        record += weights
        rows += list(_summary(labels, table, opened))
    return Validated.of(pl.concat(parts), rows, Dropped(), {"weights": record})


def _elements(opened: Opened, run: ModelRun, progress: Progress) -> list[PersonalElements]:
    from hapsight.engine.elements import personal_elements
    from hapsight.models.elements import ElementSum

    assert isinstance(run.model, ElementSum)
    cohort, found, size = opened.cohort, list[Any](), opened.config.predict.batch_size
    for _, genes in blocks_of_size(cohort.genes, _TOGETHER):
        progress("elements of people", len(found), len(cohort.genes))
        windows = [window_of(gene, run.model.window).interval for gene in genes]
        reader = VariantReader(cohort.genotypes, cohort.reference, windows)
        sequences = Sequences(run.model, run.read_out, reader, cohort.reference.fetch)
        found += personal_elements(sequences, run.model, genes, batch_size=size, device=run.device)
    return found


def _judged(
    opened: Opened, run: ModelRun, labels: dict[str, str], progress: Progress
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    from hapsight.models.elements import ElementSum
    from hapsight.train.element_weights import ElementData, LearnedWeights, personal_values, unseen_values

    assert isinstance(run.model, ElementSum)
    cohort, found = opened.cohort, _elements(opened, run, progress)
    data, genes = ElementData.of(run.model, found, run.read_out.name), list(cohort.genes)
    contig, tss = [gene.contig for gene in genes], np.array([gene.tss for gene in genes], np.int64)
    folds = plain_run(opened, "random").folds(opened)
    expression = cohort.transformed[cohort.rows(genes)]
    covariates = None if cohort.covariates is None else cohort.covariates.values
    trained, observed, weights = unseen_values(data, expression, covariates, contig, tss, folds)
    untrained = personal_values(data, LearnedWeights.untrained())
    rows = []
    for g, gene in enumerate(genes):
        varies = bool(data.varies[g])
        row: dict[str, Any] = {"gene_id": gene.gene_id, **labels, "varies": varies, "n": len(folds)}
        row["elements"] = len(found[g].distances)
        for name, values in (("untrained", untrained[g]), ("trained", trained[g])):
            row |= _held_out(name, values, observed[g], folds, varies)
        rows.append(row)
    table = pl.DataFrame(rows, schema=ABC_GENES).with_columns(
        pl.Series("stretch", stretches(contig, tss, _STRETCHES), pl.Int64)
    )
    return table, [
        {
            "model": run.label,
            "stretch": number // (int(folds.max()) + 1),
            "fold": number % (int(folds.max()) + 1),
            "weights": np.exp(one.log_weights).round(4).tolist(),
            "exponent": round(one.exponent, 4),
            "scale": round(one.scale, 4),
        }
        for number, one in enumerate(weights)
    ]


def _held_out(
    name: str, predicted: Float, observed: Float, folds: NDArray[np.int64], varies: bool
) -> dict[str, Any]:
    r = correlate(predicted, observed).pearson_r if varies else None
    p = fold_p(predicted, observed, folds) if varies else None
    return {f"{name}_r": 0.0 if r is None else r, f"{name}_pval_folds": p}


def _summary(labels: dict[str, str], table: pl.DataFrame, opened: Opened) -> Iterator[dict[str, Any]]:
    """Mean R of all genes and of those that vary, signs of significant genes, and the difference."""
    rng = stream(opened.config.seed, "abc")
    for stratum, genes in (("all", table), ("varies", table.filter(pl.col("varies")))):
        r = {name: genes[f"{name}_r"].to_numpy() for name in ("untrained", "trained")}
        r["trained less untrained"] = r["trained"] - r["untrained"]
        for name, values in r.items():
            mean = mean_interval(values)
            yield estimate_row(labels, "unseen genes", name, "mean_r", Estimate.of(mean), stratum)
            drawn = grouped_mean(values, genes["stretch"].to_numpy(), rng)
            yield estimate_row(labels, "unseen genes", name, "mean_r.stretches", drawn, stratum)
    for name in ("untrained", "trained"):
        yield estimate_row(labels, "unseen genes", name, "sign_right", _signs(table, name), "significant")


def _signs(table: pl.DataFrame, name: str) -> Estimate:
    """Share of R above 0 among genes whose folds, with their signs, are significant."""
    tested = table.filter(pl.col(f"{name}_pval_folds").is_not_null())
    if tested.is_empty():
        return Estimate(0)
    q = benjamini_hochberg(tested[f"{name}_pval_folds"].to_numpy())
    return Estimate.of(share_true(tested[f"{name}_r"].to_numpy()[q < SIGNIFICANT] > 0))
