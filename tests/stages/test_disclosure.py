"""Attacks on the reports of a small cohort, and of the same cohort without one person.

Each attack recovers people exactly from numbers in full digits; here it must do no better than who knows only
what the report is there to tell.
"""

import json
from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.models.registry import register
from hapsight.report.build import build_report
from hapsight.run.config import load_config
from tests import attacks
from tests.conftest import without_vega
from tests.planted import load_toy, put_back, write_planted

pytestmark = pytest.mark.skipif(find_spec("vl_convert") is None, reason="the report's extra is not installed")

N = 60


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Reports of all people and of all but one; the folder of the cohort, and who is missing."""
    folder = tmp_path_factory.mktemp("attacked")
    whole, less, missing = attacks.write_cohorts(folder, N)
    with pytest.MonkeyPatch.context() as patch, register("toy", load_toy):
        without_vega(patch)
        for config in (whole, less):
            result = CliRunner().invoke(app, ["run", str(config)], catch_exceptions=False)
            assert result.exit_code == 0, result.output
    return folder, folder / "run" / "report", folder / "less" / "report", missing


def test_a_persons_genotypes_do_not_follow_from_two_reports(cohort):
    folder, whole, less, missing = cohort
    people, dosages = attacks.true_dosages(folder / "genotypes.vcf.gz")
    found = attacks.genotypes_by_difference(whole, less, N)
    truth = [
        dosages[key][people.index(missing)] for key in found.select("position", "ref", "alt").iter_rows()
    ]
    usual = np.rint(2 * found["af"].to_numpy())
    right = np.rint(found["guess"].to_numpy()).clip(0, 2) == truth
    assert len(truth) > 10
    assert right.mean() <= (usual == truth).mean() + 0.15
    assert found["changed"].mean() < 0.3


def test_a_persons_expression_does_not_follow_from_two_reports(cohort):
    folder, whole, less, missing = cohort
    people, expression = attacks.true_expression(folder / "expression.bed.gz")
    found = attacks.expression_by_difference(whole, less, N)
    assert len(found) == len(expression) == 3
    for gene_id, guess in found.iter_rows():
        values = expression[gene_id]
        by_mean = abs(values.mean() - values[people.index(missing)])
        assert abs(guess - values[people.index(missing)]) > by_mean - 0.1 * values.std()


def test_no_group_of_few_follows_from_the_others(cohort):
    _, whole, _, _ = cohort
    pictures = [spec for page in sorted((whole / "genes").glob("*.html")) for spec in attacks.charts(page)]
    shown = [groups for spec in pictures if (groups := attacks.rows_with(spec, "value", "n"))]
    assert sum(map(len, shown)) == 21
    for groups in shown:
        assert all(row["n"] >= 5 for row in groups)
        assert abs(N - sum(row["n"] for row in groups)) <= 2 * len(groups)


def test_the_mean_of_no_group_is_the_total_less_the_others(cohort):
    _, whole, _, _ = cohort
    found = attacks.hidden_groups(whole, N)
    assert not found.is_empty()
    assert (
        found["people"].abs() <= 6
    ).all()  # what rounding to the nearest five leaves of 60, in up to three groups


def test_r2_tells_nothing_of_a_single_carrier(cohort):
    folder, whole, _, _ = cohort
    _, dosages = attacks.true_dosages(folder / "genotypes.vcf.gz")
    assert sum((values > 0).sum() == 1 for values in dosages.values()) > 10
    rows = attacks.page_rows(whole)
    assert rows.height == 26
    for key in rows.select("position", "ref", "alt").iter_rows():
        carriers = min((dosages[key] > 0).sum(), (dosages[key] < 2).sum())
        assert 5 <= carriers <= N - 5
    digits = rows["r2"].drop_nulls()
    assert len(digits)
    assert digits.to_list() == digits.round(2).to_list()


def test_products_of_prediction_and_expression_do_not_follow(cohort):
    """With R in full digits, a person's standardised prediction times expression is ``n (R - R')``."""
    _, whole, less, _ = cohort
    guess = attacks.products_by_difference(whole, less, N)["guess"].abs().to_list()
    assert len(guess) == 2  # of genes with R; that of `bare` is withheld
    assert all(value == 0 or value >= 4.9 for value in guess)


def test_an_r_that_hangs_on_one_person_is_withheld(cohort):
    """With it, this person's expression is known: ``abs(R) sqrt(n - 1)`` SD from the mean."""
    folder, whole, _, _ = cohort
    table = pl.read_parquet(folder / "run" / "evaluation" / "per_gene.parquet")
    lone = table.row(by_predicate=pl.col("gene_id") == "bare", named=True)
    truth = attacks.true_distance(folder, "bare", attacks.LONE)
    assert lone["effective_people"] == 1
    assert abs(lone["pearson_r"]) * (N - 1) ** 0.5 == pytest.approx(truth, rel=1e-3)
    assert set(attacks.expression_by_lone_r(whole, N)["gene_id"]) == {"up1", "down1"}
    shown = pl.read_csv(whole / "genes.csv", infer_schema_length=None).filter(pl.col("gene_id") == "bare")
    assert shown["status"].to_list() == ["few_people"]
    numbers = ("pearson_r", "spearman_r", "ci_low", "pval_nominal", "qval", "z", "prediction_sd")
    assert all(shown[name].null_count() == 1 for name in numbers)
    assert (
        "There is no R: tested; rests on fewer than five people"
        in (whole / "genes" / "bare.html").read_text()
    )


