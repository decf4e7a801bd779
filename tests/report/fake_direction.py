"""Tables of the direction stage for a made-up run, from the per-gene table that it has."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from hapsight.engine.cost import Cost
from hapsight.models.protocol import ModelWindow, ReadOut
from hapsight.run.arms import Arm
from hapsight.run.models import ModelCard, ModelSource
from hapsight.run.store import UnitStore
from hapsight.stages.direction import agreement_table
from hapsight.stats.agreement import prediction_r
from hapsight.stats.direction_factors import direction_tables
from hapsight.tables import DIRECTION_GENES


def write_direction(folder: Path, seed: int = 5) -> Path:
    """Add the tables of the direction stage to a run that `write_run` wrote."""
    per_gene = pl.read_parquet(folder / "evaluation/per_gene.parquet")
    genes = _genes(per_gene, np.random.default_rng(seed))
    tables = direction_tables(genes) | {"direction_genes": genes, "agreement": _agreement(per_gene)}
    for name, table in tables.items():
        table.write_parquet(folder / f"evaluation/{name}.parquet")
    return folder


def _genes(per_gene: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    n = per_gene["gene_id"].n_unique()
    af, position = rng.uniform(0.05, 0.5, n), rng.integers(-400_000, 400_000, n)
    eqtls = pl.DataFrame(
        {
            "gene_id": per_gene["gene_id"].unique(maintain_order=True),
            "variant_id": [f"22_{i}" for i in range(n)],
            "position": 17_000_000 + position,
            "slope": rng.normal(0, 0.05, n),
            "pval_nominal": np.where(np.arange(n) == 1, 0.0, 10.0 ** -rng.exponential(6, n)),
            "eqtl_qval": rng.uniform(0, 0.1, n),
            "distance": np.abs(position),
            "maf": af,
            "dosage_sd": np.sqrt(2 * af * (1 - af)),
            "n_ld80": rng.integers(0, 40, n),
            "n_signals": rng.integers(0, 4, n),
            "h2": np.where(np.arange(n) % 9 == 2, np.nan, rng.uniform(0, 0.6, n)),
            "mean_expression": rng.normal(0, 1, n),
            "sd_expression": 0.3,
        },
    )
    slope = pl.Series("model_slope", rng.normal(0, 1e-3, per_gene.height))
    table = (
        per_gene.drop("pval_nominal")
        .join(eqtls, on="gene_id", how="left", maintain_order="left")
        .with_columns(
            slope,
            model_slope_sd=slope * 100,
            model_qval="qval",
            in_window=pl.col("distance") < 5_000,
            predicted_reference=pl.col("mean_expression") * 0.4,
            sign_right=pl.col("pearson_r") > 0,
            variant_sign_agrees=slope * pl.col("slope") > 0,
        )
    )
    empty = pl.DataFrame(schema=DIRECTION_GENES)
    return pl.concat(
        [empty, table.select(c for c in table.columns if c in DIRECTION_GENES)], how="diagonal_relaxed"
    )


def _agreement(per_gene: pl.DataFrame) -> pl.DataFrame:
    predictions, rows = {}, {}
    for (model, read_out, protocol), own in per_gene.group_by(
        "model", "read_out", "protocol", maintain_order=True
    ):
        arm = _arm(str(model), str(read_out), str(protocol))
        rng = np.random.default_rng(len(predictions))
        predictions[arm] = rng.standard_normal((own.height, 30)).astype(np.float32)
        rows[arm] = own
    alike = {
        (one, other): prediction_r(predictions[one], predictions[other])
        for one, other in combinations(predictions, 2)
    }
    return agreement_table(alike, rows)


def _arm(model: str, read_out: str, protocol: str) -> Arm:
    """A model, known by its name, or a baseline; nobody asks for its units."""
    source = ModelSource(model, None, "{}", "cpu", "float32", False)
    read, cost, window = ReadOut(read_out), Cost(1, 1.0), ModelWindow(1, 1, oriented=True)
    card = ModelCard(model, model, read, (), window, (0, 2), cost, cost, model, "cpu", source, {})
    made_by = None if model == "elastic_net" else card
    store, compare = UnitStore(Path()), lambda *_: iter(())
    return Arm(model, read_out, protocol, "", made_by, store, (), lambda gene: gene.cis(1), compare)
