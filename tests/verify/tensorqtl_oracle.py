"""What tensorQTL makes of a cohort; runs in an environment of its own.

``tensorqtl_oracle.py <cohort.npz> <folder> <permutations> <seed>`` reads dosages, positions, expression,
residual expression, covariates and TSSs, and writes into the folder: ``nominal.parquet``, ``cis.parquet``
(expression as given), ``residual.parquet`` (the same of the residuals), ``independent.parquet``,
``permutations.npy`` and ``seconds.json``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import false_discovery_control
from tensorqtl import cis

QUIET = {"verbose": False}


def main(cohort: Path, folder: Path, permutations: int, seed: int) -> None:
    torch.set_num_threads(1)
    data = np.load(cohort)
    people = [f"P{i:03d}" for i in range(data["dosage"].shape[1])]
    variants = [f"v{i}" for i in range(len(data["dosage"]))]
    genes = [f"g{i:03d}" for i in range(len(data["tss"]))]
    genotypes = pd.DataFrame(data["dosage"], index=variants, columns=people)
    sites = pd.DataFrame({"chrom": "chr22", "pos": data["position"] + 1}, index=variants)
    starts = pd.DataFrame({"chr": "chr22", "pos": data["tss"] + 1}, index=genes)
    covariates = pd.DataFrame(data["covariates"], index=people)
    given, residual = (
        pd.DataFrame(data[name], index=genes, columns=people) for name in ("expression", "residual")
    )
    drawn = {"nperm": permutations, "seed": seed}
    seconds = {}

    def timed(name: str, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        found = work(*arguments, **options, **QUIET)
        seconds[name] = (time.perf_counter() - started) / len(genes)
        return found

    inputs = (genotypes, sites, given, starts)
    timed("nominal", cis.map_nominal, *inputs, "tensorqtl", covariates, output_dir=str(folder))
    found = timed("permutations", cis.map_cis, *inputs, covariates, **drawn)
    again = cis.map_cis(genotypes, sites, residual, starts, covariates, **drawn, **QUIET)
    again["qval"] = false_discovery_control(again["pval_beta"].to_numpy(float), method="bh")
    kept = timed(
        "independent", cis.map_independent, genotypes, sites, again, residual, starts, covariates, **drawn
    )
    (folder / "tensorqtl.cis_qtl_pairs.chr22.parquet").rename(folder / "nominal.parquet")
    for name, table in (("cis", found), ("residual", again), ("independent", kept)):
        table.to_parquet(folder / f"{name}.parquet")
    np.random.seed(seed)  # noqa: NPY002  (as tensorQTL draws them)
    orders = [np.random.permutation(len(people)) for _ in range(permutations)]  # noqa: NPY002
    np.save(folder / "permutations.npy", np.array(orders))
    (folder / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
