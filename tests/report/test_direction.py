import json
import re

import polars as pl
import pytest
from fake_direction import write_direction
from fake_run import Plan, write_run

pytest.importorskip("altair", reason="the report's extra is not installed")

from hapsight.report.across import between_models, pair_rows
from hapsight.report.build import build_report
from hapsight.report.direction import FACTORS, agreement_rows, direction_strata, factor_rows, stratum_words
from hapsight.report.direction_charts import RIGHT_COLOUR, WRONG_COLOUR, fitted
from hapsight.report.published import without_individuals
from hapsight.report.run_folder import read_run
from hapsight.report.seed_figure import seed_figure

TWO = ("xpresso/GM12878", "xpresso/humanMedian")
MADE = ("seed_figure", "direction_strata", "direction", "direction_factors", "between_models")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_direction(write_run(tmp_path_factory.mktemp("run"), Plan(models=TWO, genes=90))))


def rows_of(spec):
    return [row for data in spec["datasets"].values() for row in data]


def test_the_seed_figure_has_both_styles_of_every_arm(run):
    figure = seed_figure(run)
    assert [panel.title.split(": ")[0] for panel in figure.panels] == [
        label for label in (*TWO, "elastic_net") for _ in range(2)
    ]
    coloured, fitted = figure.panels[:2]
    assert "viridis" in json.dumps(coloured.spec)
    assert all(colour in json.dumps(fitted.spec) for colour in (RIGHT_COLOUR, WRONG_COLOUR))
    assert all("P = 0.05" in json.dumps(panel.spec) for panel in figure.panels)
    own = figure.numbers.filter(pl.col("model") == TWO[0])
    assert own.height == 86
    right = own.filter(pl.col("pearson_r") > 0).height
    assert f"R > 0 (blue): {right} genes, slope " in fitted.caption[0]
    assert f"{86 - right} with R < 0" in coloured.caption[0]
    assert "by mean measured expression" in figure.panels[4].title


def test_genes_whose_published_r_is_0_are_counted_as_neither(run):
    """Rounded to 5 people's share: with the two signs, they are all genes of the panel."""
    figure = seed_figure(without_individuals(run))
    for arm, place in ((TWO[0], 0), (TWO[1], 2)):
        own = figure.numbers.filter(pl.col("model") == arm)["pearson_r"]
        right, zero, wrong = ((own > 0).sum(), (own == 0).sum(), (own < 0).sum())
        assert zero > 0
        assert right + zero + wrong == len(own)
        coloured, fitted_ = figure.panels[place : place + 2]
        assert f"{wrong} with R < 0. R shown as 0: {zero} gene" in coloured.caption[0]
        assert [int(re.search(r": (\d+) gene", said)[1]) for said in fitted_.caption] == [right, wrong, zero]


def test_a_p_of_zero_is_drawn_at_the_smallest_number(run):
    assert seed_figure(run).numbers["neg_log10_p"].max() == pytest.approx(307.65, abs=0.01)


def test_specifications_are_strict_json_and_ask_for_nothing(run):
    for figure in (seed_figure(run), direction_strata(run), between_models(run)):
        for panel in figure.panels:
            text = json.dumps(panel.spec, allow_nan=False)
            assert "http" not in text
            assert panel.spec["description"]


def test_strata_hold_all_genes_of_every_arm(run):
    figure = direction_strata(run)
    assert len(figure.panels) == len(FACTORS)
    counts = figure.numbers.group_by("model", "factor").agg(pl.col("n").sum())
    assert set(counts["n"]) == {86}
    h2 = next(panel for panel in figure.panels if panel.title == "Cis-heritability")
    assert "not known" in json.dumps(h2.spec)
    assert [label for label, _ in figure.colours] == [*TWO, "elastic_net"]


