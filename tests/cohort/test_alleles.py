"""Weights made elsewhere meet this cohort's variants."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.cohort.alleles import Place, WeightRow, align_weights, outcome_of, place_of
from hapsight.cohort.nouns import Variants
from hapsight.cohort.ploidy import OneCopy

SITES = (("A", "G"), ("A", "T"), ("C", "G"), ("C", "A"), ("AT", "A"), ("A", "C"), ("A", "T"))


def cohort(sites=SITES, names=None, people=6, seed=1, positions=None) -> Variants:
    alleles = np.random.default_rng(seed).integers(0, 2, (len(sites), people, 2)).astype(np.uint8)
    return Variants(
        "chr22",
        np.array(positions or [100 + 10 * i for i in range(len(sites))]),
        tuple(ref for ref, _ in sites),
        tuple(alt for _, alt in sites),
        tuple(names or [f"rs{i}" for i in range(len(sites))]),
        alleles,
        tuple(f"P{i}" for i in range(people)),
    )


@pytest.mark.parametrize(
    ("var_id", "place"),
    [
        ("chr22_1000_A_G_b38", Place("22", 999)),
        ("22_1000_A_G_b37", Place("22", 999)),
        ("22_1000_AT_A", Place("22", 999)),
        ("chr22:1000:A:G", Place("22", 999)),
        ("chrX_5_A_G_b38", Place("X", 4)),
        ("rs123", None),
        ("", None),
        ("chr22_1000_A_<DEL>_b38", None),
    ],
)
def test_places(var_id, place):
    assert place_of(var_id) == place


@pytest.mark.parametrize(
    ("site", "theirs", "placed", "outcome"),
    [
        (("A", "G"), ("A", "G"), False, "same"),
        (("A", "G"), ("G", "A"), False, "swapped"),
        (("A", "G"), ("T", "C"), False, "flipped"),
        (("A", "G"), ("C", "T"), False, "flipped_swapped"),
        (("A", "G"), ("A", "C"), False, "other_alleles"),
        (("A", "T"), ("A", "T"), False, "same"),
        (("A", "T"), ("T", "A"), False, "ambiguous"),
        (("A", "T"), ("T", "A"), True, "swapped"),
        (("C", "G"), ("G", "C"), False, "ambiguous"),
        (("AT", "A"), ("A", "AT"), False, "swapped"),
        (("AT", "A"), ("TA", "T"), False, "other_alleles"),
    ],
)
def test_alleles(site, theirs, placed, outcome):
    row = WeightRow("rs1", "", *theirs, 1.0)
    assert outcome_of(*site, row, placed) == outcome


def slow(rows, variants) -> np.ndarray:
    """Prediction by counting each person's effect alleles; rows must be placed and fit."""
    predicted = np.zeros(len(variants.samples))
    for row in rows:
        for v in range(len(variants)):
            if place_of(row.var_id).position != variants.position[v]:
                continue
            letters = np.where(variants.alleles[v] == 1, variants.alt[v], variants.ref[v])
            effect = row.eff_allele
            if {row.ref_allele, effect} != {variants.ref[v], variants.alt[v]}:
                effect = {"A": "T", "C": "G", "G": "C", "T": "A"}[effect]
            predicted += row.weight * (letters == effect).sum(axis=1)
    return predicted


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 3, 5]), st.booleans(), st.booleans(), st.floats(-2, 2, width=32)),
        min_size=1,
        max_size=8,
    )
)
def test_predictions_equal_counting_effect_alleles(chosen):
    variants, rows = cohort(), []
    flip = str.maketrans("ACGT", "TGCA")
    for v, swap, other_strand, weight in chosen:
        ref, alt = SITES[v][::-1] if swap else SITES[v]
        ref, alt = (ref.translate(flip), alt.translate(flip)) if other_strand else (ref, alt)
        rows.append(WeightRow("", f"chr22_{variants.position[v] + 1}_{ref}_{alt}_b38", ref, alt, weight))
    found = align_weights(rows, variants)
    np.testing.assert_allclose(
        found.intercept + found.weights @ variants.dosage, slow(rows, variants), atol=1e-9
    )
    assert found.n_used == len(rows)
    assert found.used_weight == pytest.approx(1.0)


