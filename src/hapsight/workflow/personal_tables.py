"""The tables of training on people: correlations in the four cells, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.correlation import correlate
from hapsight.evaluate.nulls import benjamini_hochberg
from hapsight.evaluate.over_seeds import summarise_over_seeds
from hapsight.evaluate.summary import summarise_across_people
from hapsight.train_tables import ARM, CELLS, TRAIN_PER_GENE, TRAIN_SUMMARY
from hapsight.workflow.personal_data import PersonalData

__all__ = ["cell_rows", "summarise"]

Float = NDArray[np.float64]


def cell_rows(data: PersonalData, predicted: Mapping[str, Float], arm: Mapping[str, object]) -> pl.DataFrame:
    """R of every gene in every cell, judged by the plain p of Pearson's r; q-values within the cell.

    Parameters
    ----------
    predicted
        Gene -> (N,) of all people of the cohort; a gene that is not there has no model.
    arm
        Values of `ARM`.
    """
    names = {gene.gene_id: gene.gene_name for gene in data.opened.cohort.genes}
    row_of = {name: row for row, name in enumerate(data.targets.gene_ids)}
    tables = []
    for cell in CELLS:
        genes, people = data.cell(cell)
        rows = []
        for gene in genes:
            row = {**dict.fromkeys(TRAIN_PER_GENE), **arm, "cell": cell, "gene_id": gene}
            row |= {"gene_name": names[gene], "n": len(people), "status": "no_model"}
            if gene in predicted:
                found = correlate(predicted[gene][people], data.targets.residual[row_of[gene], people])
                row |= {name: value for name, value in asdict(found).items() if name in TRAIN_PER_GENE}
            rows.append(row)
        tables.append(_with_q(pl.DataFrame(rows, schema=TRAIN_PER_GENE)))
    return pl.concat(tables)


def _with_q(table: pl.DataFrame) -> pl.DataFrame:
    ok = (table["status"] == "ok").to_numpy()
    q = np.full(len(table), np.nan)
    q[ok] = benjamini_hochberg(table["pval_nominal"].to_numpy()[ok])
    return table.with_columns(pl.Series("qval_nominal", q).fill_nan(None))


def summarise(per_gene: pl.DataFrame) -> pl.DataFrame:
    """Mean R with its interval over genes, significant genes and their wrong signs, of every cell.

    Rows without a seed, of arms that have several, are of all their seeds together.
    """
    rows: list[dict[str, Any]] = []
    groups = per_gene.group_by(*ARM, "cell", maintain_order=True)
    for key, table in groups:
        rows += _quantities(dict(zip((*ARM, "cell"), key, strict=True)), table)
    rows += _over_seeds(per_gene)
    return pl.DataFrame(rows, schema=TRAIN_SUMMARY)


def _quantities(labels: dict[str, Any], table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    ok = table.filter(pl.col("status") == "ok")
    pearson, spearman, q = (ok[name].to_numpy() for name in ("pearson_r", "spearman_r", "qval_nominal"))
    found = summarise_across_people(table["status"].to_list(), pearson, spearman, {"nominal": q}, "nominal")
    for quantity in found:
        if not quantity.quantity.endswith(".nominal"):
            yield labels | asdict(quantity)


def _over_seeds(per_gene: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """What the seeds of an arm come to, where it has several."""
    arm = [name for name in ARM if name != "seed"]
    several = per_gene.filter(pl.col("seed").n_unique().over(*arm) > 1)
    for key, table in several.group_by(*arm, "cell", maintain_order=True):
        labels = dict(zip((*arm, "cell"), key, strict=True)) | {"seed": None}
        by_seed = (
            table.pivot("seed", index="gene_id", values=column).drop("gene_id").to_numpy()  # (G, S)
            for column in ("pearson_r", "qval_nominal")
        )
        for quantity in summarise_over_seeds(*by_seed):
            yield labels | asdict(quantity)
