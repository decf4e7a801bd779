import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.nouns import Gene, Strand, Variants
from hapsight.dna import decode, reverse_complement
from hapsight.errors import ConfigError
from hapsight.sequence import haplotypes
from hapsight.sequence.edits import distinct_columns, distinct_rows
from hapsight.sequence.haplotypes import Window, coordinate_map, find_haplotypes, personal_sequences
from tests.sequence.naive import naive_window, toy_reference, toy_variants

REFERENCE = "ACGTACGGTTCATGCAACTGGATCCATGAC"


def build(window: Window, variants: Variants, reference: str = REFERENCE):
    return personal_sequences(window, variants.within, toy_reference(reference))


def sequence_of(made, person: int, haplotype: int) -> str:
    return decode(made.distinct[made.index[person, haplotype]])


def test_without_variants_everybody_has_the_reference():
    made = build(Window("c", 10, 4, 6), toy_variants([], np.zeros((0, 3, 2))))
    assert len(made.distinct) == 1
    assert decode(made.distinct[0]) == REFERENCE[6:16] == decode(made.reference)
    assert made.index.tolist() == [[0, 0]] * 3


def test_snv_on_one_haplotype():
    made = build(Window("c", 10, 4, 6), toy_variants([(12, "T", "A")], [[[0, 1]]]))
    assert sequence_of(made, 0, 0) == "GGTTCATGCA"
    assert sequence_of(made, 0, 1) == "GGTTCAAGCA"
    assert made.n_variants == 1


def test_deletion_upstream_of_the_anchor_moves_the_left_edge_only():
    made = build(Window("c", 10, 4, 6), toy_variants([(7, "GTT", "G")], [[[1, 1]]]))
    assert sequence_of(made, 0, 0) == "ACGG" + REFERENCE[10:16]
    assert made.index.tolist() == [[0, 0]]


def test_insertion_downstream_of_the_anchor_moves_the_right_edge_only():
    made = build(Window("c", 10, 4, 6), toy_variants([(11, "A", "ACC")], [[[1, 0]]]))
    assert sequence_of(made, 0, 0) == REFERENCE[6:12] + "CC" + REFERENCE[12:14]


def test_insertion_between_the_anchor_and_the_base_before_lies_before():
    made = build(Window("c", 10, 4, 6), toy_variants([(9, "T", "TAA")], [[[1, 0]]]))
    assert sequence_of(made, 0, 0) == "TTAA" + REFERENCE[10:16]


def test_where_the_anchor_is_deleted_the_next_base_takes_its_place():
    made = build(Window("c", 10, 4, 6), toy_variants([(8, "TTCA", "T")], [[[1, 0]]]))
    assert sequence_of(made, 0, 0) == REFERENCE[5:9] + REFERENCE[12:18]


def test_what_is_inserted_behind_a_deleted_anchor_lies_before_the_base_in_its_place():
    """As between two bases that are there; `bcftools consensus` takes both records."""
    records = [(8, REFERENCE[8:12], "G"), (11, REFERENCE[11], REFERENCE[11] + "CC")]
    made = build(Window("c", 10, 4, 6), toy_variants(records, [[[1, 0]], [[1, 0]]]))
    assert sequence_of(made, 0, 0) == REFERENCE[7] + "GCC" + REFERENCE[12:18]


def test_variants_beyond_the_window_come_in_with_a_deletion():
    records = [(2, "G", "T"), (5, "CGGTT", "C")]
    made = build(Window("c", 10, 4, 6), toy_variants(records, np.ones((2, 1, 2))))
    assert sequence_of(made, 0, 0) == "TTAC" + REFERENCE[10:16]


def test_an_edit_outside_the_window_changes_nothing():
    variants = toy_variants([(3, "T", "A"), (20, "G", "C")], np.ones((2, 2, 2)))
    made = build(Window("c", 10, 4, 6), variants)
    assert decode(made.distinct[0]) == REFERENCE[6:16]
    assert made.n_variants == 0


