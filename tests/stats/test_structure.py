"""What populations explain: against scipy's one-way analysis of variance, and least squares written out."""

import numpy as np
import pytest
from scipy import stats

from hapsight.stages.evaluate import structure_row
from hapsight.stats.nulls import benjamini_hochberg
from hapsight.stats.structure import Between, Groups

LABELS = ["CEU"] * 30 + ["YRI"] * 40 + ["CHB"] * 25 + ["few"] * 4 + [None] * 3
KNOWN = 95


def groups() -> Groups:
    found = Groups.of(LABELS)
    assert found is not None
    return found


def values(seed: int, shift: float = 0.0) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal(len(LABELS))
    found[30:70] += shift
    return found


def test_people_of_small_populations_are_left_out():
    assert groups().names == ("CEU", "CHB", "YRI")
    assert groups().people.tolist() == list(range(KNOWN))
    assert Groups.of(["CEU"] * 30 + ["YRI"] * 4) is None
    assert Groups.of([None] * 30) is None


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_share_and_p_are_those_of_one_way_analysis_of_variance(shift):
    mine = values(1, shift)
    parts = mine[:30], mine[30:70], mine[70:KNOWN]
    found = Between.of(groups()).explained(mine)
    assert found.pval == pytest.approx(stats.f_oneway(*parts).pvalue, rel=1e-9)
    between = sum(len(part) * (part.mean() - mine[:KNOWN].mean()) ** 2 for part in parts)
    assert found.share == pytest.approx(between / ((mine[:KNOWN] - mine[:KNOWN].mean()) ** 2).sum(), rel=1e-9)


def test_covariates_come_first():
    mine, covariates = values(2, 0.5), np.random.default_rng(3).standard_normal((len(LABELS), 2))
    columns = np.column_stack([np.ones(KNOWN), covariates[:KNOWN]])
    full = np.column_stack([columns, np.arange(KNOWN) < 30, np.arange(KNOWN) >= 70])
    before, after = (
        float(((mine[:KNOWN] - design @ np.linalg.lstsq(design, mine[:KNOWN])[0]) ** 2).sum())
        for design in (columns, full)
    )
    found = Between.of(groups(), covariates).explained(mine)
    assert found.share == pytest.approx(1 - after / before)
    assert found.pval == pytest.approx(stats.f.sf((before - after) / 2 / (after / (KNOWN - 5)), 2, KNOWN - 5))
    told = np.column_stack([covariates, np.array([label == "YRI" for label in LABELS])[:, None] * [1, 2]])
    told = np.column_stack([told, [label == "CEU" for label in LABELS]])
    assert (
        Between.of(groups(), told).explained(mine).pval == 1.0
    )  # the covariates tell populations apart already


def test_nothing_is_said_of_values_that_do_not_vary():
    found = Between.of(groups()).explained(np.ones(len(LABELS)))
    assert (found.share, found.pval) == (None, None)
    assert Between.of(groups()).within_r(np.ones(len(LABELS)), values(1)) is None


def test_r_within_populations_has_no_part_between_them():
    first, second = values(5, 3.0), values(6, 3.0)
    apart = [
        np.concatenate([v[a:b] - v[a:b].mean() for a, b in ((0, 30), (30, 70), (70, 95))])
        for v in (first, second)
    ]
    assert Between.of(groups()).within_r(first, second) == pytest.approx(np.corrcoef(*apart)[0, 1])
    assert abs(Between.of(groups()).within_r(first, second) or 0) < 0.3 < np.corrcoef(first, second)[0, 1]


@pytest.mark.parametrize(
    ("in_prediction", "in_expression", "flagged"),
    [(1.5, 1.5, True), (1.5, 0, False), (0, 1.5, False), (0, 0, False)],
)
def test_structure_counts_where_prediction_and_expression_both_have_it(in_prediction, in_expression, flagged):
    """100 genes without any effect; the rule of `evaluate`: the larger p of the two, q < 0.05."""
    pvals, plain = [], Between.of(groups())
    for gene in range(100):
        predicted, expressed = values(1000 + gene, in_prediction), values(2000 + gene, in_expression)
        pvals.append(structure_row(predicted, expressed, expressed, plain, plain)["pval"])
    found = (benjamini_hochberg(np.array(pvals)) < 0.05).sum()
    assert found == 100 if flagged else found == 0


def test_plain_p_is_wrong_where_the_rule_says_so_and_exchange_within_populations_is_not():
    from hapsight.stats.nulls import empirical_p, permutation_null, permutations

    labels = LABELS[:KNOWN]
    inside = permutations(labels, 199, np.random.default_rng(1))
    among_all = permutations([None] * KNOWN, 199, np.random.default_rng(1))
    plain, within, everybody = [], [], []
    for gene in range(150):
        predicted, expressed = values(3000 + gene, 1.0)[:KNOWN], values(4000 + gene, 1.0)[:KNOWN]
        r, p = stats.pearsonr(predicted, expressed)
        plain.append(p)
        within.append(empirical_p(abs(r), permutation_null(predicted, expressed, inside)))
        everybody.append(empirical_p(abs(r), permutation_null(predicted, expressed, among_all)))
    false = [float(np.mean(np.array(p) < 0.05)) for p in (plain, within, everybody)]
    assert false[0] > 0.4
    assert false[2] > 0.4
    assert false[1] < 0.1
