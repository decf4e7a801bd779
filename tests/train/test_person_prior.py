"""A prior of persons: what it explains is fitted to seen genes of training people only."""

from __future__ import annotations

import numpy as np
import pytest

from hapsight.train.priors import Targets, explained_by, without

RNG = np.random.default_rng(8)
G, N = 5, 60
TRAIN, SEEN = np.arange(N) % 3 != 0, np.array([0, 1, 3])
PRIOR = RNG.standard_normal((G, N))
COVARIATES = RNG.standard_normal((N, 2))
EXPRESSION = 2.0 * PRIOR + RNG.standard_normal((G, N)) + COVARIATES[:, 0]


def targets(expression=EXPRESSION) -> Targets:
    return Targets.of([f"g{i}" for i in range(G)], expression, expression, COVARIATES, TRAIN)


def test_the_slope_is_that_of_one_regression_over_all_seen_genes():
    found = explained_by(PRIOR, targets(), COVARIATES, TRAIN, SEEN)
    design = np.column_stack([np.ones(N), COVARIATES])
    left = np.array([p - design @ np.linalg.lstsq(design[TRAIN], p[TRAIN], rcond=None)[0] for p in PRIOR])
    z = targets().on_scale("z", SEEN)
    x, y = (values[SEEN][:, TRAIN].ravel()[:, None] for values in (left, z))
    slope = np.linalg.lstsq(x, y, rcond=None)[0].item()
    assert 0.5 < slope < 1.0
    np.testing.assert_allclose(found, slope * left, atol=1e-10)


def test_neither_other_people_nor_unseen_genes_are_learned_from():
    other = EXPRESSION.copy()
    other[:, ~TRAIN] = 1000.0
    other[[2, 4]] = RNG.standard_normal((2, N))
    mine, theirs = (explained_by(PRIOR, targets(e), COVARIATES, TRAIN, SEEN) for e in (EXPRESSION, other))
    np.testing.assert_array_equal(mine, theirs)


def test_what_is_explained_leaves_the_target_and_comes_back_with_the_prediction():
    given = targets()
    explained = explained_by(PRIOR, given, COVARIATES, TRAIN, SEEN)
    left = without(given, explained)
    np.testing.assert_allclose(left.on_scale("z", SEEN) + explained, given.on_scale("z", SEEN), atol=1e-12)
    r = [np.corrcoef(PRIOR[g, TRAIN], left.residual[g, TRAIN])[0, 1] for g in SEEN]
    assert np.abs(np.mean(r)) < 0.1
    assert left.spread is given.spread


def test_a_prior_that_says_nothing_takes_nothing_out():
    assert explained_by(np.zeros((G, N)), targets(), COVARIATES, TRAIN, SEEN) == pytest.approx(0)
