"""Independent signals of simulated genes whose signals are known."""

import numpy as np

from hapsight.least_squares import Design
from hapsight.stats import eqtl_permutations
from hapsight.stats.eqtl import CisDosage
from hapsight.stats.eqtl_permutations import draw_permutations, independent_signals, map_gene
from tests.stats.eqtl_naive import regression, simulated

N = 300


def signals_of(dosage, expression, covariates, threshold=0.01):
    design = Design.of(N, covariates)
    outcome = design.residuals(expression)
    permutations = draw_permutations(N, 199, np.random.default_rng(1))
    first = map_gene(CisDosage.of(dosage, design), outcome, permutations)
    return independent_signals(dosage, outcome, covariates, permutations, first, threshold)


def gene(seed=0):
    rng = np.random.default_rng(seed)
    dosage, covariates = simulated(80, N, 3, rng)
    return dosage, covariates, rng


def test_three_planted_signals_are_found_in_the_order_of_their_strength():
    dosage, covariates, rng = gene()
    expression = dosage[10] * 1.5 - 1.0 * dosage[40] + 0.7 * dosage[70] + rng.standard_normal(N)
    found = signals_of(dosage, expression, covariates)
    assert [(s.rank, s.test.variant) for s in found] == [(1, 10), (2, 40), (3, 70)]
    assert [np.sign(s.test.slope) for s in found] == [1, -1, 1]


def test_the_effect_of_a_signal_is_that_beside_the_other_signals():
    dosage, covariates, rng = gene(1)
    expression = dosage[10] - 0.8 * dosage[40] + rng.standard_normal(N)
    found = signals_of(dosage, expression, covariates)
    assert [s.test.variant for s in found] == [10, 40]
    for signal, other in zip(found, (40, 10), strict=True):
        twin = regression(
            dosage[signal.test.variant], expression, np.column_stack([covariates, dosage[other]])
        )
        assert np.isclose(signal.test.slope, twin["slope"])
        assert np.isclose(signal.test.slope_se, twin["slope_se"])
        assert np.isclose(signal.test.pval_nominal, twin["pval_nominal"])


def test_one_signal_is_the_marginal_one():
    dosage, covariates, rng = gene(2)
    expression = dosage[20] + rng.standard_normal(N)
    (only,) = signals_of(dosage, expression, covariates, threshold=1e-6)
    assert (only.rank, only.test.variant) == (1, 20)
    twin = regression(dosage[20], expression, covariates)
    assert np.isclose(only.test.slope, twin["slope"])


def test_two_signals_that_hide_behind_one_variant_are_told_apart():
    """A variant between two causal ones is strongest at first; beside both it has nothing left."""
    dosage, covariates, rng = gene(3)
    left, right = (rng.binomial(2, 0.4, N).astype(np.uint8) for _ in range(2))
    between = np.where(rng.random(N) < 0.5, left, right).astype(np.uint8)
    dosage[30], dosage[31], dosage[32] = left, between, right
    expression = left + right.astype(float) + 0.5 * rng.standard_normal(N)
    found = signals_of(dosage, expression, covariates)
    assert {30, 32} <= {s.test.variant for s in found}
    assert len({s.test.variant for s in found}) == len(found)


def test_copies_of_a_signal_are_no_second_signal():
    dosage, covariates, rng = gene(4)
    dosage[21], dosage[22] = dosage[20], 2 - dosage[20]
    found = signals_of(dosage, dosage[20] + 0.3 * rng.standard_normal(N), covariates, threshold=1e-4)
    assert [s.test.variant for s in found] == [20]


def test_few_people_end_the_search():
    rng = np.random.default_rng(5)
    dosage, _ = simulated(30, 6, 0, rng)
    design = Design.of(6, None)
    permutations = draw_permutations(6, 99, rng)
    outcome = design.residuals(rng.standard_normal(6))
    first = map_gene(CisDosage.of(dosage, design), outcome, permutations)
    found = independent_signals(dosage, outcome, None, permutations, first, 1.0)
    assert 1 <= len(found) <= 4


def test_no_scan_is_made_twice(monkeypatch):
    """Two signals: given the first, given both, and given the second; the first's own is known."""
    dosage, covariates, rng = gene(1)
    expression = dosage[10] - 0.8 * dosage[40] + rng.standard_normal(N)
    once, made = signals_of(dosage, expression, covariates), []

    def counted(*arguments):
        made.append(arguments)
        return map_gene(*arguments)

    monkeypatch.setattr(eqtl_permutations, "map_gene", counted)
    assert signals_of(dosage, expression, covariates) == once
    assert len(made) == 3
