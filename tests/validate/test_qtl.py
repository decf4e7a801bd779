"""QTL tables, the statistics over them, and the gap between accessibility and expression."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import hapsight as hs
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError
from hapsight.stats.ranks import auroc, grouped_auroc, grouped_mean
from hapsight.validate.qtl import (
    distance_signs,
    gc_signs,
    modality_gap,
    qtl_benchmark,
    read_qtls,
    right_sign,
    stretch_of_each,
)
from tests.cohort.files import write_fasta, write_table

SEQUENCE = "ACGTACGTACGTACGTACGT"


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qtl")
    write_fasta(folder / "g.fa.gz", {"chr1": SEQUENCE})
    return Reference(folder / "g.fa.gz")


def read(tmp_path, reference, rows):
    return read_qtls(write_table(tmp_path / "q.tsv", rows), reference)


def test_sites(tmp_path, reference):
    rows = [
        ["chrom", "pos", "ref", "alt", "beta", "source_id", "af", "peak_start", "peak_end"],
        ["1", 1, "A", "G", 0.5, "a", 0.7, 0, 9],
        ["chr1", 2, "c", "t", "-1e-1", "b", "", "", ""],
        ["chr1", 3, "A", "G", 1, "other ref", "", "", ""],
        ["chr9", 3, "A", "G", 1, "elsewhere", "", "", ""],
        ["chr1", 3, "G", "A", 0, "no sign", "", "", ""],
        ["chr1", 3, "G", "<DEL>", 1, "symbolic", "", "", ""],
        ["chr1", 1, "A", "G", 2, "again", "", "", ""],
    ]
    found, dropped = read(tmp_path, reference, rows)
    assert found["qtl_id"].to_list() == ["a", "b"]
    assert found["contig"].to_list() == ["chr1", "chr1"]
    assert found["position"].to_list() == [0, 1]
    assert found["alt"].to_list() == ["G", "T"]
    assert found["slope"].to_list() == [0.5, -0.1]
    assert found["maf"][0] == pytest.approx(0.3)
    assert found["centre"].to_list() == [4, None]
    assert {names[0] for names in dropped.names.values()} == {
        "other ref", "elsewhere", "no sign", "symbolic", "again",
    }  # fmt: skip


def test_places_in_names(tmp_path, reference):
    rows = [["variant_id", "slope"], ["1_1_A_G", 1], ["chr1:2:C:T", -1], ["rs1", 1]]
    found, dropped = read(tmp_path, reference, rows)
    assert list(zip(found["position"], found["slope"], strict=True)) == [(0, 1.0), (1, -1.0)]
    assert dropped.counts["qtl", "its name gives no place and alleles"] == 1


def test_pairs_of_sequences(tmp_path, reference):
    """Alleles are called by the alphabet, so that ALT says nothing of the sign."""
    rows = [
        ["source_id", "chrom", "high", "low"],
        ["chr2.500", "chr2", "AAGAA", "AACAA"],
        ["chr2.900", "chr2", "AACAA", "AAGAA"],
        ["chr2.901", "chr2", "AACAA", "AAGAT"],
        ["chr2.902", "chr2", "AACAA", "AACA"],
    ]
    found, dropped = read(tmp_path, reference, rows)
    assert found["ref"].to_list() == ["C", "C"]
    assert found["alt"].to_list() == ["G", "G"]
    assert found["slope"].to_list() == [1.0, -1.0]
    assert found["sequence_alt"].to_list() == ["AAGAA", "AAGAA"]
    assert found["position"].to_list() == [500, 900]
    assert sum(dropped.counts.values()) == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["chrom", "pos", "ref", "alt"], ["1", 1, "A", "G"]], "lacks columns"),
        ([["chrom", "pos", "beta"], ["1", 1, 1]], "lacks columns"),
        ([["chrom", "pos", "ref", "alt", "beta"], ["1", 1, "A", "G", "x"]], "not a finite number"),
        ([["chrom", "pos", "ref", "alt", "beta"], ["1", 1, "A", "G", "inf"]], "not a finite number"),
        ([["chrom", "pos", "ref", "alt", "beta"], ["1", 1.5, "A", "G", 1]], "whole number"),
        ([["chrom", "pos", "ref", "alt", "beta"], ["1", 10**12, "A", "G", 1]], "another genome build"),
        ([["chrom", "pos", "ref", "alt", "beta"], ["1", 1, "C", "G", 1]], "another genome build"),
        ([["chrom", "pos", "ref", "alt", "beta"], ["7", 1, "C", "G", 1]], "no row that can be used"),
        ([["chrom", "high", "low"], ["1", "AXA", "AAA"]], "other letters"),
        ([["chrom", "pos", "ref", "alt", "beta", "af"], ["1", 1, "A", "G", 1, 30]], "between 0 and 1"),
        (
            [["chrom", "pos", "ref", "alt", "beta", "peak_start", "peak_end"], ["1", 1, "A", "G", 1, 9, 9]],
            "end behind",
        ),
    ],
)
def test_broken_tables(tmp_path, reference, rows, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, reference, rows)


def test_stretches_of_a_megabase():
    found = stretch_of_each(
        ["chr1", "1", "chr1", "chr2", "chr2", "chr2"], [5, 999_999, 1_000_000, 5, None, None]
    )
    assert found[0] == found[1]
    assert len(set(found.tolist())) == 5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_mean_by_groups_is_that_of_its_slow_twin(seed):
    rng = np.random.default_rng(seed)
    values, less = rng.integers(0, 2, (2, 60)).astype(float)
    values[rng.random(60) < 0.2] = np.nan
    group = rng.integers(0, 9, 60)
    found = grouped_mean(values, group, np.random.default_rng(1), less=less, draws=50)
    assert found.value == pytest.approx(np.nanmean(values) - less.mean())
    _, index = np.unique(group, return_inverse=True)
    size = index.max() + 1
    drawn = np.random.default_rng(1).multinomial(size, np.full(size, 1 / size), size=50)
    slow = []
    for times in drawn:
        rows = np.concatenate([np.repeat(np.flatnonzero(index == g), n) for g, n in enumerate(times)])
        slow.append(np.nanmean(values[rows]) - less[rows].mean())
    assert (found.ci_low, found.ci_high) == pytest.approx(np.quantile(slow, (0.025, 0.975)))


def test_no_interval_of_few_groups_or_of_what_does_not_vary():
    rng = np.random.default_rng(1)
    assert grouped_mean(np.array([0.0, 1, 0, 1]), np.arange(4), rng).ci_low is None
    assert grouped_mean(np.ones(9), np.arange(9), rng).ci_low is None
    assert grouped_mean(np.full(9, np.nan), np.arange(9), rng).value is None


def test_auroc_by_groups_is_that_of_each_draw():
    rng = np.random.default_rng(2)
    score, positive = rng.integers(0, 6, 80).astype(float), rng.random(80) < 0.4
    group = rng.integers(0, 12, 80)
    found = grouped_auroc(score, positive, group, np.random.default_rng(3), draws=40)
    assert found.value == auroc(score, positive).value
    again, areas = np.random.default_rng(3), []
    for _ in range(40):
        drawn = again.integers(12, size=12)
        rows = np.concatenate([np.flatnonzero(group == g) for g in drawn])
        areas.append(auroc(score[rows], positive[rows]).value)
    assert (found.ci_low, found.ci_high) == pytest.approx(np.quantile(areas, (0.025, 0.975)))


def test_the_benchmark_by_hand():
    effect = np.array([3.0, -2.0, 1.0, 0.0, -0.5, 0.1, 0.2, -0.1])
    slope = np.array([1.0, -2.0, -1.0, 1.0, -1.0, 3.0, 2.0, 4.0])
    distance = np.array([10.0, 2e3, 2e4, 2e5, np.nan, 10, 10, 10])
    rows = {
        (one.quantity, one.stratum): one.found
        for one in qtl_benchmark(effect, slope, distance, np.arange(8), np.random.default_rng(1), draws=20)
    }
    assert rows["sign_agrees", "all"].value == pytest.approx(5 / 7)  # 0 has no sign
    interval = stats.binomtest(5, 7).proportion_ci(method="wilson")
    assert rows["sign_agrees", "all"].ci_low == pytest.approx(interval.low)
    assert rows["sign_agrees", "effect top half"].value == pytest.approx(3 / 4)  # 3, -2, 1, -.5
    assert rows["sign_agrees", "effect top twentieth"].n == 1
    assert rows["sign_agrees", "distance < 1000"].n == 4
    assert rows["sign_agrees", "measured quarter 4"].value == pytest.approx(1 / 2)  # slopes 3 and 4
    third = rows["sign_agrees", "measured quarter 3"]  # slopes -2 and 2
    assert (third.value, third.n) == (1.0, 2)
    assert rows["pearson", "all"].value == pytest.approx(stats.pearsonr(effect, slope).statistic)
    assert rows["spearman", "all"].value == pytest.approx(stats.spearmanr(effect, slope).statistic)
    bare = qtl_benchmark(effect, np.sign(slope), distance, np.arange(8), np.random.default_rng(1), draws=20)
    assert not any("pearson" in one.quantity or "quarter 1" in one.stratum for one in bare)


def test_what_stands_beside_models():
    assert gc_signs(["A", "G", "C", "AT"], ["G", "T", "G", "A"]).tolist() == [1, -1, 0, 0]
    rng = np.random.default_rng(1)
    distance = 10 ** rng.uniform(0, 6, 400)
    slope = np.where(distance > 1e3, 1.0, -1.0)
    group = np.arange(400) // 4
    assert np.nanmean(right_sign(distance_signs(distance, slope, group), slope)) > 0.9
    shuffled = rng.permutation(slope)
    assert np.nanmean(right_sign(distance_signs(distance, shuffled, group), shuffled)) < 0.75
    distance[:7] = np.nan
    assert np.isnan(distance_signs(distance, slope, group)[:7]).all()


def test_a_fold_is_not_told_its_own_signs():
    distance, slope = np.full(40, 50.0), np.repeat([1.0, -1.0], 20)
    group = np.repeat([0, 1], 20)
    assert (right_sign(distance_signs(distance, slope, group), slope) == 0).all()


def gap_of(*sides, **others):
    table = modality_gap(*(np.array(side, float) for side in sides), np.arange(len(sides[0])), **others)
    return dict(zip(table["quantity"], table["value"], strict=True)), table


def test_the_gap_by_hand():
    effect = [1, 1, 1, -1, 0, 1]
    accessibility = [1, 1, -1, 1, 1, 1]
    expression = [1, -1, 1, 1, 1, -1]
    gene_effect = [1, np.nan, -1, 1, 1, np.nan]
    found, table = gap_of(effect, accessibility, expression, gene_effect=np.array(gene_effect))
    assert found["accessibility_right"] == pytest.approx(3 / 5)
    assert found["expression_right"] == pytest.approx(2 / 5)
    assert found["gap"] == pytest.approx(1 / 5)
    assert found["measured_carries"] == pytest.approx(3 / 6)
    assert found["carries_if_right"] == pytest.approx(1 / 3)
    assert found["carries_if_wrong"] == pytest.approx(1 / 2)
    assert found["measured_carries_if_wrong"] == pytest.approx(1 / 2)
    assert found["mediation"] == pytest.approx(1 / 3 - 1 / 2)
    assert found["expression_right.gene"] == pytest.approx(3 / 4)
    assert found["gap.gene"] == pytest.approx(1 / 3 - 2 / 3)
    assert table["n"].to_list()[0] == 5
    assert hs.modality_gap is modality_gap


def test_a_planted_gap_is_found():
    """Right at accessibility in 90 %, which carries to expression in 60 %."""
    rng = np.random.default_rng(5)
    accessibility = rng.standard_normal(2000)
    effect = accessibility * np.where(rng.random(2000) < 0.9, 1, -1)
    expression = accessibility * np.where(rng.random(2000) < 0.6, 1, -1)
    table = modality_gap(effect, accessibility, expression, np.arange(2000) // 10)
    rows = {row["quantity"]: row for row in table.iter_rows(named=True)}
    expected = {"accessibility_right": 0.9, "expression_right": 0.58, "gap": 0.32, "measured_carries": 0.6}
    for name, value in (expected | {"mediation": 0.0}).items():
        assert rows[name]["ci_low"] < value < rows[name]["ci_high"]
        assert rows[name]["value"] == pytest.approx(value, abs=0.07)


def test_shapes_of_the_gap():
    with pytest.raises(InputError, match="one effect, two slopes"):
        modality_gap(np.ones(3), np.ones(3), np.ones(2), np.arange(3))
    assert gap_of([], [], [])[0]["gap"] is None


def test_slopes_are_of_the_allele_that_the_table_names(tmp_path, reference):
    rows = [
        ["chrom", "pos", "ref", "alt", "A1", "beta"],
        ["1", 1, "A", "G", "G", 2],
        ["1", 2, "C", "T", "C", 3],
    ]
    found, _ = read(tmp_path, reference, rows)
    assert found.select("ref", "alt", "slope").rows() == [("A", "G", 2.0), ("C", "T", -3.0)]
    with pytest.raises(InputError, match=r"neither REF nor ALT[\s\S]*row 2, column A1"):
        read(tmp_path, reference, [rows[0], ["1", 1, "A", "G", "T", 2]])
