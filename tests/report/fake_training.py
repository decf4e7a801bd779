"""Tables of a grid of trainings on people, with made-up numbers that look like real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from hapsight.stages.personal_data import summarise
from hapsight.tables import HERITABILITY
from hapsight.train.tables import CELLS, TRAIN_PER_GENE, TRAIN_RUNS

ARMS = (
    ("untouched", "", "trained", (0.05, 0.05, 0.05, 0.05)),
    ("full", "pairwise_mse", "trained", (0.45, 0.27, 0.06, 0.05)),
    ("frozen", "pairwise_mse", "trained", (0.40, 0.28, 0.07, 0.06)),
    ("full", "mse", "trained", (0.01, 0.0, 0.0, 0.0)),
    ("full", "pairwise_mse", "random", (0.35, 0.2, 0.01, 0.01)),
)
SEEN, UNSEEN = 60, 20
PEOPLE, VALID, TEST = 200, 20, 50


def write_training(
    run: Path,
    seeds: int = 3,
    people: Sequence[int] = (PEOPLE,),
    min_maf: Sequence[float] = (0.0,),
    baselines: Sequence[str] = ("elastic_net", "blup"),
    unseen: int = UNSEEN,
) -> pl.DataFrame:
    """Write ``train/grid_*.parquet`` and return what is of each gene."""
    rng, tables, runs = np.random.default_rng(1), [], []
    for number in people:
        arms = [
            (("xpresso/GM12878", "default", mode, loss, init, "", number, floor, seed), mean)
            for mode, loss, init, mean in ARMS
            for floor in min_maf
            for seed in ((None,) if mode == "untouched" else range(1, seeds + 1))
        ]
        arms += [
            ((name, "linear in dosages", "linear", "", "", "", number, 0.01, None), (0.55, 0.25, None, None))
            for name in baselines
        ]
        for arm, means in arms:
            labels = dict(zip(list(TRAIN_PER_GENE)[2:11], arm, strict=True))
            tables += [
                _cell(rng, labels, cell, mean, unseen) for cell, mean in zip(CELLS, means, strict=True)
            ]
            sides = {"valid_people": VALID, "test_people": TEST, "seen_genes": SEEN, "unseen_genes": unseen}
            runs.append({**dict.fromkeys(TRAIN_RUNS), **labels, **sides, "guard_genes": ["ENSG9"]})
    per_gene = pl.concat(tables)
    (run / "train").mkdir(parents=True, exist_ok=True)
    per_gene.write_parquet(run / "train/grid_per_gene.parquet")
    summarise(per_gene).write_parquet(run / "train/grid_summary.parquet")
    pl.DataFrame(runs, schema=TRAIN_RUNS).write_parquet(run / "train/grid_runs.parquet")
    return per_gene


def write_heritability(run: Path) -> dict[str, float]:
    """Write ``eqtl/heritability.parquet`` of every gene but the last seen one, and return it."""
    h2 = {f"SEEN{i}": 0.04 + 0.005 * i for i in range(SEEN - 1)}
    h2 |= {f"UNSEEN{i}": 0.09 for i in range(UNSEEN)}
    (run / "eqtl").mkdir(exist_ok=True)
    rows = [{"phenotype_id": gene, "h2": value} for gene, value in h2.items()]
    pl.DataFrame(rows, schema=HERITABILITY).write_parquet(run / "eqtl/heritability.parquet")
    return h2


def _cell(
    rng: np.random.Generator, labels: dict[str, object], cell: str, mean: float | None, unseen: int
) -> pl.DataFrame:
    """R of each gene of a cell; one gene in seven has no model by elastic net."""
    seen = cell.startswith("seen genes")
    count = SEEN if seen else unseen
    names = [f"{'SEEN' if seen else 'UNSEEN'}{i}" for i in range(count)]
    of_gene = np.random.default_rng(2).normal(0 if mean is None else mean, 0.12, count)
    r = np.clip(of_gene + rng.normal(0, 0.01) + rng.normal(0, 0.04, count), -0.9, 0.9)
    n = PEOPLE if cell.endswith(" seen people") else TEST
    none = np.full(count, mean is None) | ((labels["model"] == "elastic_net") & (np.arange(count) % 7 == 0))
    p = 2 * stats.norm.sf(np.abs(np.arctanh(r)) * np.sqrt(n - 3))
    table = pl.DataFrame(
        {
            **dict.fromkeys(TRAIN_PER_GENE),
            **labels,
            "gene_id": names,
            "gene_name": names,
            "cell": cell,
            "n": n,
            "status": np.where(none, "no_model", "ok"),
            "pearson_r": r,
            "spearman_r": r,
            "pval_nominal": p,
            "qval_nominal": np.minimum(1, p * 5),
        },
        schema=TRAIN_PER_GENE,
    )
    numbers = ("pearson_r", "spearman_r", "pval_nominal", "qval_nominal")
    return table.with_columns(pl.when(pl.col("status") == "ok").then(name).alias(name) for name in numbers)
