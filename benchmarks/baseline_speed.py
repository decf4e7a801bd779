"""Seconds per gene of the nested elastic net, against scikit-learn's ElasticNetCV on the same folds.

Run from the root of the project: ``python -m benchmarks.baseline_speed --genes 10 --judge 1``.
Both sides run on one core; scikit-learn fits one outer fold of each judged gene, which is multiplied by six.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from importlib.resources import files
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNetCV
from sklearn.model_selection import PredefinedSplit
from tests.linear.cohort import RealGene, real_genes, simulated_gene
from threadpoolctl import threadpool_limits

from hapsight.least_squares import residualise
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import make_folds
from hapsight.linear.methods import ElasticNet
from hapsight.linear.nested import fit_held_out

DEMO = Path(str(files("hapsight") / "demo"))
FITS = 6  # outer folds and the fit on all people


def seconds_of_hapsight(gene: RealGene, folds: np.ndarray) -> tuple[float, float]:
    """CPU seconds of all fits, and mean r over outer folds."""
    started = time.process_time()
    fit = fit_held_out(gene.dosage, gene.expression, gene.covariates, folds, 1, ElasticNet())
    r = np.corrcoef(fit.observed, fit.predicted)[0, 1]
    return time.process_time() - started, float(r)


def seconds_of_scikit_learn(gene: RealGene, folds: np.ndarray) -> float:
    """CPU seconds of the first outer fold."""
    train = folds != 0
    c = gene.covariates
    outcome, _ = residualise(gene.expression[train], c[train], gene.expression[~train], c[~train])
    x = gene.dosage[:, train].astype(float)
    x = ((x - x.mean(axis=1, keepdims=True)) / np.maximum(x.std(axis=1, keepdims=True), 1e-9)).T
    inner = make_folds(int(train.sum()), 10, np.random.default_rng((1, 0)))
    model = ElasticNetCV(l1_ratio=0.5, eps=0.01, alphas=100, cv=PredefinedSplit(inner))
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.asfortranarray(x), outcome / outcome.std())
    return time.process_time() - started


def compile_kernel() -> float:
    """Seconds that the first call takes: compilation, or loading the cached machine code."""
    dosage, outcome, _ = simulated_gene(20, 60, 1)
    started = time.perf_counter()
    fit_held_out(dosage, outcome, None, np.arange(60) % 5, 1, ElasticNet(ElasticNetOptions(n_lambdas=5)))
    return time.perf_counter() - started


def main() -> None:
    """Measure and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohort", type=Path, default=DEMO, help="folder of a cohort of 358 people")
    parser.add_argument("--genes", type=int, default=10)
    parser.add_argument("--judge", type=int, default=1, help="genes that scikit-learn fits, too")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    wanted = parser.parse_args()
    first_call = compile_kernel()
    folds = make_folds(358, 5, np.random.default_rng(1))
    rows = []
    print(f"{'gene':24}{'variants':>10}{'hapsight s':>12}{'sklearn s':>12}{'r':>8}")
    for i, gene in enumerate(real_genes(wanted.cohort, wanted.genes)):
        seconds, r = seconds_of_hapsight(gene, folds)
        judge = FITS * seconds_of_scikit_learn(gene, folds) if i < wanted.judge else None
        rows.append({"gene_id": gene.gene_id, "variants": len(gene.dosage), "hapsight": seconds})
        rows[-1] |= {"scikit_learn": judge, "r": r}
        shown = "" if judge is None else f"{judge:.1f}"
        print(f"{gene.gene_id:24}{len(gene.dosage):10}{seconds:12.2f}{shown:>12}{r:8.3f}", flush=True)
    each = [row["hapsight"] for row in rows]
    result = {
        "people": 358,
        "seconds_per_gene_mean": float(np.mean(each)),
        "seconds_per_gene_max": float(np.max(each)),
        "first_call_seconds": first_call,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "genes": rows,
    }
    print(json.dumps({name: value for name, value in result.items() if name != "genes"}, indent=1))
    if wanted.json:
        wanted.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
