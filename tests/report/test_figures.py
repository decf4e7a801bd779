import json
from dataclasses import replace

import polars as pl
import pytest
from fake_run import Plan, write_run

pytest.importorskip("altair", reason="the report's extra is not installed")

from hapsight.report import figure as figure_module
from hapsight.report.across import across_genes, across_people, model_v_baseline, within_person
from hapsight.report.charts import BASELINE_COLOUR, MODEL_COLOUR
from hapsight.report.run_folder import read_run

MAKERS = (across_people, model_v_baseline, across_genes, within_person)


@pytest.fixture
def run(tmp_path):
    return read_run(write_run(tmp_path, Plan(genes=60, constant=14)))


def rows_of(spec):
    return [row for data in spec["datasets"].values() for row in data]


@pytest.mark.parametrize("make", MAKERS)
def test_specifications_are_strict_json_and_ask_for_nothing(run, make) -> None:
    for panel in make(run).panels:
        text = json.dumps(panel.spec, allow_nan=False)
        assert "http" not in text
        assert panel.spec["description"]


def test_distribution_counts_every_tested_gene(run) -> None:
    figure = across_people(run)
    totals = dict(figure.numbers.group_by("model").agg(pl.col("count").sum()).iter_rows())
    assert totals == {"xpresso/GM12878": 46, "elastic_net": 46}
    starts = [part["start"].to_list() for part in figure.numbers.partition_by("model")]
    assert starts[0] == starts[1]


def test_distribution_names_the_genes_it_leaves_out(run) -> None:
    (panel,) = across_people(run).panels
    text = " ".join(panel.caption)
    assert "same prediction for everybody (14): GENE46, GENE47" in text
    assert "and 2 more" in text
    assert dict(panel.named)["xpresso/GM12878: same prediction for everybody"][-1] == "GENE59"


def test_colours_are_the_same_everywhere(run) -> None:
    both = json.dumps(across_people(run).panels[0].spec)
    assert MODEL_COLOUR in both
    assert BASELINE_COLOUR in both
    for make in (model_v_baseline, across_genes, within_person):
        assert BASELINE_COLOUR not in json.dumps(make(run).panels[0].spec)


def test_quadrants_add_up(run) -> None:
    figure = model_v_baseline(run)
    signs = figure.numbers.select(pl.col("baseline_r", "model_r") > 0)
    wanted = signs.filter(pl.col("baseline_r") & ~pl.col("model_r")).height
    assert f"only the baseline right: {wanted};" in figure.panels[0].caption[1]
    assert figure.numbers.height == 46


def test_a_r_of_exactly_zero_is_counted_apart(run) -> None:
    zeroed = run.per_gene.with_columns(
        pl.when(pl.col("gene_name") == "GENE1").then(0.0).otherwise("pearson_r").alias("pearson_r")
    )
    assert "one R exactly 0: 1." in model_v_baseline(replace(run, per_gene=zeroed)).panels[0].caption[1]


def test_scatter_takes_the_summary_s_number(run) -> None:
    value, n = figure_module.summary_value(run, run.models[0], "across_genes_spearman")
    assert across_genes(run).panels[0].caption[0] == f"xpresso/GM12878: Spearman {value:.3f} over {n} genes."


def test_many_points_become_a_heat_map(tmp_path) -> None:
    run = read_run(write_run(tmp_path, Plan(genes=6000, people=50)))
    for make in (model_v_baseline, across_genes):
        figure = make(run)
        assert len(json.dumps(figure.panels[0].spec)) < 400_000
        assert sum(row.get("count", 0) for row in rows_of(figure.panels[0].spec)) == figure.numbers.height
        assert "strong" not in figure.key


def test_several_models_have_a_panel_each(tmp_path) -> None:
    run = read_run(write_run(tmp_path, Plan(models=("a", "b"))))
    assert [[panel.title for panel in make(run).panels] for make in MAKERS] == [["a", "b"]] * 4


def test_baseline_alone(tmp_path) -> None:
    run = read_run(write_run(tmp_path, Plan(models=())))
    people, *others = (make(run) for make in MAKERS)
    assert people.panels[0].spec is not None
    assert all(figure.panels[0].spec is None for figure in others)
    assert all("No sequence model ran" in figure.panels[0].caption[0] for figure in others)


@pytest.mark.parametrize("make", MAKERS)
def test_without_any_number_the_panel_says_why(tmp_path, make) -> None:
    run = read_run(write_run(tmp_path, Plan(genes=5, constant=5)))
    empty = replace(run, across_genes=run.across_genes.clear(), per_person=run.per_person.clear())
    (panel,) = make(empty).panels
    assert panel.spec is None
    assert panel.caption[0].startswith("No ")


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_extreme_correlations_are_drawn(run, value) -> None:
    same = run.per_gene.with_columns(pearson_r=pl.lit(value))
    (panel,) = across_people(replace(run, per_gene=same)).panels
    assert panel.spec is not None
    assert across_people(replace(run, per_gene=same)).numbers["count"].sum() == 120
