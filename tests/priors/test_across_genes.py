"""Covariates of genes beside a prediction, in stretches of the genome that were held out."""

import numpy as np
import pytest

from hapsight.explain.reliability import stretches, within_reach
from hapsight.priors.ablation import (
    ablation_across_genes,
    gene_covariate_ablation,
    held_out_fit,
    over_genes,
)

G = 120
CONTIG, POSITION = ["chr1"] * G, 500_000 * np.arange(G)


def test_held_out_fit_is_least_squares_out_of_reach():
    rng = np.random.default_rng(1)
    columns, outcome = rng.standard_normal((G, 2)), rng.standard_normal(G)
    found = held_out_fit(columns, outcome, CONTIG, POSITION)
    fold = stretches(CONTIG, POSITION, 5)
    design = np.column_stack([np.ones(G), columns])
    for k in range(5):
        training = ~within_reach(CONTIG, POSITION, fold == k)
        beta = np.linalg.lstsq(design[training], outcome[training], rcond=None)[0]
        np.testing.assert_allclose(found[fold == k], design[fold == k] @ beta)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_covariate_that_tells_genes_apart_is_over_its_control(strength):
    rng = np.random.default_rng(2)
    predicted, covariate = rng.standard_normal(G), rng.standard_normal((G, 1))
    expression = predicted + strength * covariate[:, 0] + rng.standard_normal(G)
    found = gene_covariate_ablation(predicted, covariate, expression, CONTIG, POSITION, 5, rng)
    without = held_out_fit(predicted[:, None], expression, CONTIG, POSITION)
    assert found.without == pytest.approx(np.corrcoef(without, expression)[0, 1])
    both = held_out_fit(np.column_stack([predicted, covariate]), expression, CONTIG, POSITION)
    assert found.with_prior == pytest.approx(np.corrcoef(both, expression)[0, 1])
    assert found.over_shuffled.value == pytest.approx(found.with_prior - found.shuffled)
    low, high = found.over_shuffled.ci_low, found.over_shuffled.ci_high
    assert low < found.over_shuffled.value < high
    assert (low > 0.05) == (strength > 0)


def test_differences_over_genes_are_paired():
    without, both = np.array([0.1, 0.5, -0.2]), np.array([0.2, 0.6, -0.1])
    found = over_genes(without, both, np.zeros(3), without)
    assert found.gain.value == pytest.approx(0.1)
    assert found.gain.ci_high - found.gain.ci_low == pytest.approx(0.0, abs=1e-12)
    assert (found.n, found.alone) == (3, 0.0)
    assert found.columns()["over_shuffled"] == pytest.approx(0.1)


def test_an_input_of_a_model_is_judged_as_it_predicts():
    rng = np.random.default_rng(4)
    expression = rng.standard_normal(G)
    without, both = expression + 3 * rng.standard_normal(G), expression + rng.standard_normal(G)
    shuffled = rng.standard_normal((2, G))
    found = ablation_across_genes(without, both, shuffled, expression, rng)
    r = [np.corrcoef(values, expression)[0, 1] for values in (without, both, *shuffled)]
    assert (found.without, found.with_prior) == (pytest.approx(r[0]), pytest.approx(r[1]))
    assert found.shuffled == pytest.approx((r[2] + r[3]) / 2)
    assert found.alone is None
    assert found.gain.ci_low > 0.1
