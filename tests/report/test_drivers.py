"""The words of the section on drivers, from made-up tables."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.report.fake_run import write_run

from hapsight.explain.driver_summary import driver_summary
from hapsight.explain.drivers import FORMS
from hapsight.explain.tables import DRIVER_SUMMARY, DRIVERS, RELIABILITY_SUMMARY
from hapsight.report.drivers import FORMS as FORM_WORDS
from hapsight.report.drivers import (
    driver_rows,
    driver_table,
    neighbourhood_sentences,
    prior_sentences,
    reliability_sentences,
    stratum_rows,
)
from hapsight.report.run_folder import read_run


def fake_drivers(labels: dict[str, str], form: str, n: int = 200) -> pl.DataFrame:
    """Drivers that are supported where R > 0 and nowhere else; one gene in ten has none."""
    rng = np.random.default_rng(3)
    r = rng.uniform(-0.5, 0.5, n)
    has = np.arange(n) % 10 > 0
    rows = [
        {
            **labels,
            "form": form,
            "gene_id": f"G{i}",
            "status": "ok",
            "additivity": 0.9,
            "n_drivers": int(has[i]),
            "distance": 400 * (i + 1) if has[i] else None,
            "maf": 0.3 if has[i] else None,
            "supported_cohort": bool(r[i] > 0) if has[i] else None,
            "supported_half2": bool(r[i] > 0) if has[i] else None,
            "effect": 1.0 if has[i] else None,
            "slope": float(np.sign(r[i])) if has[i] else None,
            "prior_score": float(r[i]) if has[i] and i % 2 else None,
            "share_of_tss_max": 0.25 if has[i] and i % 3 else None,
            "run_10": 4 if has[i] and i % 3 else None,
            "motif": ("gain" if i % 2 else "none") if has[i] else None,
            "control_motif": ("loss" if i % 4 == 1 else "none") if has[i] else None,
            "pearson_r": float(r[i]),
            "sign_right": bool(r[i] > 0),
            "r_half1": float(r[i]),
        }
        for i in range(n)
    ]
    return pl.DataFrame([{**dict.fromkeys(DRIVERS), **row} for row in rows], schema=DRIVERS)


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "run")
    arm = read_run(folder).models[0]
    labels = {"model": arm.model, "read_out": arm.read_out, "protocol": "default"}
    tables = [fake_drivers(labels, form) for form in FORMS]
    summary = [
        labels | {"form": form} | row
        for form, table in zip(FORMS, tables, strict=True)
        for row in driver_summary(table)
    ]
    said = {**dict.fromkeys(RELIABILITY_SUMMARY), **labels, "genes": "all", "n": 200, "verdict": "It is so."}
    (folder / "explain").mkdir()
    pl.concat(tables).write_parquet(folder / "explain/drivers.parquet")
    pl.DataFrame(summary, schema=DRIVER_SUMMARY).write_parquet(folder / "explain/driver_summary.parquet")
    pl.DataFrame([said], schema=RELIABILITY_SUMMARY).write_parquet(
        folder / "explain/reliability_summary.parquet"
    )
    return read_run(folder)


def test_every_form_has_words():
    assert set(FORM_WORDS) == set(FORMS)


def test_rows_say_what_the_tables_hold(run):
    ((arm, rows),) = driver_rows(run)
    assert arm == run.models[0]
    assert len(rows) == 8
    wrong = next(row for row in rows if row.genes == "R < −0.2")
    right = next(row for row in rows if row.genes == "R > 0.2")
    assert (wrong.cells[5][0], wrong.cells[6][0]) == ("0.0 %", "0.0 %")
    assert (right.cells[5][0], right.cells[6][0]) == ("100.0 %", "100.0 %")
    assert right.cells[7] == ("–", "n 0")
    strong = rows[1]
    assert "published 0.950" in strong.cells[1][1]
    assert "p against controls" in strong.cells[8][1]
    everyone = rows[0]
    assert everyone.cells[0][0] == "200"
    assert everyone.cells[2][0] == "90.0 %"


def test_strata_hold_every_gene(run):
    ((_, rows),) = stratum_rows(run)
    kinds = [row for row in rows if row.factor == "motif at the main driver"]
    assert [row.level for row in kinds] == ["gain", "none", "not known"]
    assert kinds[-1].basis.endswith("n 20")
    assert [row.level for row in rows[:4]] == ["below 1 kb", "1 to 10 kb", "10 to 100 kb", "not known"]


def test_reliability_is_told_in_its_own_words(run):
    assert reliability_sentences(run) == [(run.models[0], ("All genes: It is so.",))]


def test_the_bases_around_drivers_are_told_where_they_are_known(run):
    ((arm, sentence),) = neighbourhood_sentences(run)
    assert arm == run.models[0]
    assert "covers 120 of 180 main drivers" in sentence
    assert "25.0 %" in sentence
    assert sentence.endswith("median length of 4.")


def test_sign_priors_are_told_with_their_control(run):
    ((arm, sentence),) = prior_sentences(run)
    assert arm == run.models[0]
    assert sentence.startswith("100 of 180 main drivers with an eQTL slope have a sign prior")
    assert "that of the prior in 100.0 % [" in sentence
    assert "shuffled among these drivers" in sentence


def test_a_run_without_drivers_says_nothing(tmp_path):
    bare = read_run(write_run(tmp_path / "bare"))
    assert driver_rows(bare) == stratum_rows(bare) == reliability_sentences(bare) == []
    assert neighbourhood_sentences(bare) == prior_sentences(bare) == []
    assert driver_table(bare).is_empty()
