import numpy as np
import pytest
from scipy import stats

from hapsight.stats.summary import summarise_across_genes, summarise_across_people, summarise_within_people


def test_across_people():
    status = ["ok", "ok", "ok", "ok", "constant_prediction", "no_model"]
    r = np.array([0.4, -0.2, 0.1, -0.6])
    qval = {"empirical": np.array([0.01, 0.2, 0.3, 0.02]), "z": np.array([0.01, 0.2, 0.3, 0.2])}
    found = {q.quantity: q for q in summarise_across_people(status, r, -r, qval, "empirical")}
    assert found["across_people_pearson_mean"].value == pytest.approx(-0.075)
    assert found["across_people_pearson_mean"].ci_low < -0.075 < found["across_people_pearson_mean"].ci_high
    assert found["across_people_pearson_mean_abs"].value == pytest.approx(0.325)
    assert found["share_negative"].value == 0.5
    assert found["share_negative"].n == 4
    assert (found["genes_ok"].value, found["genes_ok"].n) == (4, 6)
    assert found["genes_constant"].value == 1
    assert found["genes_without_model"].value == 1
    assert found["significant"].value == 2
    assert found["significant_negative_share"].value == 0.5
    assert found["across_people_spearman_median"].value == pytest.approx(0.05)
    assert found["share_negative_spearman"].value == 0.5


def test_every_test_has_its_own_quantities():
    r = np.array([0.4, -0.2, 0.1, -0.6])
    qval = {"empirical": np.array([0.01, 0.2, 0.3, 0.02]), "z": np.array([0.01, 0.05, 0.3, 0.2])}
    found = {q.quantity: q for q in summarise_across_people(["ok"] * 4, r, r, qval, "z")}
    assert (found["significant.empirical"].value, found["significant.empirical"].n) == (2, 4)
    assert found["significant_negative.empirical"].value == 1
    share = found["significant_negative_share.empirical"]
    assert (share.value, share.n) == (0.5, 2)
    wilson = stats.binomtest(1, 2).proportion_ci(method="wilson")
    assert (share.ci_low, share.ci_high) == (wilson.low, wilson.high)
    assert found["significant"].value == found["significant.z"].value == 1, "q = 0.05 is not significant"
    assert found["significant_negative_share"].value == 0


def test_nothing_to_summarise_has_no_numbers():
    empty = np.array([])
    found = {q.quantity: q for q in summarise_across_people(["no_model"], empty, empty, {"z": empty}, "z")}
    assert found["across_people_pearson_mean"].value is None
    assert found["significant_negative_share"].value is None
    (within,) = summarise_within_people(empty)
    assert within.value is None


def test_across_genes():
    x = np.arange(20.0)
    pearson, spearman = summarise_across_genes(x, np.exp(x))
    assert spearman.value == pytest.approx(1)
    assert 0 < pearson.value < 1
    assert pearson.n == 20
