"""The section on accessibility and expression: what it shows, and what it leaves out."""

import re
from importlib.util import find_spec

import polars as pl
import pytest
from fake_run import write_run

from hapsight.report.build import build_report
from hapsight.report.run_folder import read_run
from hapsight.report.validations import gap_rows, modality_tables, sign_rows
from hapsight.tables import VALIDATION

needs_extra = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")),
    reason="the report's extra is not installed",
)


def row(what, predictor, quantity, value, n, stratum="all", model="EPI"):
    interval = {"ci_low": value - 0.1, "ci_high": value + 0.1} if n > 20 else {}
    labels = {"model": model, "read_out": "tss", "track": "activity"}
    given = {**labels, "what": what, "predictor": predictor, "quantity": quantity, "stratum": stratum}
    return {**dict.fromkeys(VALIDATION), **given, "value": value, "n": n, "status": "ok", **interval}


def write_validation(folder):
    signs = [
        row("qtls", "model", "sign_agrees", 0.99, 224),
        row("qtls", "model", "sign_agrees.stretches", 0.584, 224),
        row("qtls", "model", "sign_agrees.stretches", 0.887, 12, "effect top twentieth"),
        row("qtls", "less K562", "sign_agrees.stretches", 0.025, 224),
        row("qtls", "gc", "sign_agrees.stretches", 0.516, 188, model="no model"),
        row("qtls and controls", "model", "size_auroc.stretches", 0.777, 200),
    ]
    gap = [
        row("one gene", "model", "accessibility_right", 0.587, 46),
        row("one gene", "model", "gap", 0.152, 46),
        row("one gene", "model", "mediation", 1.0, 3),
        row("all pairs", "model", "gap", 0.666, 87),
    ]
    (folder / "validate").mkdir()
    for name, rows in (("qtl_summary", signs), ("modality_summary", gap)):
        pl.DataFrame(rows, schema=VALIDATION).write_parquet(folder / "validate" / f"{name}.parquet")


def test_rows(tmp_path):
    write_validation(write_run(tmp_path))
    run = read_run(tmp_path)
    signs = {one.label: one.cells for one in sign_rows(run)}
    assert signs["EPI"][0] == ("0.584", "[0.484, 0.684] n 224")
    assert signs["EPI"][1] == ("–", "")
    assert signs["EPI"][2] == ("0.887", " n 12")
    assert signs["EPI, less K562"][0][0] == "0.025"
    assert signs["G or C, no model"][0][0] == "0.516"
    (gap,) = gap_rows(run)
    assert gap.cells[0][0] == "0.587"
    assert gap.cells[2][0] == "0.152"
    assert gap.cells[4] == ("–", "")  # of three variants, whose signs it would tell


@needs_extra
@pytest.mark.usefixtures("light")
def test_the_section_is_there_where_it_was_computed(tmp_path):
    write_run(tmp_path)
    assert "Accessibility and expression" not in build_report(tmp_path).read_text()
    assert modality_tables(read_run(tmp_path)) == {}
    write_validation(tmp_path)
    html = build_report(tmp_path).read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))
    assert "The same variants at accessibility and at expression" in text
    assert "0.152 [0.052, 0.252] n 46" in text
    written = pl.read_csv(tmp_path / "report" / "modality_gap.csv")
    assert written["n"].min() >= 5
