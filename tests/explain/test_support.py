"""Measured effects on the cohort's variants, whatever their file calls them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hapsight.cohort.nouns import Variants
from hapsight.errors import InputError
from hapsight.explain.support import read_effects, supported

VARIANTS = Variants(
    "chr22",
    np.array([99, 199, 299]),
    ("A", "C", "GT"),
    ("G", "T", "G"),
    ("rs1", "rs2", "rs3"),
    np.zeros((3, 2, 2), np.uint8),
    ("a", "b"),
)


def _read(tmp_path: Path, text: str, name: str = "effects.tsv"):
    path = tmp_path / name
    path.write_text(text)
    return read_effects(path)


@pytest.mark.parametrize(
    "text",
    [
        "chrom\tpos\tref\talt\tbeta\n22\t100\tA\tG\t0.5\nchr22\t200\tT\tC\t2\n22\t300\tGT\tG\t-1\n",
        "#CHROM\tPOS\tREF\tALT\tbeta\n22\t100\tt\tc\t0.5\n22\t200\tC\tT\t-2\n22\t300\tGT\tG\t-1\n",
        "variant_id\tbeta\nchr22_100_A_G_b38\t0.5\n22:200:C:T\t-2\nchr22_300_GT_G\t-1\n",
        "variant_id\tref\talt\tbeta\nrs1\tA\tG\t0.5\nrs2\tC\tT\t-2\nrs3\tG\tGT\t1\n",
    ],
)
def test_alleles_are_aligned(tmp_path, text):
    assert _read(tmp_path, text).on("g", VARIANTS).tolist() == [0.5, -2.0, -1.0]


def test_effects_of_one_gene_are_not_those_of_another(tmp_path):
    given = _read(
        tmp_path,
        "gene_id,chrom,pos,ref,alt,beta\ng1,22,100,A,G,1\ng2,22,100,A,G,-1\n,22,200,C,T,3\n",
        "effects.csv",
    )
    np.testing.assert_equal(given.on("g1", VARIANTS), [1.0, 3.0, np.nan])
    np.testing.assert_equal(given.on("g2", VARIANTS), [-1.0, 3.0, np.nan])
    np.testing.assert_equal(given.on("g3", VARIANTS), [np.nan, 3.0, np.nan])


def test_other_alleles_and_places_have_no_effect(tmp_path):
    given = _read(
        tmp_path, "chrom\tpos\tref\talt\tbeta\n22\t100\tA\tT\t1\n21\t200\tC\tT\t1\n22\t301\tGT\tG\t1\n"
    )
    assert np.isnan(given.on("g", VARIANTS)).all()


@pytest.mark.parametrize(
    ("text", "what", "shown"),
    [
        ("chrom\tpos\tbeta\n1\t2\t3\n", "lacks columns", "chrom, pos, beta"),
        ("variant_id\tbeta\nrs1\t3\n", "which alleles", "rs1, 3"),
        ("variant_id\tbeta\nchr1_2_A_G\tx\n", "not a finite number", "row 1, column beta"),
        ("variant_id\tbeta\n1_2_A_G\t1\n1_2_A_G\t2\n", "a variant twice", "2 such rows, such as 1_2_A_G"),
    ],
)
def test_a_broken_table_is_named(tmp_path, text, what, shown):
    with pytest.raises(InputError, match=what) as error:
        _read(tmp_path, text)
    assert shown in str(error.value)


def test_an_effect_for_either_allele_is_refused(tmp_path):
    given = _read(tmp_path, "variant_id\tbeta\nchr22_100_A_G\t1\nchr22_100_G_A\t-1\n")
    with pytest.raises(InputError, match="Two effects fall on one variant") as error:
        given.on("g7", VARIANTS)
    assert "gene g7" in str(error.value)


def test_support_needs_two_signs():
    assert supported(1e-300, 1e-300) is True
    assert supported(-1e-3, 4.0) is False
    for effect, slope in ((0.0, 1.0), (1.0, None), (None, 1.0), (np.nan, 1.0)):
        assert supported(effect, slope) is None
