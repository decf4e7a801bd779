"""Informative evidence helps, shuffled evidence does no harm, and held-out people stay unseen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from hapsight.baseline.elastic_net import ElasticNetOptions
from hapsight.baseline.informed import (
    DISTANCE_BINS,
    SMALLEST_FACTOR,
    InformedNet,
    distance_evidence,
    penalty_factors,
    prior_weights,
    shuffled_evidence,
)
from hapsight.baseline.methods import ElasticNet
from hapsight.baseline.nested import GeneFit, fit_by_fold, fit_held_out, make_folds
from hapsight.baseline.shape import EXPONENTS, LearningGene, LearningOptions, learn_shape, learn_shapes
from hapsight.errors import ConfigError, InputError
from tests.baseline.cohort import simulated_dosage

NET = ElasticNetOptions(inner=5, n_lambdas=30, thresh=1e-5, patience=5)
PEOPLE, FOLDS = 125, 5  # 100 to train on


@dataclass(frozen=True)
class Cohort:
    """Genes whose effects are large where their magnitudes say so; signs are known to nobody."""

    genes: list[LearningGene]
    folds: np.ndarray

    def shuffled(self) -> Cohort:
        nowhere, rng = np.zeros(len(self.genes[0].dosage), np.int64), np.random.default_rng(5)
        dealt = [replace(g, evidence=shuffled_evidence(g.evidence, nowhere, rng)) for g in self.genes]
        return replace(self, genes=dealt)

    def permuted(self) -> Cohort:
        rng = np.random.default_rng(6)
        exchanged = [replace(g, expression=rng.permutation(g.expression)) for g in self.genes]
        return replace(self, genes=exchanged)

    def informed(self) -> tuple[list[GeneFit], np.ndarray]:
        shapes = learn_shapes(self.genes, self.folds)
        fits = []
        for g in self.genes:
            methods = [InformedNet(penalty_factors(g.evidence, s.theta), NET) for s in shapes]
            fits.append(fit_by_fold(g.dosage, g.expression, None, self.folds, g.seed, methods))
        return fits, np.array([s.theta[0] for s in shapes])

    def plain(self) -> list[GeneFit]:
        return [
            fit_held_out(g.dosage, g.expression, None, self.folds, g.seed, ElasticNet(NET))
            for g in self.genes
        ]


def simulated(count: int = 16, n_variants: int = 150, h2: float = 0.25) -> Cohort:
    rng = np.random.default_rng(1)
    genes = []
    for seed in range(count):
        dosage = simulated_dosage(n_variants, PEOPLE, rng)
        magnitude = rng.exponential(size=n_variants) * (rng.random(n_variants) < 0.15)
        causal = rng.choice(np.flatnonzero(magnitude), 4, replace=False)
        score = (rng.choice([-1.0, 1.0], 4) * magnitude[causal]) @ dosage[causal]
        noise = rng.standard_normal(PEOPLE) * score.std() * np.sqrt(1 / h2 - 1)
        genes.append(LearningGene(dosage, score + noise, None, np.log1p(magnitude)[:, None], seed))
    return Cohort(genes, make_folds(PEOPLE, FOLDS, np.random.default_rng(2)))


def r_of(fits: list[GeneFit]) -> np.ndarray:
    return np.array(
        [np.corrcoef(f.observed, f.predicted)[0, 1] if np.ptp(f.predicted) else 0.0 for f in fits]
    )


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulated()


@pytest.fixture(scope="module")
def plain(cohort: Cohort) -> np.ndarray:
    return r_of(cohort.plain())


def test_informative_magnitudes_help(cohort: Cohort, plain: np.ndarray) -> None:
    fits, theta = cohort.informed()
    assert (theta > 0).all()
    gain = r_of(fits) - plain
    assert gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain))


def test_informative_magnitudes_help_most_where_people_say_little() -> None:
    """Heritability 0.1, where plain R is near that of real cohorts; at 0.25 the gain is a tenth or less."""
    weak = simulated(count=40, n_variants=400, h2=0.1)
    plain, informed = r_of(weak.plain()), r_of(weak.informed()[0])
    assert informed.mean() >= 1.15 * plain.mean()


def test_shuffled_magnitudes_do_no_harm(cohort: Cohort, plain: np.ndarray) -> None:
    loss = plain - r_of(cohort.shuffled().informed()[0])
    assert loss.mean() < 0.02 + 2 * loss.std(ddof=1) / np.sqrt(len(loss))


def test_expression_of_other_people_is_not_predicted(cohort: Cohort) -> None:
    fits, _ = cohort.permuted().informed()
    fold_r = np.concatenate([f.fold_r[np.isfinite(f.fold_r)] for f in fits])
    assert abs(fold_r.mean()) < 3 * 1 / np.sqrt(len(fold_r) * (PEOPLE / FOLDS - 1))


def test_a_shape_sees_nothing_of_held_out_people(cohort: Cohort) -> None:
    train = cohort.folds != 0
    rng = np.random.default_rng(7)
    others = []
    for g in cohort.genes[:4]:
        dosage, expression = g.dosage.copy(), g.expression.copy()
        dosage[:, ~train], expression[~train] = (
            2 - dosage[:, ~train],
            100 * rng.standard_normal((~train).sum()),
        )
        others.append(replace(g, dosage=dosage, expression=expression))
    one, other = learn_shape(cohort.genes[:4], train, 0), learn_shape(others, train, 0)
    assert one.theta.tolist() == other.theta.tolist()
    assert (one.plain_error, one.error) == (other.plain_error, other.error)


def test_without_evidence_it_is_the_plain_net(cohort: Cohort) -> None:
    g = cohort.genes[0]
    factors = penalty_factors(g.evidence, np.zeros(1))
    methods = [InformedNet(factors, NET)] * (FOLDS + 1)
    one = fit_by_fold(g.dosage, g.expression, None, cohort.folds, g.seed, methods)
    other = fit_held_out(g.dosage, g.expression, None, cohort.folds, g.seed, ElasticNet(NET))
    np.testing.assert_array_equal(one.predicted, other.predicted)
    np.testing.assert_array_equal(one.weights, other.weights)


def test_evidence_that_says_nothing_is_left_at_zero(cohort: Cohort) -> None:
    same = [replace(g, evidence=np.ones_like(g.evidence)) for g in cohort.genes[:3]]
    shape = learn_shape(same, np.ones(PEOPLE, np.bool_), 0)
    assert shape.theta.tolist() == [0.0]
    assert shape.error == shape.plain_error


def test_useful_evidence_is_found_beside_useless_evidence(cohort: Cohort) -> None:
    rng = np.random.default_rng(8)
    both = [
        replace(g, evidence=np.hstack([np.ones_like(g.evidence), rng.permutation(g.evidence), g.evidence]))
        for g in cohort.genes
    ]
    theta = learn_shape(both, cohort.folds != 0, 0).theta
    assert theta[0] == 0.0
    assert theta[2] > theta[1]
    assert theta[2] in EXPONENTS


def test_distance_gives_a_power_law() -> None:
    evidence = distance_evidence(np.array([0, 10_000, -30_000]))[:, None]
    np.testing.assert_allclose(penalty_factors(evidence, np.array([2.0])), np.array([1, 4, 16]) / 16)
    np.testing.assert_allclose(prior_weights(evidence, np.array([1.0])), np.array([4, 2, 1]) / 7)


def test_factors_have_a_floor() -> None:
    factors = penalty_factors(np.array([[0.0], [100.0]]), np.array([1.0]))
    assert factors.tolist() == [1.0, SMALLEST_FACTOR]


def test_shuffling_keeps_features_together_and_distances_apart() -> None:
    rng = np.random.default_rng(9)
    distance = rng.integers(-1_000_000, 1_000_000, 4_000)
    evidence = np.column_stack([np.arange(4_000.0), -np.arange(4_000.0)])
    dealt = shuffled_evidence(evidence, distance, np.random.default_rng(1))
    came_from = dealt[:, 0].astype(int)
    assert sorted(came_from) == list(range(4_000))
    assert np.array_equal(dealt[:, 1], -dealt[:, 0])
    bins = np.digitize(np.abs(distance), DISTANCE_BINS)
    assert np.array_equal(bins[came_from], bins)
    assert np.mean(came_from == np.arange(4_000)) < 0.02
    again = shuffled_evidence(evidence, distance, np.random.default_rng(1))
    assert np.array_equal(again, dealt)


@pytest.mark.parametrize(
    ("evidence", "theta", "message"),
    [
        (np.ones((3, 2)), np.ones(1), r"do not fit each other[\s\S]*\(3, 2\)[\s\S]*\(1,\)"),
        (np.array([[np.nan]]), np.ones(1), r"must be known[\s\S]*1 values not finite"),
        (np.ones((3, 1)), -np.ones(1), r"must not be negative[\s\S]*exponents \[-1.0\]"),
    ],
)
def test_evidence_that_makes_no_sense_is_refused(
    evidence: np.ndarray, theta: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        penalty_factors(evidence, theta)


def test_too_few_genes_are_refused(cohort: Cohort) -> None:
    with pytest.raises(
        ConfigError, match=r"too little to learn[\s\S]*at least 2 genes[\s\S]*1 genes, 125 people"
    ):
        learn_shape(cohort.genes[:1], np.ones(PEOPLE, np.bool_), 0)


def test_learning_takes_alpha_and_frequency_from_the_net() -> None:
    net = LearningOptions.like(ElasticNetOptions(alpha=0.9, min_maf=0.2)).net
    assert (net.alpha, net.min_maf, net.inner) == (0.9, 0.2, LearningOptions().net.inner)
