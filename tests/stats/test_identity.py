import numpy as np
import pytest
from scipy import stats

from hapsight.cohort.sexes import find_mismatches, match_scores, strongest_variant


def cohort(genes: int, people: int, r: float, seed: int = 0):
    """Standardised dosages and expression with correlation r in every gene."""
    rng = np.random.default_rng(seed)
    dosage = stats.zscore(rng.binomial(2, 0.4, (genes, people)), axis=1)
    expression = r * dosage + np.sqrt(1 - r**2) * rng.standard_normal((genes, people))
    return dosage, stats.zscore(expression, axis=1)


def test_scores_equal_their_naive_twin():
    dosage, expression = cohort(5, 7, 0.6)
    r = np.array([0.6, -0.3, 0.5, 0.8, 0.1])
    found = match_scores(dosage, expression, r)
    for i in range(7):
        for j in range(7):
            given = stats.norm.logpdf(expression[:, j], r * dosage[:, i], np.sqrt(1 - r**2))
            alone = stats.norm.logpdf(expression[:, j])
            assert found[i, j] == pytest.approx(np.sum(given - alone))


def test_exchanged_people_are_found_and_nobody_else():
    dosage, expression = cohort(100, 200, 0.5)
    r = np.full(100, 0.5)
    assert find_mismatches(match_scores(dosage, expression, r)) == []
    swapped = expression.copy()
    swapped[:, [3, 9]] = swapped[:, [9, 3]]
    found = find_mismatches(match_scores(dosage, swapped, r))
    assert [(m.expression_of, m.fits, m.exchanged) for m in found] == [(3, 9, True), (9, 3, True)]
    copied = expression.copy()
    copied[:, 3] = expression[:, 9]
    (one,) = find_mismatches(match_scores(dosage, copied, r))
    assert (one.expression_of, one.fits, one.exchanged) == (3, 9, False)


def test_scores_of_groups_of_genes_add_up():
    dosage, expression = cohort(40, 30, 0.5, 3)
    r = np.full(40, 0.5)
    parts = [match_scores(dosage[part], expression[part], r[part]) for part in (slice(0, 7), slice(7, 40))]
    np.testing.assert_allclose(sum(parts), match_scores(dosage, expression, r))


def test_without_information_nobody_is_accused():
    for seed in range(20):
        dosage, _ = cohort(50, 100, 0.5, seed)
        _, unrelated = cohort(50, 100, 0.5, seed + 100)
        assert find_mismatches(match_scores(dosage[:2], unrelated[:2], np.full(2, 0.35))) == []


def test_strongest_variant():
    rng = np.random.default_rng(1)
    dosage = rng.binomial(2, 0.4, (6, 50)).astype(np.uint8)
    dosage[2] = 1
    expression = -2.0 * dosage[4] + rng.standard_normal(50)
    found = strongest_variant(dosage, expression)
    assert found is not None
    np.testing.assert_allclose(found[0], stats.zscore(dosage[4].astype(float)))
    assert found[1] == pytest.approx(stats.pearsonr(dosage[4], expression)[0])
    assert strongest_variant(dosage[2:3], expression) is None
    assert strongest_variant(dosage, np.ones(50)) is None
