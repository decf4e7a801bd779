"""Tables of sign priors, in the forms in which they come."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hapsight.cohort.nouns import Variants
from hapsight.errors import InputError
from hapsight.priors.signs import PRIOR_SCORES, PRIOR_SIGNS, SIGNS_LEARNED, read_sign_priors

VARIANTS = Variants(
    "chr22",
    np.array([99, 199, 299]),
    ("A", "C", "GT"),
    ("G", "T", "G"),
    ("rs1", "rs2", "rs3"),
    np.zeros((3, 2, 2), np.uint8),
    ("a", "b"),
)
PLACES = {"contig": ["chr22"] * 2, "position": [99, 199], "ref": ["A", "T"], "alt": ["G", "C"]}


@pytest.mark.parametrize(
    "text",
    [
        "chrom\tpos\tref\talt\tscore\n22\t100\tA\tG\t0.5\n22\t200\tT\tC\t2\n",
        "contig\tposition\tref\talt\tsign\nchr22\t99\tA\tG\t0.5\nchr22\t199\tT\tC\t2\n",
        "gene_id\tvariant_id\tscore\ng\tchr22_100_A_G\t0.5\ng\tchr22_200_C_T\t-2\nh\tchr22_300_GT_G\t1\n",
    ],
)
def test_scores_are_aligned(tmp_path, text):
    (tmp_path / "signs.tsv").write_text(text)
    found = read_sign_priors(tmp_path / "signs.tsv")
    assert found.on("g", VARIANTS).tolist() == [0.5, -2.0, 0.0]
    assert found.names == ()


def test_the_typical_size_is_of_scores_other_than_0(tmp_path):
    rows = [f"22\t{100 + n}\tA\tG\t{score}" for n, score in enumerate((0, 0, 0, -1, 3))]
    (tmp_path / "signs.tsv").write_text("\n".join(["chrom\tpos\tref\talt\tscore", *rows]) + "\n")
    assert read_sign_priors(tmp_path / "signs.tsv").typical == 2.0
    (tmp_path / "none.tsv").write_text("\n".join(["chrom\tpos\tref\talt\tscore", *rows[:3]]) + "\n")
    assert read_sign_priors(tmp_path / "none.tsv").typical == 1.0


def test_own_tables_of_scores(tmp_path):
    rows = {**PLACES, "prior": ["motifs"] * 2, "gene_id": ["g", "h"], "variant_id": ["rs1", "rs2"]}
    table = pl.DataFrame(rows | {"score": [0.25, 1.0]}).select(list(PRIOR_SCORES)).cast(PRIOR_SCORES)
    table.write_parquet(tmp_path / "scores.parquet")
    found = read_sign_priors(tmp_path / "scores.parquet")
    assert found.on("g", VARIANTS).tolist() == [0.25, 0.0, 0.0]
    assert found.on("h", VARIANTS).tolist() == [0.0, -1.0, 0.0]
    assert found.names == ("motifs",)
    assert found.path.name == "scores.parquet"


def test_of_the_table_of_signs_the_strongest_variants_count(tmp_path):
    row = {**dict.fromkeys(PRIOR_SIGNS), "gene_id": "g", "contig": "chr22", "position": 99}
    row |= {"ref": "A", "alt": "G", "variant_id": "rs1"}
    rows = [row | {"variants": name, "prior_odds": odds} for name, odds in (("cis", 0.5), ("toy", -1.0))]
    pl.DataFrame(rows, schema=PRIOR_SIGNS).write_parquet(tmp_path / "signs.parquet")
    found = read_sign_priors(tmp_path / "signs.parquet")
    assert found.on("g", VARIANTS).tolist() == [0.5, 0.0, 0.0]
    assert found.names == (SIGNS_LEARNED,)


def test_the_control_deals_signs_and_keeps_sizes(tmp_path):
    rows = "".join(f"22\t{100 + i}\tA\tG\t{i - 30}\n" for i in range(100))
    (tmp_path / "signs.tsv").write_text("chrom\tpos\tref\talt\tscore\n" + rows)
    found = read_sign_priors(tmp_path / "signs.tsv")
    places = np.arange(99, 199)
    many = ("A",) * 100, ("G",) * 100, ("",) * 100
    variants = Variants("22", places, *many, np.zeros((100, 1, 2), np.uint8), ("a",))
    own, dealt = (one.on("g", variants) for one in (found, found.shuffled(np.random.default_rng(1))))
    np.testing.assert_array_equal(np.abs(dealt), np.abs(own))
    assert (dealt > 0).sum() == (own > 0).sum() == 69
    assert 20 < (dealt != own).sum() < 60
    assert found.typical == 25.0


def test_errors(tmp_path):
    path = tmp_path / "signs.tsv"
    path.write_text("variant_id\tweight\nchr22_100_A_G\t1\n")
    with pytest.raises(InputError, match=r"no score(.|\n)*score or sign(.|\n)*variant_id, weight"):
        read_sign_priors(path)
    path.write_text("variant_id\tscore\nchr22_100_A_G\t1\nchr22_100_A_G\t-1\n")
    with pytest.raises(InputError, match="a variant twice"):
        read_sign_priors(path)
    path.write_text("variant_id\tscore\nchr22_100_A_G\tup\n")
    with pytest.raises(InputError, match="not a finite number"):
        read_sign_priors(path)
