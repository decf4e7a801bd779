from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.cohort.expression import Expression
from hapsight.cohort.join import Cohort, exchange_within, permute_people
from hapsight.cohort.nouns import Gene
from hapsight.cohort.people import Covariates


@given(st.lists(st.sampled_from(["CEU", "TSI", None]), max_size=30), st.integers(0, 99))
def test_everyone_stays_in_their_group(groups, seed):
    order = exchange_within(groups, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(groups)))
    assert [groups[i] for i in order] == groups


def test_people_are_moved():
    order = exchange_within(["a", "b"] * 20, np.random.default_rng(1))
    assert (order != np.arange(40)).mean() > 0.8


@pytest.mark.parametrize("with_covariates", [True, False])
def test_expression_and_covariates_move_together(with_covariates):
    samples = tuple(f"P{i}" for i in range(10))
    values = np.arange(10.0)
    covariates = Covariates(("age",), samples, values[:, None]) if with_covariates else None
    genes = (Gene("g", "chr1", 5), Gene("h", "chr1", 9))
    expression = Expression(genes, samples, np.array([values, values + 100]))
    nothing = SimpleNamespace()
    cohort = Cohort(samples, ("CEU", "TSI") * 5, genes, expression, covariates, nothing, nothing, ("a note",))
    found = permute_people(cohort, 3)
    moved = found.expression.values[0]
    assert moved.tolist() != values.tolist()
    assert set(moved[::2]) == set(values[::2])
    np.testing.assert_array_equal(found.expression.values[1], moved + 100)
    if with_covariates:
        np.testing.assert_array_equal(found.covariates.values[:, 0], moved)
    assert found.samples == samples
    assert found.notes[0] == "a note"
    assert "NEGATIVE CONTROL" in found.notes[1]
    assert "permuted = 3" in found.notes[1]
    np.testing.assert_array_equal(permute_people(cohort, 3).expression.values, found.expression.values)


@pytest.mark.parametrize("with_covariates", [True, False])
def test_observed_is_what_least_squares_leaves_of_the_logarithm(with_covariates):
    rng = np.random.default_rng(4)
    samples = tuple(f"P{i}" for i in range(10))
    genes = (Gene("g", "chr1", 5), Gene("h", "chr1", 9))
    expression = Expression(genes, samples, rng.uniform(0, 9, (2, 10)))
    columns = np.column_stack([np.ones(10), rng.standard_normal((10, 2 if with_covariates else 0))])
    covariates = Covariates(("age", "PC1"), samples, columns[:, 1:]) if with_covariates else None
    nothing = SimpleNamespace()
    cohort = Cohort(samples, (None,) * 10, genes, expression, covariates, nothing, nothing, ())
    for made, values in (
        (cohort, np.log10(expression.values + 0.1)),
        (replace(cohort, transform="none"), expression.values),
        (replace(cohort, pseudocount=1.0), np.log10(expression.values + 1)),
    ):
        np.testing.assert_allclose(made.transformed, values, rtol=1e-14)
        for gene, row in zip(genes, values, strict=True):
            left = row - columns @ np.linalg.lstsq(columns, row, rcond=None)[0]
            np.testing.assert_allclose(made.observed(gene), left, atol=1e-13)
            np.testing.assert_array_equal(made.observed(gene), made.observed(gene.gene_id))
    assert made.residual is made.residual