@pytest.mark.parametrize(
    ("stratum", "text"),
    [
        (("distance", None, 1e3, True), "below 1 kb"),
        (("distance", 1e5, None, True), "100 kb or more"),
        (("n_signals", None, 1.0, True), "none"),
        (("n_signals", 1.0, 2.0, True), "1"),
        (("n_signals", 2.0, None, True), "2 or more"),
        (("maf", 0.05, 0.2, True), "0.050 to 0.200"),
        (("in_window", None, 1.0, True), "outside"),
        (("in_window", 1.0, None, True), "within"),
        (("h2", None, None, False), "not known"),
    ],
)
def test_strata_in_words(stratum, text):
    assert stratum_words(*stratum) == text


def test_tables_in_words(run):
    (arm, rows), *_ = agreement_rows(run)
    assert arm.label == TWO[0]
    assert re.fullmatch(r"[\d.]+ %", rows[0].cells[0][0])
    assert rows[0].cells[0][1].endswith("n 86")
    (_, factors, together), *_ = factor_rows(run)
    assert [row.factor for row in factors] == list(FACTORS.values())
    assert "by chance" in together
    first = pair_rows(run)[0]
    assert (first.first, first.second, first.replicates) == (*TWO, True)
    assert len(pair_rows(run)) == 3


PLANS = {
    "one model": Plan(),
    "two models": Plan(models=TWO),
    "model alone": Plan(baseline=False),
    "baseline alone": Plan(models=()),
    "all constant": Plan(genes=6, constant=6),
    "one gene": Plan(genes=1, constant=0, people=30),
    "one gene of few people": Plan(genes=1, constant=0, people=4),
    "three genes": Plan(genes=3, constant=0),
}


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_state_is_an_honest_page(tmp_path, plan):
    html = build_report(write_direction(write_run(tmp_path, plan))).read_text()
    text = re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(script|style).*?</\1>", "", html)).replace("p (null)", "")
    assert not re.search(r"\b(NaN|nan|None|null|undefined|inf)\b", text)
    arms = len(plan.models) + plan.baseline
    assert ('id="between_models"' in html) == (arms > 1)
    assert ('id="seed_figure"' in html) == (arms > 0)
    assert ('id="direction"' in html) == (
        arms > 0 and plan.constant < plan.genes and plan.people / 3 >= 5  # else no R is shown
    )


@pytest.mark.usefixtures("light")
def test_numbers_are_beside_the_page(tmp_path):
    build_report(write_direction(write_run(tmp_path)))
    for name in MADE:
        assert pl.read_csv(tmp_path / "report" / f"{name}.csv").height > 0, name


@pytest.mark.usefixtures("light")
def test_without_the_stage_nothing_of_it_is_shown(tmp_path):
    html = build_report(write_run(tmp_path)).read_text()
    assert not any(f'id="{name}"' in html for name in (*MADE, "pairs"))
    assert not any((tmp_path / "report" / f"{name}.csv").exists() for name in MADE)


@pytest.mark.usefixtures("light")
def test_names_cannot_break_out(tmp_path):
    evil = "</script><script>alert(1)</script>"
    plan = Plan(models=(evil, "b"), first_gene_name=evil)
    html = build_report(write_direction(write_run(tmp_path, plan))).read_text()
    assert "alert(1)</script" not in html


def test_many_genes_become_cells(tmp_path):
    run = read_run(write_direction(write_run(tmp_path, Plan(genes=2600, people=50))))
    figure = seed_figure(run)
    assert len(figure.panels) == 2
    assert all(len(json.dumps(panel.spec)) < 500_000 for panel in figure.panels)
    counted = sum(row.get("count", 0) for row in rows_of(figure.panels[0].spec))
    assert counted == figure.numbers.filter(pl.col("model") == "xpresso/GM12878").height


def test_a_gene_whose_r_is_shown_as_0_has_neither_sign():
    points = pl.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0.1, 0.0, -0.1], "gene": ["a", "b", "c"]})
    lines = pl.DataFrame(schema={"x": float, "x_end": float, "y": float, "y_end": float, "right": bool})
    spec = json.dumps(
        fitted(points, lines, mark=1.3, crowded=False, tooltip=["gene"], alt_text="three genes")
    )
    assert re.findall(r'"gene": "(.)", "sign": "([^"]*)"', spec) == [
        ("a", "R > 0"), ("b", "R is shown as 0"), ("c", "R < 0")
    ]  # fmt: skip
