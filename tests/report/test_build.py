import json
import re
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import polars as pl
import pytest
from fake_direction import write_direction
from fake_run import Plan, write_run

from hapsight.errors import MissingExtraError
from hapsight.report import build
from hapsight.report.build import build_report
from hapsight.report.first_page import answers
from hapsight.report.run_folder import read_run

needs_extra = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")),
    reason="the report's extra is not installed",
)


def visible(html: str) -> str:
    """What a reader can see: no scripts, styles or tags."""
    return re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(script|style).*?</\1>", "", html))


def embedded(html: str) -> list[object]:
    return [
        json.loads(text)
        for text in re.findall(r'(?s)<script type="application/json"[^>]*>(.*?)</script>', html)
    ]


PLANS = {
    "model and baseline": Plan(),
    "several models": Plan(models=("a", "b")),
    "baseline only": Plan(models=(), notes=("xpresso was not run: its weights are not here.",)),
    "model only": Plan(baseline=False),
    "all genes constant": Plan(genes=4, constant=4),
    "nothing": Plan(models=(), baseline=False),
    "one gene": Plan(genes=1, constant=0, people=4),
}


@needs_extra
@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_state_is_an_honest_page(tmp_path, plan) -> None:
    report = build_report(write_run(tmp_path, plan))
    html = report.read_text()
    text = visible(html).replace("p (null)", "")
    assert not re.search(r"\b(NaN|nan|None|null|undefined|inf)\b", text)
    assert plan.name in text
    assert all(note in text for note in plan.notes)
    assert ("No sequence model has results" in text) == (not plan.models)
    assert ("No baseline ran" in text) == (not plan.baseline)
    assert embedded(html) or plan.models == ()
    assert not list(tmp_path.rglob(".hapsight-*"))


@needs_extra
@pytest.mark.usefixtures("light")
def test_pictures_are_the_same_whether_they_are_checked_or_not(tmp_path, monkeypatch, checked) -> None:
    from altair.utils import schemapi

    run, compared = write_direction(write_run(tmp_path, Plan(models=("a", "b")))), []
    compare = schemapi.validate_jsonschema

    def watched(*given: Any, **options: Any) -> Any:
        compared.append(given)
        return compare(*given, **options)

    monkeypatch.setattr(schemapi, "validate_jsonschema", watched)
    page, checks = build_report(run).read_bytes(), len(compared)
    monkeypatch.setattr(schemapi, "debug_mode", checked)  # as it is for users
    assert build_report(run).read_bytes() == page
    assert len(compared) - checks < checks / 10
    assert schemapi.DEBUG_MODE


@needs_extra
@pytest.mark.usefixtures("light")
def test_numbers_are_saved_beside_the_page(tmp_path) -> None:
    build_report(write_run(tmp_path))
    names = {path.stem for path in (tmp_path / "report").glob("*.csv")}
    assert names == {"across_people", "model_v_baseline", "across_genes", "within_person", "genes", "summary"}
    genes = pl.read_csv(tmp_path / "report" / "genes.csv")
    assert genes.height == 120
    assert {"gene_id", "pearson_r", "outcome", "baseline_r"} <= set(genes.columns)


@needs_extra
@pytest.mark.usefixtures("light")
def test_missing_tables_are_named(tmp_path) -> None:
    write_run(tmp_path)
    for name in ("dropped.parquet", "check.json", "config.toml", "evaluation/per_person.parquet"):
        (tmp_path / name).unlink()
    text = visible(build_report(tmp_path).read_text())
    assert "This run has no evaluation/per_person.parquet" in text
    assert "did not record what it left out" in text
    assert "no record of checks" in text


@needs_extra
@pytest.mark.usefixtures("light")
def test_how_models_are_read_has_a_table_of_its_own(tmp_path) -> None:
    write_run(tmp_path)
    plain = visible(build_report(tmp_path).read_text())
    assert "Are the models read where they should be?" not in plain
    rows = json.loads((tmp_path / "check.json").read_text())
    told = [
        ("read-out", "pass", "bins 447-449 of 896: -12,345 to +67,891 bp about the TSS", []),
        (
            "positive control",
            "warn",
            "TSSs do not stand out: AUROC 0.51 [0.42, 0.60]",
            ["to look at: the crop"],
        ),
        ("strand", "warn", "not tested: 12 genes, fewer than 40", []),
        ("other strand", "warn", "not tested: 12 genes, fewer than 40", []),
        ("signs", "warn", "100% of 193 effects are positive; 7 more are 0", ["to look at: the column"]),
    ]
    for asks, status, message, details in told:
        row = {"name": f"{asks} of x", "status": status, "message": message, "details": details}
        rows.append(row | {"model": "xpresso/GM12878", "asks": asks})
    (tmp_path / "check.json").write_text(json.dumps(rows))
    for individuals, effects in (
        (False, "of 195 effects are positive; 5 more"),
        (True, "of 193 effects are positive; 7 more"),
    ):
        text = visible(build_report(tmp_path, individuals).read_text())
        own = text.rpartition("Are the models read where they should be?")[2]  # the contents name it, too
        table = own.partition("What was left out")[0]
        for wanted in ("bins 447-449 of 896: -12,345 to +67,891 bp", "to look at: the crop", effects):
            assert wanted in table
        assert text.count("bins 447-449") == 1  # and not among the checks of the input
        assert "Look at how xpresso/GM12878 is read (positive control)." in text
        assert "Look at how xpresso/GM12878 is read (read-out)." not in text
        untested = (
            "How xpresso/GM12878 is read was not tested (strand, other strand): 12 genes, fewer than 40."
        )
        assert text.count(untested) == 1


