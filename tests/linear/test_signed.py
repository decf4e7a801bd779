"""Signed evidence: statistics and coefficients against slow ones, prior means of 0, and unseen genes."""

from __future__ import annotations

import numpy as np
import pytest

from hapsight.linear.fits import Predictors, make_folds
from hapsight.linear.informed import LearningGene, SusieBlup
from hapsight.linear.methods import Blup
from hapsight.linear.nested import fit_held_out
from hapsight.linear.signed import (
    OnlyMean,
    SignedStatistics,
    WithMean,
    learn_signed,
    signed_statistics,
)
from tests.linear.cohort import simulated_dosage

PEOPLE, FOLDS = 125, 5


def signed_genes(coefficient: float, count: int = 30) -> tuple[list[LearningGene], list[np.ndarray]]:
    """Genes whose expression is `coefficient` x effects x dosage and noise; two covariates, two columns."""
    rng = np.random.default_rng(8)
    genes, effects = [], []
    for _ in range(count):
        dosage = simulated_dosage(40, PEOPLE, rng)
        own = rng.standard_normal((40, 2)) * (rng.random((40, 1)) < 0.2)
        covariates = rng.standard_normal((PEOPLE, 2))
        score = coefficient * own[:, 0] @ dosage + covariates @ [1.0, -1.0]
        genes.append(LearningGene(dosage, score + 3 * rng.standard_normal(PEOPLE), covariates))
        effects.append(own)
    return genes, effects


def slow_error(coefficients: np.ndarray, gene: LearningGene, train: np.ndarray, own: np.ndarray) -> float:
    """Squared error of coefficient x effect x dosage, one person at a time, of standardised residuals."""
    assert gene.covariates is not None
    design = np.column_stack([np.ones(train.sum()), gene.covariates[train]])
    y = gene.expression[train]
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    left = (left - left.mean()) / left.std()
    said = [
        sum(coefficients @ own[v] * float(gene.dosage[v, p]) for v in range(len(own)))
        for p in np.flatnonzero(train)
    ]
    return float(np.sum((left - (np.array(said) - np.mean(said))) ** 2))


def test_signed_statistics_give_the_slow_error() -> None:
    (gene, *_), (own, *_) = signed_genes(0.5, 1)
    train, c = np.arange(PEOPLE) % 5 != 0, np.array([0.3, 0.1])
    found = signed_statistics(gene, train, own)
    expected = train.sum() - 2 * c @ found.products + c @ found.squares @ c
    assert slow_error(c, gene, train, own) == pytest.approx(expected)


def test_signed_coefficients_are_the_best_that_are_not_negative() -> None:
    genes, effects = signed_genes(0.5, 10)
    train, blocks = np.ones(PEOPLE, np.bool_), np.arange(10) // 2
    every = [signed_statistics(g, train, e) for g, e in zip(genes, effects, strict=True)]
    found = learn_signed(every, blocks)
    grid = [np.array([a, b]) for a in np.linspace(0, 0.4, 41) for b in np.linspace(0, 0.1, 11)]
    squares, products = (sum(getattr(one, name) for one in every) for name in ("squares", "products"))
    best = min(grid, key=lambda c: c @ squares @ c - 2 * c @ products)
    np.testing.assert_allclose(found.coefficients, best, atol=0.006)
    gain = 0.0
    for block in range(5):
        kept = [one for one, own in zip(every, blocks, strict=True) if own != block]
        c = learn_signed(kept, np.arange(len(kept))).coefficients
        for index in np.flatnonzero(blocks == block):
            gain += slow_error(0 * c, genes[index], train, effects[index])
            gain -= slow_error(c, genes[index], train, effects[index])
    assert found.gain == pytest.approx(gain)
    assert found.genes == 10


def test_signs_that_do_not_help_are_not_used() -> None:
    for coefficient, helps in ((0.5, True), (-0.5, False)):
        genes, effects = signed_genes(coefficient)
        train = np.ones(PEOPLE, np.bool_)
        every = [signed_statistics(g, train, e) for g, e in zip(genes, effects, strict=True)]
        found = learn_signed(every, np.arange(30) // 6)
        assert found.coefficients.any() == (found.gain > 0.0) == helps
    nothing = SignedStatistics(np.zeros((2, 2)), np.zeros(2))
    assert not learn_signed([nothing] * 3, np.arange(3)).coefficients.any()


def test_a_prior_mean_of_0_is_the_method_itself() -> None:
    (gene, *_), _ = signed_genes(0.5, 1)
    folds = make_folds(PEOPLE, FOLDS, np.random.default_rng(2))
    method = SusieBlup(np.log(np.full(40, 1 / 40)))
    one = fit_held_out(gene.dosage, gene.expression, gene.covariates, folds, 1, method)
    other = fit_held_out(
        gene.dosage, gene.expression, gene.covariates, folds, 1, WithMean(method, np.zeros(40))
    )
    np.testing.assert_array_equal(one.predicted, other.predicted)
    np.testing.assert_array_equal(one.weights, other.weights)
    assert one.intercept == other.intercept


def test_a_prior_mean_is_taken_out_and_given_back() -> None:
    (gene, *_), (own, *_) = signed_genes(0.5, 1)
    method, mean = Blup(), 0.2 * own[:, 0]
    shown = Predictors.of(gene.dosage, method.min_maf)
    found = WithMean(method, mean).fit(shown, gene.expression, np.random.default_rng(0))
    given = (mean * gene.expression.std()) @ gene.dosage
    rest = method.fit(shown, gene.expression - given, np.random.default_rng(0))
    np.testing.assert_allclose(found.predict(gene.dosage), rest.predict(gene.dosage) + given)


def test_unseen_genes_are_predicted_without_their_expression() -> None:
    (gene, *_), (own, *_) = signed_genes(0.5, 1)
    folds = make_folds(PEOPLE, FOLDS, np.random.default_rng(2))
    only = OnlyMean(own[:, 0])
    found = fit_held_out(gene.dosage, gene.expression, None, folds, 1, only)
    other = fit_held_out(gene.dosage, gene.expression[::-1].copy(), None, folds, 1, only)
    np.testing.assert_array_equal(found.predicted, other.predicted)
    for fold in range(FOLDS):
        train, test = gene.dosage[:, folds != fold], gene.dosage[:, folds == fold]
        expected = own[:, 0] @ test - (own[:, 0] @ train).mean()
        np.testing.assert_allclose(found.predicted[folds == fold], expected)
