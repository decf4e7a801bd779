import numpy as np
import polars as pl
import pytest
from scipy import stats

from hapsight.stats.summary import judged_r, mean_difference, mean_fold_r, mean_interval


def test_the_mean_has_the_t_interval():
    values = np.random.default_rng(1).normal(size=30)
    found = mean_interval(values)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval()
    assert (found.value, found.n) == (pytest.approx(values.mean()), 30)
    assert (found.ci_low, found.ci_high) == (pytest.approx(low), pytest.approx(high))


def test_folds_count_alike_and_without_gaps_it_is_the_plain_mean():
    folds = np.random.default_rng(2).normal(size=(20, 5))
    found, plain = mean_fold_r(list(folds)), mean_interval(folds.mean(axis=1))
    assert found == pytest.approx(plain)
    folds[3, 1:] = np.nan
    folds[4] = np.nan
    found = mean_fold_r(list(folds))
    assert found.value == pytest.approx(np.nanmean(folds))
    assert found.n == 19


def test_the_interval_of_folds_covers_what_it_should():
    rng, hits = np.random.default_rng(3), 0
    for _ in range(400):
        r = rng.normal(size=(40, 5)) + rng.normal(size=(40, 1))
        r[rng.random((40, 5)) < 0.5] = np.nan
        found = mean_fold_r(list(r))
        hits += found.ci_low < 0 < found.ci_high
    assert 0.90 < hits / 400 < 0.98


def test_few_genes_have_no_interval():
    assert mean_interval(np.empty(0)) == (None, 0, None, None)
    assert mean_fold_r([np.full(5, np.nan)]) == (None, 0, None, None)
    assert mean_interval(np.ones(1)) == (1.0, 1, None, None)


def test_methods_are_compared_on_the_genes_that_both_judge_and_no_model_counts_as_0():
    def rows(**genes):
        columns = ("gene_id", "status", "pearson_r")
        return pl.DataFrame([(name, *row) for name, row in genes.items()], schema=columns, orient="row")

    one = rows(a=("ok", 0.5), b=("no_model", None), c=("too_few", None), d=("ok", 0.1))
    other = rows(d=("low_share", None), b=("ok", 0.2), a=("ok", 0.1), e=("ok", 0.9))
    found = mean_difference(judged_r(one), judged_r(other))
    assert found == pytest.approx(mean_interval(np.array([0.5 - 0.1, 0.0 - 0.2])))
    assert found.n == 2
