"""Learned weights of elements: sums against a slow loop, planted weights found, nothing seen of others."""

from __future__ import annotations

import numpy as np
import pytest

from hapsight.cohort.nouns import Gene
from hapsight.engine.elements import PersonalElements
from hapsight.errors import ConfigError
from hapsight.models.elements import ElementSum
from hapsight.train.element_weights import (
    ElementData,
    LearnedWeights,
    learn_weights,
    personal_values,
    unseen_values,
)
from tests.engine.test_elements import Element

PEOPLE, GENES = 40, 10
MODEL = ElementSum(Element(), {"1": np.array([5])}, 100.0, None, 0.1)
PLANTED = LearnedWeights(np.array([0.5, 0.0, -0.3, 0.8, 0.0, -0.5]), 0.7, 2.0, 0.0)


def planted(seed: int = 0) -> list[PersonalElements]:
    """Genes 2 Mb apart, five elements each and the TSS; the last element is the same in all people."""
    rng, found = np.random.default_rng(seed), []
    for g in range(GENES):
        distances = np.array([0, 400, -3_000, 9_000, -40_000, 90_000])
        values = rng.normal(2.0, 1.5, (7, 6))
        values[:, -1] = 1.5
        index = rng.integers(0, 7 if g else 1, (PEOPLE, 2))
        found.append(PersonalElements(Gene(f"g{g}", "1", 2_000_000 * g), distances, values, index))
    return found


def slowly(gene: PersonalElements, weights: LearnedWeights, person: int) -> float:
    total = []
    for haplotype in range(2):
        value = 0.1
        for e, distance in enumerate(gene.distances.tolist()):
            kind = [abs(distance) <= edge for edge in (0, 1_000, 5_000, 20_000, 50_000, 1e9)].index(True)
            activity = max(2.0 ** gene.values[gene.index[person, haplotype], e] - 0.1, 0.0) + 1e-6
            law = (5_000 / max(abs(distance), 5_000)) ** 1.02
            value += np.exp(weights.log_weights[kind]) * law * activity**weights.exponent
        total.append(np.log2(value))
    return weights.scale * float(np.mean(total))


@pytest.mark.parametrize("weights", [PLANTED, LearnedWeights.untrained()])
def test_values_are_the_slow_sums(weights: LearnedWeights) -> None:
    found = planted()
    data = ElementData.of(MODEL, found, "abc")
    expected = [[slowly(gene, weights, person) for person in range(PEOPLE)] for gene in found]
    np.testing.assert_allclose(personal_values(data, weights), expected, atol=1e-9)
    assert data.varies.tolist() == [False] + [True] * (GENES - 1)


def test_untrained_is_the_read_out() -> None:
    found = planted()
    values = personal_values(ElementData.of(MODEL, found, "abc"), LearnedWeights.untrained())
    for gene, own in zip(found, values, strict=True):
        made = MODEL.combine(gene.values[:, :, None], gene.distances, "abc")[:, 0]
        np.testing.assert_allclose(own, made[gene.index].mean(axis=1), atol=1e-4)


def expression_of(data: ElementData) -> np.ndarray:
    return personal_values(data, PLANTED) + np.random.default_rng(1).normal(0, 0.05, (GENES, PEOPLE))


def z_scores(values: np.ndarray) -> np.ndarray:
    sd = values.std(axis=1, keepdims=True)
    return (values - values.mean(axis=1, keepdims=True)) / np.where(sd > 1e-9, sd, 1.0)


def test_planted_weights_are_found_better_than_none() -> None:
    data = ElementData.of(MODEL, planted(), "abc")
    z, everything = z_scores(expression_of(data)), np.ones(GENES, np.bool_)
    people = np.ones(PEOPLE, np.bool_)
    found = learn_weights(data, z, everything, people)
    assert np.corrcoef(found.log_weights[:5], PLANTED.log_weights[:5])[0, 1] > 0.8
    untrained = z_scores(personal_values(data, LearnedWeights.untrained()))[1:]
    said = z_scores(personal_values(data, found))[1:]
    assert np.mean(said * z[1:]) > np.mean(untrained * z[1:]) + 0.02
    rest = 2 * np.var(personal_values(data, found)[1:] - z[1:], axis=1, ddof=1)
    ridge = 1e-3 * (np.sum(found.log_weights**2) + (found.exponent - 1) ** 2)
    assert found.loss == pytest.approx(rest.mean() + ridge)
    assert np.mean(said * z[1:]) > 0.97


def test_held_out_people_and_genes_are_not_looked_at() -> None:
    data = ElementData.of(MODEL, planted(), "abc")
    expression, folds = expression_of(data), np.arange(PEOPLE) % 2
    tss = 2_000_000 * np.arange(GENES)
    covariates = np.random.default_rng(2).normal(size=(PEOPLE, 2))
    given = (covariates, ["1"] * GENES, tss, folds)
    predicted, observed, weights = unseen_values(data, expression, *given)
    assert len(weights) == 5 * 2
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted[1:], observed[1:], strict=True)]
    assert np.mean(r) > 0.8
    other = expression.copy()
    other[:2] = np.random.default_rng(3).normal(size=(2, PEOPLE))  # the genes of the first stretch
    other[:, folds == 0] = np.random.default_rng(4).normal(size=(GENES, PEOPLE // 2))  # the first fold
    again, _, _ = unseen_values(data, other, *given)
    np.testing.assert_array_equal(again[:2, folds == 0], predicted[:2, folds == 0])
    assert not np.allclose(again[2:, folds == 0], predicted[2:, folds == 0])


def test_a_loss_on_another_scale_is_refused() -> None:
    data = ElementData.of(MODEL, planted(), "abc")
    everyone, nothing = np.ones(PEOPLE, np.bool_), np.zeros(GENES, np.bool_)
    with pytest.raises(ConfigError, match="a loss on z-scores"):
        learn_weights(data, np.zeros((GENES, PEOPLE)), ~nothing, everyone, "pairwise_bce")
    with pytest.raises(ConfigError, match="0 genes"):
        learn_weights(data, np.zeros((GENES, PEOPLE)), nothing, everyone)
