"""The section on arithmetic, from a made-up table."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from tests.report.fake_run import write_run

from hapsight.report.published import without_individuals
from hapsight.report.run_folder import read_run
from hapsight.tables import PRECISION

pytest.importorskip("altair", reason="the report's extra is not installed")

from hapsight.report.direction import arithmetic_figure, arithmetic_rows, arithmetic_table

LOST = [0.9, 0.75, 0.5, 0.25, 0.0]


def measured(folder, **changes):
    """A run with two arithmetics of one model."""
    write_run(folder)
    row = {
        **dict.fromkeys(PRECISION), "model": "<b>m", "read_out": "r", "device": "cpu",
        "precision": "float32",
        "people": 100, "differences": 1234, "signs_lost": 0.0, "equal": 0.0, "lost_by_tenth": [0.0] * 5,
        "genes": 9,
        "constant": 0, "lowest_r": 0.98765, "median_r": 0.99991, "below": 1, "mean_r": 0.1,
        "mean_r_exact": 0.1,
        "negative": 0.25, "negative_exact": 0.25, "sign_of_r_changed": 0,
    }  # fmt: skip
    other = row | {"precision": "bfloat16", "signs_lost": 0.48, "lost_by_tenth": LOST} | changes
    (folder / "predictions").mkdir()
    pl.DataFrame([row, other], schema=PRECISION).write_parquet(folder / "predictions/precision.parquet")
    return read_run(folder)


def test_a_line_an_arithmetic(tmp_path):
    figure = arithmetic_figure(measured(tmp_path / "run"))
    assert [name for name, _ in figure.colours] == ["float32", "bfloat16"]
    (panel,) = figure.panels
    assert panel.title == "<b>m (r)"
    assert "float32 0.0 %; bfloat16 48.0 %" in panel.caption[0]
    own = figure.numbers.filter(pl.col("precision") == "bfloat16")
    assert dict(own.select("tenth", "lost").iter_rows()) == dict(enumerate(LOST, 1))


def test_rows_in_words(tmp_path):
    first, second = arithmetic_rows(measured(tmp_path / "run"))
    assert (first.model, first.precision, second.precision) == ("<b>m, r", "float32", "bfloat16")
    assert second.cells[0] == ("48.0 %", "of 1,234")
    assert second.cells[2] == ("1", "of 9 genes; 0 constant")
    assert second.cells[5] == ("25.0 %", "float64: 25.0 %")


def test_what_was_not_measured_has_a_dash(tmp_path):
    gone = dict.fromkeys(("lowest_r", "median_r", "mean_r", "mean_r_exact", "negative", "negative_exact"))
    row = arithmetic_rows(measured(tmp_path / "run", **gone))[1]
    assert [number for number, _ in row.cells[3:6]] == ["–"] * 3


def test_numbers_over_people_are_rounded(tmp_path):
    run = measured(tmp_path / "run")
    table = arithmetic_table(without_individuals(run))
    assert table["lowest_r"].to_list() == [1.0, 1.0]  # to 5 / 100
    assert table["differences"].to_list() == [1235, 1235]
    assert table["signs_lost"].to_list() == [0.0, 0.48]
    assert table.null_count().equals(arithmetic_table(run).null_count())  # no column is withheld


def test_no_r_over_genes_where_one_of_them_is_withheld(tmp_path):
    """The mean of all, less what is shown of the others, is the R that is withheld."""
    run = without_individuals(measured(tmp_path / "run"))
    few = pl.DataFrame({"gene_id": ["g"], "model": ["<b>m"], "read_out": ["r"], "counted": [True]})
    run = replace(run, disclosure=replace(run.disclosure, few=few, withheld={}))
    for row in arithmetic_rows(run):
        assert row.cells[4:] == (("–", "float64: –"), ("–", "float64: –"), ("–", ""))
    assert (
        "precision",
        2,
        "R over genes, of which one or more are withheld",
    ) in run.disclosure.report().rows()
    assert arithmetic_rows(run)[1].cells[0] == ("48.0 %", "of 1,235")


def test_without_a_table_there_is_no_section(tmp_path):
    run = read_run(write_run(tmp_path / "run"))
    assert arithmetic_figure(run) is None
    assert arithmetic_rows(run) == ()