@pytest.mark.parametrize(("flipped", "used"), [(0, 42), (1, 42), (10, 40), (40, 40)])
def test_a_table_of_the_other_strand_says_nothing_of_a_t_and_c_g(flipped, used):
    """Read as of the forward strand, A/T of the other one would be exchanged: the sign would turn."""
    variants = cohort((("A", "G"),) * 40 + (("A", "T"), ("C", "G")))
    flip = str.maketrans("ACGT", "TGCA")
    rows = []
    for v, (ref, alt) in enumerate(zip(variants.ref, variants.alt, strict=True)):
        alleles = (ref.translate(flip), alt.translate(flip)) if v < flipped or v >= 40 else (ref, alt)
        rows.append(WeightRow("", "", *alleles, 1.0, Place("22", int(variants.position[v]))))
    found = align_weights(rows, variants)
    assert (found.n_used, found.counts["ambiguous"]) == (used, 42 - used)
    assert (found.weights[:40] == 1).all()


@pytest.mark.parametrize("dosage", [1, 2])
def test_exchanged_alleles_of_men_on_chrx(dosage):
    """Counted copy by copy: a man's one copy counts once, or as two."""
    whole, men = cohort(), np.array([True, False] * 3)
    alleles, one = whole.alleles.copy(), np.arange(len(whole)) != 2  # the third variant lies in a PAR
    alleles[np.ix_(one, men, [1])] = alleles[np.ix_(one, men, [0])]
    variants = replace(whole, alleles=alleles, one_copy=OneCopy(one, men, dosage))
    on = (0, 3, 2)
    rows = [
        WeightRow("", "", variants.alt[v], variants.ref[v], 1.0 + v, Place("22", int(variants.position[v])))
        for v in on
    ]
    found = align_weights(rows, variants)
    counted = np.zeros(6)
    for row, v in zip(rows, on, strict=True):
        for person in range(6):
            copies = [variants.ref[v] if a == 0 else variants.alt[v] for a in alleles[v, person]]
            copies = copies[:1] if one[v] and men[person] and dosage == 1 else copies
            counted[person] += row.weight * copies.count(row.eff_allele)
    np.testing.assert_allclose(found.intercept + found.weights @ variants.linear_dosage, counted)


def test_what_is_not_used_is_counted():
    rows = [
        WeightRow("rs0", "", "A", "G", 1.0),
        WeightRow("rs1", "", "T", "A", -2.0),  # ambiguous
        WeightRow("rs3", "", "C", "T", 3.0),  # other alleles
        WeightRow("rs99", "", "A", "G", 0.5),  # absent
        WeightRow("", "chr21_101_A_G_b38", "A", "G", 0.5),  # another contig
        WeightRow("", "chr22_111_T_A_b38", "T", "A", 1.0),  # placed, so no doubt
    ]
    found = align_weights(rows, cohort())
    assert found.counts == {
        "same": 1, "swapped": 1, "flipped": 0, "flipped_swapped": 0,
        "ambiguous": 1, "other_alleles": 1, "other_build": 0, "absent": 2
    }  # fmt: skip
    assert found.n_used == 2
    assert found.used_weight == pytest.approx(2.0 / 8.0)
    assert np.flatnonzero(found.used).tolist() == [0, 1]


def test_a_name_helps_where_the_place_is_of_another_build():
    found = align_weights([WeightRow("rs3", "chr22_777_C_A_b37", "C", "A", 1.0)], cohort())
    assert np.flatnonzero(found.used).tolist() == [3]


def test_split_records_are_told_apart_by_alleles():
    variants = cohort((("A", "C"), ("A", "G")), names=["rs1", "rs1"], positions=[50, 50])
    for row in (WeightRow("rs1", "", "A", "G", 1.0), WeightRow("", "22_51_A_G", "A", "G", 1.0)):
        assert np.flatnonzero(align_weights([row], variants).used).tolist() == [1]


def test_no_weights():
    found = align_weights([], cohort())
    assert (found.n_used, found.intercept, found.used_weight) == (0, 0.0, 1.0)
