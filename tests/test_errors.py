"""What errors repeat of files: a few dozen letters."""

import gzip

import polars as pl
import pytest

from hapsight.cohort.tables import read_table
from hapsight.errors import HapsightError, InputError, quoted

VALUES = [f"{2 + i / 7:.9f}" for i in range(300)]


def shown(text: str) -> int:
    return sum(value in text for value in VALUES)


@pytest.mark.parametrize("place", ["what", "where", "expected", "got"])
@pytest.mark.parametrize("separator", ["\t", ", ", " "])
def test_no_part_of_an_error_holds_a_row(place, separator):
    row = separator.join(VALUES)
    parts = {"what": "Wrong."} | {place: f"could not parse `{row}`"}
    assert shown(str(HapsightError(**parts))) <= 2


def test_an_error_of_another_package_is_cut_too():
    error = ValueError("\t".join(VALUES) + "\n" + "\t".join(VALUES))
    assert shown(str(HapsightError("Wrong.", got=error))) <= 2
    assert shown(str(HapsightError("Wrong.", got=ValueError(" ".join(VALUES))))) <= 8


@pytest.mark.parametrize("text", ["12 rows of 13 lines", "it's this gene's row 5", "/a/long/path/" * 5])
def test_short_texts_stay_as_they_are(text):
    assert quoted(text, 400) == text


@pytest.mark.parametrize("change", ['"{}', '{}"', '"{}\t"', '{}"x"{}'])
@pytest.mark.parametrize("cell", [0, 3, 150])
def test_a_stray_quote_prints_no_values(tmp_path, change, cell):
    """A quote at the start of a cell made 261 values of people part of the message."""
    row = list(VALUES)
    row[cell] = change.format(row[cell], row[cell])
    names = "\t".join(f"P{i}" for i in range(300))
    path = tmp_path / "expression.bed.gz"
    with gzip.open(path, "wt") as file:
        file.write("\n".join([names, "\t".join(VALUES), "\t".join(row), "\t".join(VALUES)]) + "\n")
    said = ""
    try:
        assert read_table(path, "expression").shape == (3, 300)
    except InputError as error:
        said = str(error)
    assert shown(said) <= 3


def test_what_polars_says_of_a_value_is_cut(tmp_path):
    with pytest.raises(pl.exceptions.PolarsError) as caught:
        pl.Series(["\t".join(VALUES)]).cast(pl.Float64)
    assert shown(quoted(caught.value)) <= 2