def test_contig_ends_are_padded_on_the_side_that_is_missing():
    left = build(Window("c", 2, 6, 4), toy_variants([], np.zeros((0, 1, 2))))
    assert decode(left.distinct[0]) == "NNNN" + REFERENCE[:6]
    right = build(Window("c", 28, 4, 6), toy_variants([], np.zeros((0, 1, 2))))
    assert decode(right.distinct[0]) == REFERENCE[24:] + "NNNN"


def test_overlapping_records_of_one_haplotype_are_counted_and_named():
    records = [(11, "ATG", "A"), (12, "T", "C")]
    made = build(Window("c", 10, 4, 6), toy_variants(records, [[[1, 0]], [[1, 1]]]))
    assert sequence_of(made, 0, 0) == "GGTTCACAAC"
    assert sequence_of(made, 0, 1) == "GGTTCACGCA"
    (row,) = made.dropped.rows()
    assert row["count"] == 1
    assert row["names"] == ["c:13 T>C P0 haplotype 1"]


def test_snv_and_indel_of_one_position_go_together():
    records = [(11, "A", "G"), (11, "AT", "A")]
    made = build(Window("c", 10, 4, 6), toy_variants(records, np.ones((2, 1, 2))))
    assert sequence_of(made, 0, 0) == "GGTTCGGCAA"
    assert not made.dropped.rows()


def test_sequences_equal_in_bytes_are_one_even_from_different_variants():
    records = [(12, "T", "TT"), (13, "G", "TG")]
    made = build(Window("c", 10, 4, 6), toy_variants(records, [[[1, 0]], [[0, 1]]]))
    assert len(made.distinct) == 1


def test_oriented_window_of_a_minus_gene_has_its_tss_at_the_same_index():
    gene = Gene("g", "c", 10, Strand.MINUS)
    window = Window.around(gene, upstream=7, downstream=3, oriented=True)
    made = build(window, toy_variants([], np.zeros((0, 1, 2))))
    assert window.length == 10
    assert made.oriented(made.distinct)[0, 7] == reverse_complement(toy_reference(REFERENCE)(gene.cis(0)))[0]
    plain = Window.around(gene, upstream=7, downstream=3, oriented=False)
    assert (plain.left, plain.right, plain.reverse) == (7, 3, False)


def test_oriented_window_needs_a_strand():
    with pytest.raises(ConfigError, match=r"gene's strand[\s\S]*gene g[\s\S]*no strand"):
        Window.around(Gene("g", "c", 10), 7, 3, oriented=True)


BASES = st.sampled_from("ACGT")


@st.composite
def cohorts(draw):
    reference = draw(st.text(BASES, min_size=25, max_size=60))
    n_people = draw(st.integers(1, 3))
    records = []
    for _ in range(draw(st.integers(0, 7))):
        position = draw(st.integers(0, len(reference) - 5))
        ref = reference[position : position + draw(st.integers(1, 4))]
        alt = draw(st.text(BASES, min_size=1, max_size=4))
        if draw(st.booleans()):
            alt = ref[0] + alt[1:]
        if alt != ref:
            records.append((position, ref, alt))
    records.sort(key=lambda r: r[0])
    bits = draw(
        st.lists(st.booleans(), min_size=2 * n_people * len(records), max_size=2 * n_people * len(records))
    )
    variants = toy_variants(records, np.array(bits, dtype=np.uint8).reshape(len(records), n_people, 2))
    window = Window(
        "c", draw(st.integers(0, len(reference) - 1)), draw(st.integers(1, 30)), draw(st.integers(1, 30))
    )
    return reference, variants, window


@settings(max_examples=300, deadline=None)
@given(cohorts())
def test_builder_equals_its_naive_twin(cohort):
    reference, variants, window = cohort
    made = build(window, variants, reference)
    assert len({row.tobytes() for row in made.distinct}) == len(made.distinct)
    for person in range(len(variants.samples)):
        for haplotype in range(2):
            expected = naive_window(reference, variants, window, person, haplotype)
            assert sequence_of(made, person, haplotype) == "".join(base for base, _ in expected)
            found = coordinate_map(window, variants.within, variants.samples[person], haplotype + 1)
            inside = [i for i, (base, _) in enumerate(expected) if base != "N"]
            for i in inside:
                assert found.to_reference(i) == expected[i][1]
                if expected[i][1] is not None:
                    assert found.to_haplotype(expected[i][1]) == i


