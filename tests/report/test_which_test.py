import json
import re

import polars as pl
import pytest
from fake_run import Plan, write_run

from hapsight.report.build import build_report
from hapsight.report.cards import cards, judgements
from hapsight.report.run_folder import read_run
from hapsight.stats.nulls import TESTS


def with_protocol(folder, name: str):
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"protocol": name}))
    return folder


def test_every_test_of_every_arm_is_listed(tmp_path) -> None:
    run = read_run(write_run(tmp_path, Plan(people=400)))
    found = judgements(run)
    assert [arm.label for arm, _ in found] == ["xpresso/GM12878", "elastic_net"]
    for arm, rows in found:
        own = ["folds"] if arm.is_baseline else []
        expected = own + [test for test in TESTS if test != "folds"]
        assert [row.test for row in rows] == [TESTS[test] for test in expected]
        ok = arm.of(run.per_gene).filter(pl.col("status") == "ok")
        low = ok.filter(pl.col("qval_permutation") < 0.05)
        (row,) = (row for row in rows if row.test == TESTS["permutation"])
        assert row.significant == f"{len(low)} of {len(ok)}"
        assert row.negative == str((low["pearson_r"] < 0).sum())
        assert re.fullmatch(r"[\d.]+ % to [\d.]+ %", row.interval)
        assert not row.leads


def test_the_protocols_test_comes_first(tmp_path) -> None:
    run = read_run(with_protocol(write_run(tmp_path), "sasse2023"))
    for arm, rows in judgements(run):
        assert rows[0].test == TESTS["folds" if arm.is_baseline else "sasse2023"]
        assert [row.leads for row in rows] == [True] + [False] * (len(rows) - 1)


def test_no_significant_gene_has_no_share(tmp_path) -> None:
    write_run(tmp_path)
    path = tmp_path / "evaluation" / "summary.parquet"
    summary = pl.read_parquet(path)
    negative = pl.col("quantity").str.starts_with("significant_negative_share")
    nothing = [pl.when(negative).then(None).otherwise(name).alias(name) for name in ("value", "ci_low")]
    summary.with_columns(nothing).write_parquet(path)
    for _, rows in judgements(read_run(tmp_path)):
        assert {(row.share, row.interval) for row in rows} == {("–", "–")}


def test_cards_take_the_statistic_of_the_protocol(tmp_path) -> None:
    run = read_run(with_protocol(write_run(tmp_path), "huang2023"))
    titles = [card.title for card in cards(run, run.models[0])]
    assert "Across people, mean Spearman per gene" in titles
    assert "Genes with negative Spearman" in titles
    values = {row["quantity"]: row["value"] for row in run.models[0].of(run.summary).iter_rows(named=True)}
    mean = next(card for card in cards(run, run.models[0]) if card.title.startswith("Across people"))
    assert mean.number.replace("−", "-") == f"{values['across_people_spearman_mean']:.3f}"


@pytest.mark.parametrize("models", [("xpresso/GM12878",), ()])
def test_the_section_is_on_the_page(tmp_path, models) -> None:
    pytest.importorskip("altair")
    html = build_report(write_run(tmp_path, Plan(models=models))).read_text()
    assert "<h2>Which test?</h2>" in html
    assert html.count("leads this report</small>") == len(models) + 1
