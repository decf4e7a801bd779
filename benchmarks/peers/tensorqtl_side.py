"""tensorQTL's side: a script as its users write it, from dosages that are ready.

``tensorqtl_side.py COHORT.npz FOLDER PERMUTATIONS SEED`` maps nominal and top variants and independent
signals, and writes processor seconds by part.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import false_discovery_control
from tensorqtl import cis

SECONDS = {"imports": time.process_time()}


def timed(part: str, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What the work returns; its seconds are kept."""
    started = time.process_time()
    found = work(*arguments, **options)
    SECONDS[part] = time.process_time() - started
    return found


def read(cohort: Path) -> tuple[pd.DataFrame, ...]:
    """Dosages, sites, expression, TSSs and covariates as tensorQTL wants them."""
    data = np.load(cohort)
    people, genes, variants = (data[name].tolist() for name in ("people", "genes", "variants"))
    return (
        pd.DataFrame(data["dosage"], index=variants, columns=people),
        pd.DataFrame({"chrom": str(data["contig"]), "pos": data["position"] + 1}, index=variants),
        pd.DataFrame(data["expression"], index=genes, columns=people),
        pd.DataFrame({"chr": str(data["contig"]), "pos": data["tss"] + 1}, index=genes),
        pd.DataFrame(data["covariates"], index=people),
    )


def main(cohort: Path, folder: Path, permutations: int, seed: int) -> None:
    torch.set_num_threads(1)
    genotypes, sites, expression, starts, covariates = timed("reading", read, cohort)
    inputs, quiet = (genotypes, sites, expression, starts), {"verbose": False}
    drawn = {"nperm": permutations, "seed": seed, **quiet}
    timed("nominal", cis.map_nominal, *inputs, "tensorqtl", covariates, output_dir=str(folder), **quiet)
    found = timed("permutations", cis.map_cis, *inputs, covariates, **drawn)
    found["qval"] = false_discovery_control(found["pval_beta"].to_numpy(float), method="bh")
    kept = timed(
        "independent signals",
        cis.map_independent,
        genotypes,
        sites,
        found,
        expression,
        starts,
        covariates,
        **drawn,
    )
    found.to_parquet(folder / "cis.parquet")
    kept.to_parquet(folder / "independent.parquet")
    (folder / "parts.json").write_text(json.dumps({"version": version("tensorqtl"), "seconds": SECONDS}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