@settings(max_examples=200, deadline=None)
@given(cohorts(), st.sampled_from([1, 1, 0]))
def test_distinct_haplotypes_equal_those_of_their_bytes(cohort, times):
    """In order of first appearance; also where fingerprints (times 0) tell nothing apart."""
    reference, variants, window = cohort
    distinct, factor = haplotypes._distinct_rows, np.uint64(times)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(haplotypes, "_distinct_rows", lambda b, prints, n: distinct(b, prints * factor, n))
        found = find_haplotypes(window, variants.within, toy_reference(reference))
    seen: dict[str, int] = {}
    for person in range(len(variants.samples)):
        for haplotype in range(2):
            bases = naive_window(reference, variants, window, person, haplotype)
            row = seen.setdefault("".join(base for base, _ in bases), len(seen))
            assert found.index[person, haplotype] == row
    assert [decode(row) for row in found.codes(0, len(found))] == list(seen)


def test_only_haplotypes_of_one_fingerprint_are_built_while_distinct_ones_are_looked_for(monkeypatch):
    built, fill = [], haplotypes._fill
    monkeypatch.setattr(haplotypes, "_fill", lambda out, *more: built.append(out.shape) or fill(out, *more))
    records = [(7, "GTT", "G"), (11, "A", "C"), (13, "G", "GC"), (14, "C", "CC"), (16, "A", "T")]
    alleles = np.array([[i >> k & 1 for i in range(32)] for k in range(5)]).reshape(5, 16, 2)
    window = Window("c", 10, 10, 10)
    found = find_haplotypes(window, toy_variants(records, alleles).within, toy_reference(REFERENCE))
    assert len(found) == 24  # either insertion alone makes GCC
    assert built == [(32, 1), (8, 20), (8, 20)]


@settings(max_examples=50, deadline=None)
@given(cohorts(), st.randoms(use_true_random=False))
def test_order_of_people_permutes_the_index(cohort, random):
    reference, variants, window = cohort
    order = list(range(len(variants.samples)))
    random.shuffle(order)
    shuffled = toy_variants(
        list(zip(variants.position.tolist(), variants.ref, variants.alt, strict=True)),
        variants.alleles[:, order],
        samples=tuple(variants.samples[i] for i in order),
    )
    one, other = build(window, variants, reference), build(window, shuffled, reference)
    for new, old in enumerate(order):
        for haplotype in range(2):
            assert sequence_of(other, new, haplotype) == sequence_of(one, old, haplotype)


@given(st.integers(0, 12), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_distinct_columns_equals_numpy_unique(n_variants, n_columns, seed):
    columns = np.random.default_rng(seed).integers(0, 2, (n_variants, n_columns)).astype(np.uint8)
    one, of = distinct_columns(columns)
    assert np.array_equal(columns[:, one][:, of], columns)
    expected = len({column.tobytes() for column in columns.T}) if n_variants else min(1, n_columns)
    assert len(one) == expected


@given(st.integers(0, 20), st.integers(0, 5), st.sampled_from([2, 300, 70_000]), st.integers(0, 2**32 - 1))
def test_distinct_rows_equals_numpy_unique(n_rows, n_columns, below, seed):
    rows = np.random.default_rng(seed).integers(0, below, (n_rows, n_columns)).astype(np.uint32)
    rows = rows[np.random.default_rng(seed).integers(0, max(n_rows, 1), n_rows)]
    one, of = distinct_rows(rows)
    assert rows[one].tolist() == sorted(map(list, set(map(tuple, rows.tolist()))))
    assert np.array_equal(rows[one][of], rows)
    assert all(rows[:first].tolist().count(rows[first].tolist()) == 0 for first in one)
