"""R glmnet judges the nested elastic net on real genes, with the same folds; and the time both take."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hapsight.least_squares import residualise
from hapsight.linear.elastic_net import ElasticNetOptions, fit_cross_validated
from hapsight.linear.fits import make_folds
from hapsight.linear.methods import ElasticNet
from hapsight.linear.nested import fit_held_out
from tests.linear.cohort import RealGene, real_genes, simulated_gene
from tests.verify import glmnet_oracle

pytestmark = pytest.mark.verify

GENES = 50
OPTIONS = ElasticNetOptions(min_maf=0.0)  # glmnet is given every variant


@pytest.fixture(scope="module", autouse=True)
def _glmnet() -> None:
    if reason := glmnet_oracle.missing():
        pytest.skip(reason)


def tasks(gene: RealGene, folds: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(K, N) outcomes and inner folds of each outer fold, as `fit_held_out` makes them."""
    outcome, inner = np.zeros((5, len(folds))), np.full((5, len(folds)), -1)
    for k in range(5):
        train = folds != k
        c = gene.covariates
        outcome[k, train], _ = residualise(
            gene.expression[train], c[train], gene.expression[~train], c[~train]
        )
        inner[k, train] = make_folds(int(train.sum()), 10, np.random.default_rng((seed, k)))
    return outcome, inner


def test_the_path_and_its_cross_validation() -> None:
    dosage, outcome, fold = simulated_gene(200, 120, seed=5)
    judge = glmnet_oracle.ask(dosage, outcome[None], fold[None], thresh=1e-10)[0]
    exact = replace(OPTIONS, thresh=1e-10, patience=100)
    fit = fit_cross_validated(dosage.astype(float), outcome, fold, exact)
    np.testing.assert_allclose(fit.lambdas, judge.lambdas, rtol=1e-10)
    np.testing.assert_allclose(fit.squared_error, judge.error, rtol=1e-3)
    assert fit.lambda_min == pytest.approx(judge.chosen[0])
    best = int(np.argmin(fit.squared_error))
    size = dosage.std(axis=1)
    np.testing.assert_allclose(fit.weights * size, judge.coefficients[best, 1:] * size, atol=2e-3)
    np.testing.assert_allclose(fit.predict(dosage.astype(float)), judge.predicted[0], atol=2e-3)


def test_penalty_factors() -> None:
    dosage, outcome, fold, factors = glmnet_oracle.factored_gene()
    judge = glmnet_oracle.ask(dosage, outcome[None], fold[None], thresh=1e-10, factors=factors)[0]
    exact = replace(OPTIONS, thresh=1e-10, patience=100)
    fit = fit_cross_validated(dosage.astype(float), outcome, fold, exact, factors)
    np.testing.assert_allclose(fit.lambdas, judge.lambdas, rtol=1e-10)
    np.testing.assert_allclose(fit.squared_error, judge.error, rtol=1e-3)
    assert fit.lambda_min == pytest.approx(judge.chosen[0])
    best = int(np.argmin(fit.squared_error))
    size = dosage.std(axis=1)
    np.testing.assert_allclose(fit.weights * size, judge.coefficients[best, 1:] * size, atol=2e-3)
    np.testing.assert_allclose(fit.predict(dosage.astype(float)), judge.predicted[0], atol=2e-3)


def test_real_genes(shared_data: Path, record_property: pytest.RecordProperty) -> None:
    folds = make_folds(358, 5, np.random.default_rng(1))
    mine, common, default, same_lambda, near_lambda = [], [], [], [], []
    seconds = {"hapsight": 0.0, "glmnet": 0.0}
    for gene in real_genes(shared_data / "geuvadis_chr22", GENES):
        started = time.process_time()
        fit = fit_held_out(gene.dosage, gene.expression, gene.covariates, folds, 1, ElasticNet(OPTIONS))
        seconds["hapsight"] += (time.process_time() - started) * 5 / 6  # less the final fit
        answers = glmnet_oracle.ask(gene.dosage, *tasks(gene, folds, 1))
        seconds["glmnet"] += sum(answer.seconds for answer in answers)
        judged = np.array([[answers[k].predicted[w, i] for i, k in enumerate(folds)] for w in (0, 1)])
        chosen = np.array([answer.chosen for answer in answers]).T
        same_lambda.extend(np.isclose(fit.fold_lambda, chosen[0]))
        near_lambda.extend(np.abs(np.log(fit.fold_lambda / chosen[1])))
        for r, predicted in zip((mine, common, default), (fit.predicted, *judged), strict=True):
            r.append(np.corrcoef(fit.observed, predicted)[0, 1])
    differences = np.abs(np.array([common, default]) - np.array(mine))
    summary = {
        "genes": GENES,
        "r_hapsight_mean": float(np.mean(mine)),
        "r_glmnet_mean": float(np.mean(common)),
        "r_glmnet_default_mean": float(np.mean(default)),
        "max_difference_same_lambdas": float(differences[0].max()),
        "max_difference_default": float(differences[1].max()),
        "share_same_lambda_min": float(np.mean(same_lambda)),
        "median_log_ratio_of_default_lambda_min": float(np.median(near_lambda)),
        **{f"seconds_per_gene_{who}": total / GENES for who, total in seconds.items()},
        "glmnet_over_hapsight": seconds["glmnet"] / seconds["hapsight"],
    }
    print(json.dumps(summary, indent=1))
    record_property("glmnet", summary)
    assert differences[0].max() < 0.02
    assert np.mean(same_lambda) > 0.9
    assert np.median(differences[1]) < 0.02
    assert summary["glmnet_over_hapsight"] > 1.0
