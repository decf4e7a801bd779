"""Text tables: nothing in them is a formula, and numbers stay numbers."""

import io

import polars as pl
import pytest

from hapsight.cohort.tables import csv_text


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\r=1", "=", "@"])
def test_a_formula_is_text(cell):
    read = pl.read_csv(io.StringIO(csv_text(pl.DataFrame({"a": [cell]}))), quote_char='"')
    assert read["a"][0] == "'" + cell


@pytest.mark.parametrize("cell", ["+", "-", "-1.5", "+3", "-2e-8", ".5", "GENE1", "chr22:100 A>G", "a=b", ""])
def test_other_texts_stay(cell):
    read = pl.read_csv(io.StringIO(csv_text(pl.DataFrame({"a": [cell], "b": ["x"]}))), infer_schema=False)
    assert (read["a"][0] or "") == cell


@pytest.mark.parametrize("separator", [",", "\t"])
def test_negative_numbers_stay_numbers(separator):
    table = pl.DataFrame({"slope": [-0.5, None, 2e-9], "n": [-3, 0, 5], "gene": ["-x", "b", None]})
    read = pl.read_csv(io.StringIO(csv_text(table, separator)), separator=separator)
    assert read.select("slope", "n").equals(table.select("slope", "n"))
    assert read["gene"].to_list() == ["'-x", "b", None]
