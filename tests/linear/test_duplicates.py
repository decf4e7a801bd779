"""Merging variants in perfect linkage changes nothing but the time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.least_squares import distinct_rows
from hapsight.linear.elastic_net import ElasticNetOptions, fit_cross_validated, shared_penalty
from tests.linear.cohort import simulated_gene
from tests.linear.naive import elastic_net


def canonical(row: np.ndarray) -> tuple[float, ...]:
    return min(tuple(row), tuple(2.0 - row))


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 6))
def test_groups_equal_the_slow_twin(seed: int, n_variants: int, n: int) -> None:
    dosage = np.random.default_rng(seed).integers(0, 3, (n_variants, n)).astype(float)
    found = distinct_rows(dosage)
    assert found.group.tolist() == distinct_rows(dosage.astype(np.uint8)).group.tolist()
    keys = [canonical(row) for row in dosage]
    expected = list(dict.fromkeys(keys))
    assert [keys[i] for i in found.first] == expected
    assert found.copies.tolist() == [keys.count(key) for key in expected]
    for v in range(n_variants):
        original = dosage[found.first[found.group[v]]]
        np.testing.assert_array_equal(dosage[v], original if found.sign[v] > 0 else 2.0 - original)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), copies=st.integers(1, 4))
def test_copied_and_complemented_variants_share_the_weight(seed: int, copies: int) -> None:
    dosage, outcome, fold = simulated_gene(30, 25, seed)
    dosage = np.vstack([dosage, *[dosage[:3], 2 - dosage[3:5]] * copies]).astype(float)
    options = ElasticNetOptions(alpha=0.4, min_maf=0.0, thresh=1e-16, n_lambdas=12)
    fit = fit_cross_validated(dosage, outcome, fold, options)
    weights, intercept = elastic_net(dosage, outcome, fit.lambda_min, 0.4)
    np.testing.assert_allclose(fit.weights, weights, atol=1e-4)
    np.testing.assert_allclose(fit.intercept, intercept, atol=1e-4)


def test_the_weight_of_a_group_is_shared_with_its_signs() -> None:
    groups = distinct_rows(np.array([[0.0, 1, 2], [0, 0, 1], [2, 1, 0], [0, 1, 2]]))
    penalty = shared_penalty(groups, np.ones(4), 0.5)
    shared = penalty.spread(np.array([0.6, 1.0]), np.array([1.0, 2.0]))
    assert shared.tolist() == [0.6 / 3, 1.0, -0.6 / 3, 0.6 / 3]
