"""Tables of a number for each gene and person."""

from __future__ import annotations

import pytest

from hapsight.errors import InputError
from hapsight.priors.regulons import read_person_values

SAMPLES = ("a", "b")


def read(tmp_path, *rows: str):
    path = tmp_path / "half_lives.tsv"
    path.write_text("\n".join(["gene_id\tsample_id\tvalue", *(row.replace(" ", "\t") for row in rows)]))
    return read_person_values(path, ("g", "h"), SAMPLES)


def test_values_are_in_the_order_of_the_cohort_and_others_are_named(tmp_path):
    found, dropped = read(tmp_path, "g b 2.5", "g a -1", "g c 3", "x a 1", "x b 1")
    assert {gene: values.tolist() for gene, values in found.items()} == {"g": [-1.0, 2.5]}
    assert dropped.names == {
        ("sample", "in half_lives.tsv, not in the cohort"): ["c"],
        ("gene", "in half_lives.tsv, not in the cohort"): ["x"],
    }


def test_errors(tmp_path):
    with pytest.raises(InputError, match=r"not have all people(.|\n)*gene g(.|\n)*without b"):
        read(tmp_path, "g a 1")
    with pytest.raises(InputError, match=r"gene and person is there twice(.|\n)*g, a"):
        read(tmp_path, "g a 1", "g a 2")
    with pytest.raises(InputError, match=r"not a finite number(.|\n)*g, a"):
        read(tmp_path, "g a long", "g b 1")
    path = tmp_path / "bad.tsv"
    path.write_text("gene_id\tvalue\ng\t1\n")
    with pytest.raises(InputError, match=r"lacks columns(.|\n)*without sample_id"):
        read_person_values(path, ("g",), SAMPLES)
