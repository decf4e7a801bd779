"""Informative evidence helps, shuffled evidence does no harm, and held-out people stay unseen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from hapsight.errors import ConfigError, InputError
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import Predictors, make_folds
from hapsight.linear.informed import (
    DISTANCE_BINS,
    INFORMED_METHODS,
    SMALLEST_FACTOR,
    LearnedPrior,
    LearningGene,
    SusieBlup,
    distance_evidence,
    gene_support,
    informed_method,
    learn_prior,
    log_prior,
    penalty_factors,
    shuffled_evidence,
)
from hapsight.linear.methods import Blup, ElasticNet
from hapsight.linear.nested import GeneFit, fit_held_out, fit_together
from hapsight.linear.susie import fit_susie
from tests.linear.cohort import simulated_dosage

NET = ElasticNetOptions(inner=5, n_lambdas=30, thresh=1e-5, patience=5)
PEOPLE, FOLDS = 125, 5  # 100 to train on


@dataclass(frozen=True)
class Cohort:
    """Genes whose effects are large where their magnitudes say so; signs are known to nobody."""

    genes: list[LearningGene]
    evidence: list[np.ndarray]
    folds: np.ndarray

    def shuffled(self) -> Cohort:
        nowhere, rng = np.zeros(len(self.genes[0].dosage), np.int64), np.random.default_rng(5)
        return replace(self, evidence=[shuffled_evidence(e, nowhere, rng) for e in self.evidence])

    def permuted(self) -> Cohort:
        rng = np.random.default_rng(6)
        exchanged = [replace(g, expression=rng.permutation(g.expression)) for g in self.genes]
        return replace(self, genes=exchanged)

    def prior(self, fold: int) -> LearnedPrior:
        train = self.folds != fold
        return learn_prior([gene_support(g, train, 0.01) for g in self.genes], self.evidence)

    def informed(self, method: str = "susie_blup") -> tuple[list[GeneFit], np.ndarray]:
        priors = [self.prior(fold) for fold in range(FOLDS + 1)]
        fits = []
        for seed, (g, evidence) in enumerate(zip(self.genes, self.evidence, strict=True)):
            methods = [informed_method(method, log_prior(evidence, p.theta), NET) for p in priors]
            fits += fit_together(g.dosage, g.expression, None, self.folds, seed, [methods])
        return fits, np.array([p.theta[0] for p in priors])

    def plain(self) -> list[GeneFit]:
        return [
            fit_held_out(g.dosage, g.expression, None, self.folds, seed, ElasticNet(NET))
            for seed, g in enumerate(self.genes)
        ]

    def unweighted(self) -> list[GeneFit]:
        equal = SusieBlup(np.zeros(len(self.genes[0].dosage)))
        return [
            fit_held_out(g.dosage, g.expression, None, self.folds, seed, equal)
            for seed, g in enumerate(self.genes)
        ]


def simulated(count: int = 16, n_variants: int = 150, h2: float = 0.1) -> Cohort:
    rng = np.random.default_rng(1)
    genes, evidence = [], []
    for _ in range(count):
        dosage = simulated_dosage(n_variants, PEOPLE, rng)
        magnitude = rng.exponential(size=n_variants) * (rng.random(n_variants) < 0.15)
        causal = rng.choice(np.flatnonzero(magnitude), 4, replace=False)
        score = (rng.choice([-1.0, 1.0], 4) * magnitude[causal]) @ dosage[causal]
        noise = rng.standard_normal(PEOPLE) * score.std() * np.sqrt(1 / h2 - 1)
        genes.append(LearningGene(dosage, score + noise, None))
        evidence.append(np.log1p(magnitude)[:, None])
    return Cohort(genes, evidence, make_folds(PEOPLE, FOLDS, np.random.default_rng(2)))


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


@pytest.mark.parametrize("method", INFORMED_METHODS)
def test_informative_magnitudes_help(cohort: Cohort, plain: np.ndarray, method: str) -> None:
    fits, theta = cohort.informed(method)
    assert (theta > 0).all()
    gain = r_of(fits) - plain
    assert gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain))


@pytest.mark.verify
def test_informative_magnitudes_help_by_a_seventh() -> None:
    """Over the plain net; and beyond doubt over the same average without evidence."""
    weak = simulated(count=40, n_variants=400)
    plain, informed, unweighted = (r_of(f) for f in (weak.plain(), weak.informed()[0], weak.unweighted()))
    assert informed.mean() >= 1.15 * plain.mean()
    gain = informed - unweighted
    assert gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain))


def test_shuffled_magnitudes_do_no_harm(cohort: Cohort) -> None:
    loss = r_of(cohort.unweighted()) - r_of(cohort.shuffled().informed()[0])
    assert loss.mean() < 0.01 + 2 * loss.std(ddof=1) / np.sqrt(len(loss))


def test_expression_of_other_people_is_not_predicted(cohort: Cohort) -> None:
    fits, _ = cohort.permuted().informed()
    fold_r = np.concatenate([f.fold_r[np.isfinite(f.fold_r)] for f in fits])
    assert abs(fold_r.mean()) < 3 * 1 / np.sqrt(len(fold_r) * (PEOPLE / FOLDS - 1))


def test_a_prior_sees_nothing_of_held_out_people(cohort: Cohort) -> None:
    away, rng, others = cohort.folds == 0, np.random.default_rng(7), []
    for g in cohort.genes:
        dosage, expression = g.dosage.copy(), g.expression.copy()
        dosage[:, away], expression[away] = 2 - dosage[:, away], 100 * rng.standard_normal(away.sum())
        others.append(replace(g, dosage=dosage, expression=expression))
    one, other = cohort.prior(0), replace(cohort, genes=others).prior(0)
    assert one.theta.tolist() == other.theta.tolist()
    assert one.gain == other.gain


def test_without_evidence_they_are_what_they_are(cohort: Cohort) -> None:
    g, rng = cohort.genes[0], np.random.default_rng(0)
    flat = log_prior(np.empty((len(g.dosage), 0)), np.empty(0))
    dosage, outcome = g.dosage.astype(float), g.expression
    shown = Predictors.of(dosage, NET.min_maf)
    net = informed_method("elastic_net", flat, NET).fit(shown, outcome, np.random.default_rng(1))
    plain = ElasticNet(NET).fit(shown, outcome, np.random.default_rng(1))
    np.testing.assert_array_equal(net.weights, plain.weights)
    shown = Predictors.of(dosage, 0.01)
    susie, blup = fit_susie(shown, outcome, flat), Blup().fit(shown, outcome, rng)
    both = SusieBlup(flat).fit(shown, outcome, rng)
    np.testing.assert_allclose(both.weights, (susie.weights + blup.weights) / 2, rtol=1e-6, atol=1e-9)
    expected = (susie.predict(dosage) + blup.predict(dosage)) / 2
    np.testing.assert_allclose(both.predict(dosage), expected, rtol=1e-6)


def slow_likelihood(cohort: Cohort, theta: np.ndarray) -> float:
    """Mean Bayes factor of each gene under its prior, one variant after the other."""
    total = -0.5 * theta @ theta
    for g, evidence in zip(cohort.genes, cohort.evidence, strict=True):
        support = gene_support(g, np.ones(PEOPLE, np.bool_), 0.01)
        odds = [np.exp(evidence[j] @ theta) for j in support.usable]
        factors = zip(odds, np.exp(support.log_factors), strict=True)
        total += np.log(sum(o * f for o, f in factors) / sum(odds))
    return float(total)


def test_theta_is_the_best_by_the_slow_twin(cohort: Cohort) -> None:
    found = cohort.prior(FOLDS)
    best = slow_likelihood(cohort, found.theta)
    for step in (-0.05, 0.05):
        assert slow_likelihood(cohort, found.theta + step) < best
    gain = best + 0.5 * found.theta @ found.theta - slow_likelihood(cohort, np.zeros(1))
    assert found.gain == pytest.approx(gain)
    assert found.genes == len(cohort.genes)


def test_bayes_factors_are_those_of_expression_without_covariates(cohort: Cohort) -> None:
    covariate = np.random.default_rng(3).standard_normal((PEOPLE, 1))
    g, everyone = cohort.genes[0], np.ones(PEOPLE, np.bool_)
    moved = replace(g, expression=g.expression + 50 * covariate[:, 0], covariates=covariate)
    one, other = (gene_support(x, everyone, 0.01) for x in (replace(g, covariates=covariate), moved))
    np.testing.assert_allclose(one.log_factors, other.log_factors, rtol=1e-9, atol=1e-9)


def test_evidence_that_says_nothing_stays_at_zero(cohort: Cohort) -> None:
    same = replace(cohort, evidence=[np.ones_like(e) for e in cohort.evidence])
    assert same.prior(0).theta.tolist() == [0.0]
    against = replace(cohort, evidence=[-e for e in cohort.evidence])
    assert against.prior(0).theta.tolist() == [0.0]


def test_useful_evidence_is_found_beside_useless_evidence(cohort: Cohort) -> None:
    rng = np.random.default_rng(8)
    both = replace(cohort, evidence=[np.hstack([rng.permutation(e), e]) for e in cohort.evidence])
    theta = both.prior(0).theta
    assert theta[1] > 3 * theta[0]


def test_distance_gives_a_power_law() -> None:
    evidence = distance_evidence(np.array([0, 10_000, -30_000]))[:, None]
    np.testing.assert_allclose(np.exp(log_prior(evidence, np.array([1.0]))), np.array([4, 2, 1]) / 7)
    factors = penalty_factors(log_prior(evidence, np.array([4.0])))
    np.testing.assert_allclose(factors, np.array([1, 4, 16]) / 16)


def test_factors_have_a_floor() -> None:
    assert penalty_factors(np.array([-100.0, 0.0])).tolist() == [1.0, SMALLEST_FACTOR]


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
        (np.ones((3, 1)), -np.ones(1), r"must not be negative[\s\S]*log odds \[-1.0\]"),
    ],
)
def test_evidence_that_makes_no_sense_is_refused(
    evidence: np.ndarray, theta: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        log_prior(evidence, theta)


def test_too_little_to_learn_from_is_refused(cohort: Cohort) -> None:
    with pytest.raises(ConfigError, match=r"too little to learn[\s\S]*at least 2 genes[\s\S]*1 of 1 genes"):
        replace(cohort, genes=cohort.genes[:1], evidence=cohort.evidence[:1]).prior(0)
    few = np.arange(PEOPLE) < 9
    with pytest.raises(ConfigError, match=r"too few people[\s\S]*at least 10[\s\S]*got: 9"):
        gene_support(cohort.genes[0], few, 0.01)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"no such informed method[\s\S]*susie_blup, elastic_net[\s\S]*got: x"
    ):
        informed_method("x", np.zeros(3), NET)