@pytest.mark.parametrize(
    ("share", "low", "high", "beside"),
    [
        (0.25, 0.089, 0.532, "consistent with"),
        (0.2, 0.1, 0.4, "better than"),
        (0.8, 0.6, 0.9, "worse than"),
    ],
)
def test_the_question_is_answered_at_the_top(tmp_path, share, low, high, beside) -> None:
    write_run(tmp_path)
    run = read_run(tmp_path)
    mine = (pl.col("model") == run.models[0].model) & (pl.col("quantity") == "share_negative")
    said = {"value": share, "ci_low": low, "ci_high": high}
    table = run.summary.with_columns(
        pl.when(mine).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in said.items()
    )
    first, *others = answers(replace(run, summary=table))
    assert first[0] == run.models[0].label
    percent = f"{share:.1%}".replace("%", " %")
    assert first[1].startswith(
        f"wrong direction (R < 0) in {percent} of genes, {beside} a coin’s 50 % (95 % CI "
    )
    assert [label for label, _ in others][-1] == run.baseline.label


@needs_extra
@pytest.mark.usefixtures("light")
def test_a_record_with_little_in_it(tmp_path) -> None:
    write_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 1}')
    text = visible(build_report(tmp_path).read_text())
    assert "unnamed cohort" in text
    assert not re.search(r"\b(NaN|None|undefined)\b", text)


@needs_extra
@pytest.mark.usefixtures("light")
def test_names_cannot_break_out(tmp_path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    write_run(tmp_path, Plan(first_gene_name=evil, name=evil, models=(evil,), notes=(evil,)))
    dropped = pl.DataFrame({"kind": [evil], "reason": [evil], "count": [1], "names": [[evil]]})
    dropped.write_parquet(tmp_path / "dropped.parquet")
    (tmp_path / "config.toml").write_text(evil)
    (tmp_path / "check.json").write_text(
        json.dumps([{"name": evil, "status": "pass", "message": evil, "details": {evil: evil}}])
    )
    html = build_report(tmp_path).read_text()
    assert "alert(1)</script" not in html
    assert "<img" not in html
    assert evil in embedded(html)[-1]["genes"]["name"]


@needs_extra
@pytest.mark.usefixtures("light")
def test_provenance_is_on_the_page(tmp_path) -> None:
    text = visible(build_report(write_run(tmp_path)).read_text())
    assert "ab" * 32 not in text  # the digest of a file of people
    for wanted in (
        "1 min 32 s",
        "905.5 MB",
        "4.2×",
        "symbolic allele",
        "1,200",
        "22 -&gt; chr22",
    ):
        assert wanted in text


@needs_extra
@pytest.mark.usefixtures("light")
def test_twenty_thousand_genes_stay_small(tmp_path) -> None:
    report = build_report(write_run(tmp_path, Plan(genes=20_000, people=400, constant=200)))
    assert report.stat().st_size < 8_500_000, "with the drawing library (0.9 MB) this must stay below 10 MB"


@needs_extra
@pytest.mark.usefixtures("light")
def test_a_failure_leaves_the_old_report(tmp_path, monkeypatch) -> None:
    report = build_report(write_run(tmp_path))
    before = report.read_bytes()

    def fail(*_: object) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr("hapsight.report.page.render", fail)
    with pytest.raises(RuntimeError):
        build_report(tmp_path)
    assert report.read_bytes() == before


def test_missing_extra(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda name: None if name == "altair" else object())
    with pytest.raises(MissingExtraError, match=r"(?s)missing: altair.*pip install 'hapsight\[report\]'"):
        build_report(write_run(tmp_path))
    assert not (tmp_path / "report.html").exists()
