import numpy as np
import pytest
from scipy import stats

from hapsight.baseline.folds import make_folds
from hapsight.baseline.methods import method_named
from hapsight.baseline.nested import ElasticNetOptions, fit_held_out
from hapsight.evaluate.folds import cauchy_combination, fold_p
from tests.baseline.cohort import simulated_gene


def test_each_fold_is_judged_apart():
    rng = np.random.default_rng(1)
    predicted, observed = rng.standard_normal(60), rng.standard_normal(60)
    fold = np.arange(60) % 3
    observed[fold == 2] += 3 * predicted[fold == 2]
    predicted[fold == 0] = 1.0  # constant: left out
    naive = [stats.pearsonr(predicted[fold == k], observed[fold == k]).pvalue for k in (1, 2)]
    assert fold_p(predicted, observed, fold) == pytest.approx(cauchy_combination(np.array(naive)))
    assert fold_p(np.ones(60), observed, fold) is None


def test_cauchy_combination():
    assert cauchy_combination(np.array([0.03])) == pytest.approx(0.03)
    assert cauchy_combination(np.array([0.2, 0.2, 0.2])) == pytest.approx(0.2)
    statistic = np.mean(stats.cauchy.isf([0.01, 0.5, 0.9]))
    assert cauchy_combination(np.array([0.01, 0.5, 0.9])) == pytest.approx(stats.cauchy.sf(statistic))
    assert cauchy_combination(np.array([0.0, 1.0])) == pytest.approx(0.5)


def test_without_effect_few_genes_are_significant_and_plain_p_of_all_folds_has_too_many():
    """The best variant of 150, by five folds of 200 people, for expression that no variant changes."""
    method, folds = method_named("top_snp", ElasticNetOptions()), make_folds(200, 5, np.random.default_rng(1))
    combined, plain = [], []
    for seed in range(200):
        dosage, _, _ = simulated_gene(150, 200, seed)
        expression = np.random.default_rng((seed, 7)).standard_normal(200)
        fit = fit_held_out(dosage, expression, None, folds, seed, method)
        combined.append(fold_p(fit.predicted, fit.observed, fit.fold))
        plain.append(stats.pearsonr(fit.predicted, fit.observed).pvalue)
    assert np.mean(np.array(combined) < 0.05) <= 0.1  # .05 expected; .1 is 3 standard errors above
    assert np.mean(np.array(plain) < 0.05) > 0.1
