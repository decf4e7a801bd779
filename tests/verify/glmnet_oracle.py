"""Ask R glmnet; ``python -m tests.verify.glmnet_oracle <folder of real data>`` writes its golden answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hapsight.least_squares import residualise
from hapsight.linear.fits import make_folds
from tests.linear.cohort import real_genes, simulated_gene

SCRIPT = Path(__file__).with_name("glmnet_nested.R")
GOLDEN = Path(__file__).parents[1] / "baseline" / "data"
THRESH = 1e-10
"""Far below the default, so that both answers are near the exact one."""
KEPT = slice(0, None, 9)


@dataclass(frozen=True)
class Answer:
    """What glmnet says of one outer fold; `error` and ``predicted[0]`` are at common lambdas."""

    lambdas: np.ndarray
    coefficients: np.ndarray  # (L, 1 + V)
    error: np.ndarray
    default_error: np.ndarray
    chosen: np.ndarray
    predicted: np.ndarray  # (2, N)
    seconds: float


def missing() -> str:
    """Why glmnet cannot be asked, or nothing."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    test = subprocess.run(["Rscript", "-e", "library(glmnet)"], capture_output=True, check=False)
    return "" if test.returncode == 0 else "the R package glmnet is not installed"


def ask(
    dosage: np.ndarray,
    outcome: np.ndarray,
    inner: np.ndarray,
    alpha: float = 0.5,
    thresh: float = 1e-7,
    factors: np.ndarray | None = None,
) -> list[Answer]:
    """Fit each outer fold: `outcome` (K, N), `inner` (K, N), -1 for the people held out; `factors` (V,)."""
    n_variants, n = dosage.shape
    factors = np.ones(n_variants) if factors is None else factors
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shape.txt").write_text(f"{n} {n_variants} {len(outcome)} {alpha} {thresh}")
        dosage.astype(np.int8).tofile(folder / "dosage.bin")
        outcome.astype(np.float64).tofile(folder / "outcome.bin")
        factors.astype(np.float64).tofile(folder / "factors.bin")
        (inner + 1).astype(np.int32).tofile(folder / "inner.bin")
        subprocess.run(["Rscript", str(SCRIPT), name], check=True, capture_output=True, text=True)
        return [_read(folder, k, n) for k in range(len(outcome))]


def _read(folder: Path, k: int, n: int) -> Answer:
    def get(name: str) -> np.ndarray:
        return np.fromfile(folder / f"{k}.{name}.bin")

    lambdas = get("lambda")
    return Answer(
        lambdas,
        get("coefficients").reshape(len(lambdas), -1),
        get("error"),
        get("default"),
        get("chosen"),
        get("predicted").reshape(2, n),
        float(get("seconds")[0]),
    )


def factored_gene() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A simulated gene and penalty factors from 0.1 to 10; its copies of variants differ in theirs."""
    dosage, outcome, fold = simulated_gene(n_variants=150, n=90, seed=2)
    return dosage, outcome, fold, 10.0 ** np.random.default_rng(2).uniform(-1, 1, len(dosage))


def write_golden(
    name: str, dosage: np.ndarray, outcome: np.ndarray, fold: np.ndarray, factors: np.ndarray | None = None
) -> None:
    """Store a task and glmnet's answer, converged far beyond its default threshold."""
    answer = ask(dosage, outcome[None], fold[None], thresh=THRESH, factors=factors)[0]
    np.savez_compressed(
        GOLDEN / f"glmnet_{name}.npz",
        dosage=dosage.astype(np.uint8),
        outcome=outcome,
        fold=fold,
        lambdas=answer.lambdas,
        coefficients=answer.coefficients[KEPT],
        error=answer.error,
        default_error=answer.default_error,
        chosen=answer.chosen,
        predicted=answer.predicted,
        **({} if factors is None else {"factors": factors}),
    )


def main(data: Path) -> None:
    """Make the golden files; the real one: every second person, the 250 variants nearest to a TSS."""
    write_golden("simulated", *simulated_gene(n_variants=150, n=90, seed=1))
    write_golden("factors", *factored_gene())
    gene = list(real_genes(data / "geuvadis_chr22", 5))[2]
    near = np.sort(np.argsort(gene.distance)[:250])
    people = slice(0, None, 2)
    outcome, _ = residualise(gene.expression, gene.covariates, gene.expression, gene.covariates)
    fold = make_folds(len(outcome[people]), 10, np.random.default_rng(1))
    write_golden("chr22", gene.dosage[near][:, people], outcome[people], fold)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
