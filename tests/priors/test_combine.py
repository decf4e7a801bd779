"""A prior and the variants together: beside a fit written out, and blind to the people who are predicted."""

import numpy as np
import pytest

from hapsight.errors import InputError
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import make_folds
from hapsight.linear.methods import Blup, ElasticNet
from hapsight.linear.nested import fit_held_out
from hapsight.priors.ablation import combine, held_out_r

N = 90


@pytest.fixture
def people():
    rng = np.random.default_rng(5)
    dosage = rng.binomial(2, 0.3, (20, N)).astype(float)
    covariates, prior = rng.standard_normal((N, 2)), rng.standard_normal(N)
    expression = 0.8 * dosage[3] + 0.7 * prior + covariates[:, 0] + rng.standard_normal(N)
    return dosage, expression, covariates, prior, make_folds(N, 5, rng)


def alike(prior):
    return np.tile(prior, (5, 1))


def test_without_a_prior_it_is_the_nested_baseline(people):
    dosage, expression, covariates, prior, folds = people
    method = ElasticNet(ElasticNetOptions(inner=3))
    found = combine(dosage, expression, covariates, {"p": alike(0 * prior)}, folds, 11, method)
    plain = fit_held_out(dosage, expression, covariates, folds, 11, method)
    np.testing.assert_array_equal(found.without, plain.predicted)
    np.testing.assert_array_equal(found.observed, plain.observed)
    np.testing.assert_array_equal(found.with_prior["p"], plain.predicted)
    assert (found.prior_alone["p"] == 0).all()


def test_the_prior_alone_is_least_squares_beside_the_covariates(people):
    dosage, expression, covariates, prior, folds = people
    found = combine(dosage, expression, covariates, {"p": alike(prior)}, folds, 1, Blup())
    for k in range(5):
        train, test = folds != k, folds == k
        design = np.column_stack([np.ones(N), covariates, prior])
        both = np.linalg.lstsq(design[train], expression[train], rcond=None)[0]
        on_prior = np.linalg.lstsq(design[train, :3], prior[train], rcond=None)[0]
        expected = both[3] * (prior[test] - design[test, :3] @ on_prior)
        np.testing.assert_allclose(found.prior_alone["p"][test], expected, atol=1e-10)


def test_a_prior_that_knows_something_helps_and_noise_does_not(people):
    dosage, expression, covariates, prior, folds = people
    noise = np.random.default_rng(6).standard_normal(N)
    given = {"p": alike(prior), "noise": alike(noise)}
    found = combine(dosage, expression, covariates, given, folds, 1, Blup())
    r = {name: held_out_r(values, found.observed) for name, values in found.with_prior.items()}
    assert r["p"] > held_out_r(found.without, found.observed) + 0.1
    assert r["noise"] < held_out_r(found.without, found.observed) + 0.05


def test_the_expression_of_a_held_out_person_is_not_looked_at(people):
    dosage, expression, covariates, prior, folds = people
    first = combine(dosage, expression, covariates, {"p": alike(prior)}, folds, 1, Blup())
    changed = expression.copy()
    changed[folds == 2] += 50 * np.arange((folds == 2).sum())
    second = combine(dosage, changed, covariates, {"p": alike(prior)}, folds, 1, Blup())
    np.testing.assert_array_equal(first.with_prior["p"][folds == 2], second.with_prior["p"][folds == 2])
    assert not np.array_equal(first.with_prior["p"], second.with_prior["p"])


def test_a_prior_of_another_shape_or_not_finite_is_refused(people):
    dosage, expression, covariates, prior, folds = people
    with pytest.raises(InputError, match=r"for each outer fold and person[\s\S]*where: p[\s\S]*\(5, 90\)"):
        combine(dosage, expression, covariates, {"p": prior[None]}, folds, 1, Blup())
    prior[4] = np.nan
    with pytest.raises(InputError, match=r"5 not finite"):
        combine(dosage, expression, covariates, {"p": alike(prior)}, folds, 1, Blup())


def test_a_constant_prediction_knows_nothing():
    assert held_out_r(np.ones(9), np.arange(9.0)) == 0.0