def test_an_r_that_is_withheld_does_not_follow_from_the_mean_and_the_others(cohort):
    folder, whole, _, _ = cohort
    table = pl.read_parquet(folder / "run" / "evaluation" / "per_gene.parquet").drop_nulls("pearson_r")
    summary = pl.read_csv(whole / "summary.csv", infer_schema_length=None)
    mean = summary.row(by_predicate=pl.col("quantity") == "across_people_pearson_mean", named=True)
    shown = pl.read_csv(whole / "genes.csv", infer_schema_length=None).drop_nulls("pearson_r")
    assert mean["n"] == len(shown) == len(table) - 1 == 2
    own = table.join(shown, on="gene_id", how="semi")["pearson_r"]
    assert mean["value"] == pytest.approx(own.mean(), abs=0.1 / 2 / 2 + 0.001)
    negative = summary.row(by_predicate=pl.col("quantity") == "share_negative", named=True)
    assert (negative["n"], negative["value"]) == (2, (own < 0).mean())
    assert "bare" not in str(attacks.charts(whole.parent / "report.html"))


def test_what_is_over_few_drivers_is_not_shown(cohort):
    """The main driver of one gene may be a variant that fewer than five people carry."""
    _, whole, _, _ = cohort
    table = pl.read_csv(whole / "driver_summary.csv", infer_schema_length=None)
    few = table.filter((pl.col("n") < 5) & (pl.col("quantity") != "genes"))
    assert few.height > 10
    assert few["value"].null_count() == few["ci_low"].null_count() == few.height


def test_no_persons_own_correlation_is_in_the_report(tmp_path):
    """Of seven genes. With individuals included, the same attack finds everybody's that has four digits."""
    planted = write_planted(tmp_path, people=40)
    text = planted.config.read_text().replace("null_draws = 499", "null_draws = 99\npermutations = 99")
    planted.config.write_text(text.replace("[baseline]", "[baseline]\nrun = false") + "[eqtl]\nrun = false\n")
    with pytest.MonkeyPatch.context() as patch, register("toy", load_toy):
        without_vega(patch)
        result = CliRunner().invoke(app, ["run", str(planted.config)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        people = pl.read_parquet(tmp_path / "run/evaluation/per_person.parquet")
        assert people["spearman_r"].count() == 40
        published = attacks.own_values(tmp_path / "run/report", people, 4)
        build_report(tmp_path / "run", True)
    assert published <= 2  # of 40, by chance
    assert attacks.own_values(tmp_path / "run/report", people, 4) >= 30


def test_no_digest_of_a_file_of_people_can_be_guessed_at(cohort):
    """Who has a list but for one cell of it can try what the cell is, where the digest is published."""
    folder, whole, _, _ = cohort
    text = (whole.parent / "report.html").read_text()
    record = json.loads((folder / "run" / "run.json").read_text())
    shown = {entry["role"]: entry["sha256"] in text for entry in record["inputs"]}
    assert shown == {role: role in ("reference", "genes") for role in shown}
    of_all_inputs = [digest for digest in (*record["tables"].values(), record["finished"]) if digest]
    assert of_all_inputs
    assert not any(digest in text for digest in of_all_inputs)


def test_notes_are_published_by_the_rule_alone(cohort):
    """What the run keeps of them beside, by stage, has the numbers as they were."""
    folder, whole, _, _ = cohort
    record = json.loads((folder / "run" / "run.json").read_text())
    assert record["noted_by"]
    text = (whole.parent / "report.html").read_text()
    assert not [name for name in ("noted_by", "named") if f"<dt>{name}</dt>" in text]
    assert "<dt>versions</dt>" in text


def test_a_chart_marks_a_median_of_genes_no_finer_than_the_r_of_one(cohort):
    """The median of an odd number of genes is one gene's R."""
    _, whole, _, _ = cohort
    charts = attacks.charts(whole.parent / "report.html")
    marks = [row["place"] for row in all_rows(charts, "place")]
    marks = [mark for mark in marks if abs(mark) <= 1]  # not the line at p = .05
    assert marks
    assert marks == [round(mark, 2) for mark in marks]


@pytest.fixture
def in_full_digits(cohort, light):
    """The same runs, published with ``--include-individuals`` while a test looks."""
    folder = cohort[0]
    with put_back(folder), register("toy", load_toy):
        for config in (folder / "planted.toml", folder / "less.toml"):
            made = CliRunner().invoke(app, ["pages", str(config), "--include-individuals"])
            assert made.exit_code == 0, made.output
            build_report(load_config(config).output, True)
        yield cohort


def test_the_same_attacks_recover_people_where_individuals_are_included(in_full_digits):
    """The control."""
    folder, whole, less, missing = in_full_digits
    people, dosages = attacks.true_dosages(folder / "genotypes.vcf.gz")
    place = people.index(missing)
    found = attacks.genotypes_by_difference(whole, less, N)
    assert len(found) > 10
    truth = [dosages[key][place] for key in found.select("position", "ref", "alt").iter_rows()]
    assert np.rint(found["guess"].to_numpy()).tolist() == truth
    _, expression = attacks.true_expression(folder / "expression.bed.gz")
    guesses = dict(attacks.expression_by_difference(whole, less, N).iter_rows())
    assert guesses == pytest.approx({gene: values[place] for gene, values in expression.items()}, abs=1e-9)
    lone = attacks.expression_by_lone_r(whole, N).filter(pl.col("gene_id") == "bare")["guess"].item()
    assert lone == pytest.approx(attacks.true_distance(folder, "bare", attacks.LONE), rel=1e-3)
    assert attacks.carriers_by_r2(whole, N).height > 0


def all_rows(spec, column):
    """Rows of all data anywhere inside a specification that have this column."""
    if isinstance(spec, list):
        return [row for part in spec for row in all_rows(part, column)]
    if not isinstance(spec, dict):
        return []
    own = [spec] if column in spec and not isinstance(spec[column], dict) else []
    return own + [row for part in spec.values() for row in all_rows(part, column)]
