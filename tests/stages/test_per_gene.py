from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from hapsight.cohort.nouns import Gene, Strand
from hapsight.run.arms import Arm, Comparison
from hapsight.run.store import UnitStore
from hapsight.seeds import stream
from hapsight.stages.evaluate import Chance, gene_row, with_qvalues
from hapsight.stats.nulls import TESTS, permutations, random_weights_null
from hapsight.tables import PER_GENE

ARM = Arm(
    *("toy", "default", "default", "as given"),
    made_by=None,
    store=UnitStore(Path()),
    units=(),
    window=lambda gene: gene.cis(1),
    compare=lambda *_: iter(()),
)
"""Something that is judged; its numbers are made here."""


@pytest.fixture(scope="module")
def chance() -> Chance:
    orders = permutations(["a"] * 25 + ["b"] * 25, 199, np.random.default_rng(0))
    return Chance(draws=150, seed=3, orders=orders)


def compared(
    name: str,
    effect: float,
    *,
    predicted: float | None = None,
    status: str | None = None,
    fold: np.ndarray | None = None,
) -> Comparison:
    rng = np.random.default_rng(len(name))
    dosage = rng.integers(0, 3, (5, 50)).astype(np.uint8)
    made = dosage[0] + 0.5 * dosage[1]
    observed = effect * made + rng.standard_normal(50)
    values = made if predicted is None else np.full(50, predicted)
    return Comparison(
        Gene(name, "chr1", 9, Strand.MINUS, name.upper()),
        values,
        observed,
        0.0,
        lambda: dosage,
        4,
        status,
        fold,
    )


def test_every_test_of_a_gene_the_slow_way(chance):
    one = compared("gene", -0.4)
    row = gene_row(ARM, one, chance)
    assert set(row) == set(PER_GENE)
    r, nominal = stats.pearsonr(one.predicted, one.observed)
    null = random_weights_null(one.dosage, one.observed, 150, stream(3, "random weights", "gene"))
    exchanged = [abs(stats.pearsonr(one.predicted[order], one.observed)[0]) for order in chance.orders]
    wanted = {
        "pearson_r": r,
        "pval_nominal": nominal,
        "pval_empirical": (1 + sum(null >= abs(r))) / 151,
        "pval_permutation": (1 + sum(np.array(exchanged) >= abs(r))) / 200,
        "z": (abs(r) - null.mean()) / null.std(ddof=1),
        "pval_z": stats.norm.sf((abs(r) - null.mean()) / null.std(ddof=1)),
        "pval_sasse2023": stats.t.sf((abs(r) - null[:50].mean()) / np.sqrt(null[:50].std() / 50), 49),
    }
    for name, value in wanted.items():
        assert row[name] == pytest.approx(value), name
    assert (row["gene_id"], row["strand"], row["n"], row["n_variants"]) == ("gene", "-", 50, 5)


@pytest.mark.parametrize(
    ("one", "status"),
    [
        (compared("flat", 1.0, predicted=2.0), "constant_prediction"),
        (compared("none", 1.0, status="no_model"), "no_model"),
    ],
)
def test_a_gene_without_correlation_has_no_p(chance, one, status):
    row = gene_row(ARM, one, chance)
    assert (row["status"], row["n"]) == (status, 50)
    assert row["pearson_r"] is None
    assert all(row[f"pval_{test}"] is None for test in TESTS)


def test_a_prediction_that_varies_without_a_variant_has_a_status(chance):
    """Everybody is heterozygous at both sites and they differ in phase: the null has nothing to weigh."""
    one = replace(compared("phase", 1.0), read_dosage=lambda: np.ones((2, 50), np.uint8))
    row = gene_row(ARM, one, chance)
    assert (row["status"], row["n"], row["n_variants"]) == ("no_variable_variant", 50, 2)
    assert row["pearson_r"] is row["ci_low"] is row["pval_nominal"] is row["pval_empirical"] is None
    nothing = gene_row(ARM, replace(one, read_dosage=lambda: np.empty((0, 50), np.uint8)), chance)
    assert nothing["status"] == "no_variable_variant"


@pytest.mark.parametrize("test", TESTS)
def test_q_is_over_the_tested_genes_and_qval_is_the_protocols(chance, test):
    fold = np.arange(50) % 3
    genes = [compared("a" * i, 0.3 * i, fold=fold) for i in range(1, 6)] + [
        compared("flat", 1.0, predicted=2.0)
    ]
    found = pl.DataFrame([gene_row(ARM, one, chance) for one in genes], schema=PER_GENE)
    table = with_qvalues(found, test)
    assert table.schema == found.schema
    for name in TESTS:
        wanted = stats.false_discovery_control(found[f"pval_{name}"].to_numpy()[:5])
        np.testing.assert_allclose(table[f"qval_{name}"].to_numpy()[:5], wanted)
        assert table[f"qval_{name}"][5] is None
    assert table["qval"].equals(table[f"qval_{test}"])


def test_what_was_not_held_out_has_no_p_of_folds(chance):
    rows = [gene_row(ARM, compared("a" * i, 0.3), chance) for i in (1, 2)]
    table = with_qvalues(pl.DataFrame(rows, schema=PER_GENE), "empirical")
    assert table["pval_folds"].to_list() == table["qval_folds"].to_list() == [None, None]


def test_random_weights_are_drawn_once_for_the_same_outcome(chance):
    one = compared("gene", -0.4)
    assert chance.random_weights(one) is chance.random_weights(compared("gene", -0.4))
    assert chance.random_weights(compared("gene", 0.4)) is not chance.random_weights(one)


def test_no_tested_gene_has_no_q(chance):
    row = gene_row(ARM, compared("flat", 1.0, predicted=2.0), chance)
    table = with_qvalues(pl.DataFrame([row], schema=PER_GENE), "empirical")
    assert table["qval"].to_list() == [None]
