import numpy as np
import pytest
from scipy import stats

from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import make_folds
from hapsight.linear.methods import method_named
from hapsight.linear.nested import fit_held_out
from hapsight.stats.summary import fold_p, signed_combination
from tests.linear.cohort import simulated_gene


def test_each_fold_is_judged_apart():
    rng = np.random.default_rng(1)
    predicted, observed = rng.standard_normal(60), rng.standard_normal(60)
    fold = np.arange(60) % 3
    observed[fold == 2] += 3 * predicted[fold == 2]
    predicted[fold == 0] = 1.0  # constant: counts as R = 0
    naive = [stats.pearsonr(predicted[fold == k], observed[fold == k]) for k in (1, 2)]
    r, p = np.array([(0.0, 1.0), *naive]).T
    expected = signed_combination(r, p, np.array([20, 20, 20]))
    assert fold_p(predicted, observed, fold) == pytest.approx(expected)
    assert fold_p(np.ones(60), observed, fold) is None


def test_signed_combination():
    ten = np.array([10, 10])
    assert signed_combination(np.array([-0.3]), np.array([0.03]), np.array([10])) == pytest.approx(0.03)
    # two folds, each predicted by the other: one and the same evidence twice
    assert signed_combination(np.array([0.3, 0.3]), np.array([0.03, 0.03]), ten) == pytest.approx(0.03)
    assert signed_combination(np.array([0.9, -0.9]), np.array([1e-15, 1e-15]), ten) == pytest.approx(1.0)
    assert 0 < signed_combination(np.array([1.0, 1.0]), np.zeros(2), ten) < 1e-200
    # five alike: their z, two by two, correlate by 1/4, so that the sum has twice the variance
    z = stats.norm.isf(0.05)
    expected = 2 * stats.norm.sf(5 * z / np.sqrt(5 + 20 / 4))
    assert signed_combination(np.full(5, 0.2), np.full(5, 0.1), np.full(5, 40)) == pytest.approx(expected)


def test_a_larger_fold_weighs_more():
    r, p = np.array([0.2, -0.2]), np.array([0.01, 0.01])
    one, other = (signed_combination(r, p, np.array(n)) for n in ([150, 50], [50, 150]))
    assert one == pytest.approx(other)
    assert one < signed_combination(r, p, np.array([100, 100])) == pytest.approx(1.0)


def test_folds_that_disagree_are_no_evidence():
    rng = np.random.default_rng(3)
    predicted, fold = rng.standard_normal(80), np.arange(80) % 2
    observed = np.where(fold == 0, predicted, -predicted) + 0.1 * rng.standard_normal(80)
    assert fold_p(predicted, observed, fold) > 0.3


def test_z_of_folds_of_a_linear_learner_vary_as_they_are_taken_to():
    """Weights ``X'y`` of the other folds, without effect: the sum of the folds' z has that variance."""
    rng, fold, p = np.random.default_rng(4), np.arange(120) % 3, []
    for _ in range(500):
        x, y = rng.standard_normal((20, 120)), rng.standard_normal(120)
        predicted = np.concatenate([x[:, fold != k] @ y[fold != k] @ x[:, fold == k] for k in range(3)])
        p.append(fold_p(predicted, np.concatenate([y[fold == k] for k in range(3)]), np.repeat(range(3), 40)))
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.03)


def null_fits(name, genes, variants):
    """Held-out fits of genes whose expression no variant changes: five folds of 200 people."""
    method, folds = method_named(name, ElasticNetOptions()), make_folds(200, 5, np.random.default_rng(1))
    for seed in range(genes):
        dosage, _, _ = simulated_gene(variants, 200, seed)
        expression = np.random.default_rng((seed, 7)).standard_normal(200)
        yield fit_held_out(dosage, expression, None, folds, seed, method)


def few(p, of):
    """Whether the share of p < .05 is no more than three standard errors above .05."""
    return np.mean(np.array(p) < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / of)


def test_without_effect_few_genes_are_significant_and_plain_p_of_all_folds_has_too_many():
    fits = list(null_fits("top_snp", 200, 150))
    assert few([fold_p(fit.predicted, fit.observed, fit.fold) for fit in fits], 200)
    assert np.mean([stats.pearsonr(fit.predicted, fit.observed).pvalue < 0.05 for fit in fits]) > 0.1


def test_what_a_method_finds_in_one_fold_alone_is_no_evidence():
    """BLUP has a model in one fold where the others lean against it: alone it is too often significant."""
    fits = list(null_fits("blup", 300, 60))
    models = [[np.ptp(fit.predicted[fit.fold == k]) > 0 for k in range(5)] for fit in fits]
    one = [fit for fit, known in zip(fits, models, strict=True) if sum(known) == 1]
    assert len(one) > 40
    assert few([fold_p(fit.predicted, fit.observed, fit.fold) for fit in one], len(one))
    alone = [(fit, next(k for k in range(5) if np.ptp(fit.predicted[fit.fold == k]) > 0)) for fit in one]
    by_it = [stats.pearsonr(f.predicted[f.fold == k], f.observed[f.fold == k]).pvalue for f, k in alone]
    assert not few(by_it, len(one))
