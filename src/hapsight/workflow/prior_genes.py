"""Priors on genes, across genes: beside a model's prediction, or as an input of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.cohort.regulons import read_gene_covariates
from hapsight.errors import ConfigError, IncompleteError, InputError
from hapsight.priors.across_genes import ablation_across_genes, gene_covariate_ablation
from hapsight.streams import stream
from hapsight.workflow.opened import Opened

__all__ = ["gene_ablation"]

Row = dict[str, Any]
Values = Mapping[str, NDArray[np.float64]]

_HALF_LIFE_FEATURES = 6


def gene_ablation(opened: Opened, dropped: Dropped) -> Iterator[Row]:
    """Rows of the ablation: each table of covariates beside each model, and half-lives into each Xpresso.

    Genes that a table has not are left out of its rows, and named.

    Raises
    ------
    IncompleteError
        ``evaluate`` has not been run.
    ConfigError
        There are half-life features, and no Xpresso to take them.
    InputError
        A table cannot be read.
    """
    config = opened.config.priors
    if not (config.gene_covariates or config.half_life):
        return
    opened.require_current("evaluate")
    path = opened.folder.path / "evaluation" / "across_genes.parquet"
    if not path.exists():
        raise IncompleteError(
            "No prediction across genes to set priors on genes beside.",
            where=path,
            fix="run `hapsight predict` and `hapsight evaluate` first",
        )
    table = pl.read_parquet(path)
    for given in config.gene_covariates:
        known = _known(opened, given.path, given.label, dropped)
        for number, own in enumerate(table.partition_by("model", "read_out", maintain_order=True)):
            rng = stream(opened.config.seed, "priors of genes", number)
            yield {"prior": given.label} | _beside(opened, own, known, rng)
    if config.half_life is not None:
        known = _known(opened, config.half_life, "half-life", dropped)
        yield from _into_xpresso(opened, table, known, config.half_life)


def _known(opened: Opened, path: Path, label: str, dropped: Dropped) -> Values:
    """gene_id -> (F,) values of the genes that the table has."""
    genes = opened.cohort.genes
    _, values = read_gene_covariates(path, genes)
    known = {g.gene_id: row for g, row in zip(genes, values, strict=True) if np.isfinite(row).all()}
    for gene in genes:
        if gene.gene_id not in known:
            dropped.add("gene", f"not in {label}", gene.gene_id)
    return known


def _beside(opened: Opened, table: pl.DataFrame, known: Values, rng: np.random.Generator) -> Row:
    """One model: least squares on its prediction, with and without the covariates."""
    table = table.filter(pl.col("gene_id").is_in(list(known)))
    genes = _genes(opened, table)
    found = gene_covariate_ablation(
        table["predicted_reference"].to_numpy(),
        np.array([known[gene.gene_id] for gene in genes]),
        table["mean_expression"].to_numpy(),
        [gene.contig for gene in genes],
        np.array([gene.tss for gene in genes]),
        opened.config.priors.shuffles,
        rng,
    )
    beside = f"{table['model'][0]}, {table['read_out'][0]}"
    labels = {"level": "gene", "enters": "across genes", "beside": beside, "quantity": "pearson_r"}
    return labels | found.columns()


def _genes(opened: Opened, table: pl.DataFrame) -> list[Gene]:
    by_id = {gene.gene_id: gene for gene in opened.cohort.genes}
    return [by_id[name] for name in table["gene_id"]]


def _into_xpresso(opened: Opened, table: pl.DataFrame, known: Values, path: Path) -> Iterator[Row]:
    """Every Xpresso of the run with zeros, with each gene's own features, and with another gene's."""
    from hapsight.models.xpresso import Xpresso
    from hapsight.priors.half_life import half_life_predictions
    from hapsight.workflow.predict import ModelRun, load_models

    _require_features(known, path)
    runs = [(run.label, run.model) for run in load_models(opened) if isinstance(run, ModelRun)]
    models = [(label, model) for label, model in runs if isinstance(model, Xpresso)]
    if not models:
        raise ConfigError(
            "Half-life features need a model that takes them.",
            where="half_life under [priors]",
            expected="an xpresso under [[models]]",
            got=", ".join(label for label, _ in runs) or "no model",
        )
    for number, (label, model) in enumerate(models):
        own = table.filter(pl.col("gene_id").is_in(list(known)), pl.col("model") == label)
        genes, rng = _genes(opened, own), stream(opened.config.seed, "half-lives", number)
        features = np.array([known[gene.gene_id] for gene in genes])
        dealt = [features[rng.permutation(len(features))] for _ in range(opened.config.priors.shuffles)]
        sets = np.stack([np.zeros_like(features), features, *dealt], axis=1)
        predicted = half_life_predictions(model, genes, sets, opened.cohort.reference.fetch).T
        expression = own["mean_expression"].to_numpy()
        found = ablation_across_genes(predicted[0], predicted[1], predicted[2:], expression, rng)
        labels = {"prior": "half-life", "level": "gene", "enters": "input of the model"}
        yield labels | {"beside": label, "quantity": "pearson_r"} | found.columns()


def _require_features(known: Values, path: Path) -> None:
    found = len(next(iter(known.values())))
    if found != _HALF_LIFE_FEATURES:
        raise InputError(
            "Xpresso takes six half-life features.",
            where=path,
            expected=f"gene_id and {_HALF_LIFE_FEATURES} columns",
            got=f"{found} columns",
        )
