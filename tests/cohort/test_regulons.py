"""Tables of regulons and of gene covariates: what is read, and what is refused and why."""

import numpy as np
import pytest

from hapsight.cohort.nouns import Gene
from hapsight.errors import InputError
from hapsight.priors.regulons import read_gene_covariates, read_regulons
from tests.cohort.files import write_table

GENES = [
    Gene("ENSG01.3", "chr1", 5, gene_name="A"),
    Gene("ENSG02.1", "chr1", 9, gene_name="B"),
    Gene("ENSG03.1", "chr1", 9, gene_name="TWICE"),
    Gene("ENSG04.1", "chr1", 9, gene_name="TWICE"),
]


def table(tmp_path, *lines):
    path = tmp_path / "table.tsv"
    path.write_text("\n".join(line.replace(" ", "\t") for line in lines) + "\n")
    return path


def test_targets_are_found_by_name_and_by_identifier(tmp_path):
    path = table(
        tmp_path, "source target weight extra", "F A 1 x", "F ENSG02 -0.5 x", "E TWICE 2 x", "E ENSG03.9 1 x"
    )
    found, dropped = read_regulons(path, GENES)
    assert found.regulators == ("E", "F")
    np.testing.assert_array_equal(found.weight, [[0, 0, 1, 0], [1, -0.5, 0, 0]])
    np.testing.assert_allclose(found.sign, [1.0, 0.5 / 1.5])
    assert dropped.rows()[0]["names"] == ["TWICE"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["source target", "F A"], r"lacks columns[\s\S]*source, target, weight[\s\S]*without weight"),
        (["source target weight", "F A 1", "F A 2"], r"pair of source and target is there twice[\s\S]*F, A"),
        (["source target weight", "F A 0"], r"weight of 0, which has no sign[\s\S]*F A"),
        (["source target weight", "F A much"], r"not a finite number[\s\S]*F A[\s\S]*'much'"),
        (["source target weight", "F Q 1"], r"No target[\s\S]*expected: A, B[\s\S]*got: Q"),
    ],
)
def test_regulons_that_cannot_serve_are_refused(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        read_regulons(table(tmp_path, *lines), GENES)


def test_a_pair_without_a_name_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("source,target,weight\nF,,1\n")
    with pytest.raises(InputError, match="names no source or no target"):
        read_regulons(path, GENES)


def test_genes_that_the_table_has_not_are_nan(tmp_path):
    path = table(tmp_path, "utr gene_id gc", "1.5 ENSG02 0.4", "2 ENSG01.7 0.5", "9 OTHER 0.1")
    names, values = read_gene_covariates(path, GENES)
    assert names == ("utr", "gc")
    np.testing.assert_array_equal(values[:2], [[2, 0.5], [1.5, 0.4]])
    assert np.isnan(values[2:]).all()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["gene utr", "ENSG01 1"], r"lacks columns[\s\S]*gene_id[\s\S]*got: gene, utr"),
        (["gene_id utr", "ENSG01 1", "ENSG01.2 2"], r"gene is there twice[\s\S]*ENSG01"),
        (["gene_id utr", "ENSG01 NA"], r"not a finite number[\s\S]*row ENSG01, column utr"),
        (["gene_id utr", "ENSG09 1"], r"No gene of the cohort[\s\S]*got: ENSG09"),
    ],
)
def test_covariates_that_cannot_serve_are_refused(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        read_gene_covariates(table(tmp_path, *lines), GENES)


def test_gene_covariates_by_identifier_or_name(tmp_path):
    genes = [
        Gene("ENSG1.2", "1", 5, None, "A"),
        Gene("ENSG2.1_4", "1", 5, None, "B"),
        Gene("ENSG3", "1", 5, None, "B"),
    ]
    path = write_table(tmp_path / "t.tsv", [["gene_id", "x"], ["A", 1], ["ENSG2.7", 2], ["other", 3]])
    names, values = read_gene_covariates(path, genes)
    assert names == ("x",)
    np.testing.assert_array_equal(values[:, 0], [1, 2, np.nan])
    for rows in ([["B", 1]], [["A", 1], ["ENSG1", 2]]):
        with pytest.raises(InputError, match="not clear which gene"):
            read_gene_covariates(write_table(tmp_path / "u.tsv", [["gene_id", "x"], *rows]), genes)
