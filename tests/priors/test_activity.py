"""Activities of regulators beside scipy's regression, and the leak through a gene's neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hapsight.cohort.nouns import Gene
from hapsight.priors.regulons import activities, far_from, regulator_score, z_scores


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_an_activity_is_the_t_of_a_regression_over_genes(seed):
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((12, 3))
    weight = rng.choice([-1.0, 0.0, 0.0, 1.0, 0.5], size=(4, 12))
    found = activities(scores, weight)
    for r, row in enumerate(weight):
        for person in range(3):
            if np.ptp(row) == 0:
                assert found[r, person] == 0.0
                continue
            fit = stats.linregress(row, scores[:, person])
            assert found[r, person] == pytest.approx(fit.slope / fit.stderr, rel=1e-8)


def test_z_scores_know_only_the_training_people():
    rng = np.random.default_rng(1)
    expression, covariates = rng.standard_normal((5, 40)), rng.standard_normal((40, 2))
    training = np.arange(40) < 30
    first = z_scores(expression, covariates, training)
    changed = expression.copy()
    changed[:, 35] += 100.0
    second = z_scores(changed, covariates, training)
    np.testing.assert_array_equal(first[:, :35], second[:, :35])
    assert np.abs(second[:, 35] - first[:, 35]).min() > 10
    np.testing.assert_allclose(first[:, training].std(axis=1), 1.0)
    np.testing.assert_allclose(first[:, training] @ covariates[training], 0.0, atol=1e-9)


def test_a_gene_that_does_not_vary_says_nothing():
    expression = np.vstack([np.full(20, 3.0), np.arange(20.0)])
    assert (z_scores(expression, None, np.ones(20, bool))[0] == 0).all()


def cohort(positions):
    return [Gene(f"g{i}", "chr1" if p < 1e9 else "chr2", int(p % 1e9)) for i, p in enumerate(positions)]


def test_near_genes_are_left_out_and_other_contigs_are_not():
    genes = cohort([100, 150, 2_000, 1e9 + 100])
    np.testing.assert_array_equal(far_from(genes, 0, 100), [False, False, True, True])
    np.testing.assert_array_equal(far_from(genes, 0, 0), [False, True, True, True])


def test_neighbours_that_share_the_targets_variants_do_not_speak_for_it():
    rng = np.random.default_rng(2)
    genes = cohort([10_000 * i for i in range(4)] + [10_000_000 + 10_000 * i for i in range(30)])
    scores = rng.standard_normal((34, 200))
    scores[1:4] = scores[0] + 0.1 * rng.standard_normal((3, 200))
    weight = np.zeros((1, 34))
    weight[0, [0, 1, 2, 3, 10, 11, 12]] = 1.0
    leaking = regulator_score(scores, weight, genes, 0, leave_out=0)
    clean = regulator_score(scores, weight, genes, 0, leave_out=1_000_000)
    assert np.corrcoef(leaking, scores[0])[0, 1] > 0.5
    assert abs(np.corrcoef(clean, scores[0])[0, 1]) < 0.2
    moved = scores.copy()
    moved[:4] = rng.standard_normal((4, 200))
    np.testing.assert_array_equal(clean, regulator_score(moved, weight, genes, 0, leave_out=1_000_000))


def test_the_weight_on_the_target_gives_the_direction():
    rng = np.random.default_rng(3)
    genes = cohort([0] + [10_000_000 + 10_000 * i for i in range(20)])
    scores = rng.standard_normal((21, 50))
    weight = np.zeros((2, 21))
    weight[0, [0, 3, 4, 5]] = 1.0
    weight[1, [0, 6, 7, 8]] = -3.0
    others = np.arange(21) > 0
    one, two = activities(scores[others], weight[:, others])
    found = regulator_score(scores, weight, genes, 0, 1_000)
    np.testing.assert_allclose(found, (one - 3 * two) / 4)


def test_too_few_targets_elsewhere_give_nothing():
    genes = cohort([0] + [10_000_000 + 10_000 * i for i in range(20)])
    weight = np.zeros((1, 21))
    weight[0, [0, 3, 4]] = 1.0
    scores = np.random.default_rng(4).standard_normal((21, 50))
    assert (regulator_score(scores, weight, genes, 0, 1_000) == 0).all()
