"""What a report holds of single people: nothing, unless asked for."""

import html
import json
import re
from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest
from fake_gene_page import page, view
from fake_run import Plan, write_run
from hypothesis import given
from hypothesis import strategies as st

from hapsight.report.build import build_report
from hapsight.report.disclosure_rules import FEWEST, step
from hapsight.report.gene_page import by_genotype, by_prediction
from hapsight.report.gene_view import PEOPLE
from hapsight.report.published import _check

pytestmark = [
    pytest.mark.usefixtures("light"),
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")),
        reason="the report's extra is not installed",
    ),
]

NAMES = [f"HG{i:05d}" for i in range(80)]
LEFT_OUT = ["NA1", "NA2", "NA3", "NA4"]
NAMING = [
    {"name": "people", "status": "warn", "message": "80 people", "details": ["3 samples left out: NA1, NA2"]},
    {"name": "people match", "status": "warn", "message": "1", "details": ["HG00000: fits those of HG00001"]},
    {"name": "chrX", "status": "warn", "message": "12 genes of 62 women, 17 men, 1 of unknown sex"},
    {"name": "phase", "status": "warn", "message": "1", "details": ["chr22:100 A>G"]},
]


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "run", Plan())
    (folder / "check.json").write_text(json.dumps(NAMING))
    return folder


def everything(folder) -> str:
    """The report and every file of numbers beside it."""
    files = [folder / "report.html", *(folder / "report").rglob("*.*")]
    return "\n".join(html.unescape(path.read_text()) for path in files)


def named(text: str) -> set[str]:
    return {name for name in (*NAMES, *LEFT_OUT) if re.search(rf"\b{name}\b", text)}


def test_nobody_is_named_unless_asked_for(run):
    build_report(run)
    text = everything(run)
    assert named(text) == set()
    assert "12 genes of 60 women, 15 men, 5 of unknown sex" in text
    assert "chr22:100 A>G" not in text  # a variant that few may carry
    assert "--include-individuals" in text


def test_people_are_counted_in_bars_of_five_or_more(run):
    build_report(run)
    bars = pl.read_csv(run / "report" / "within_person.csv")
    assert bars.columns == ["model", "read_out", "start", "end", "people"]
    assert (bars["people"] >= 5).all()
    assert (bars["people"] % 5 == 0).all()
    assert abs(bars["people"].sum() - len(NAMES)) <= 2.5 * bars.height


def test_the_report_says_on_top_that_it_holds_people(run):
    said = "This report holds single people"
    assert said in build_report(run, True).read_text()
    assert said not in build_report(run, False).read_text()


@pytest.mark.parametrize("how", ["argument", "configuration"])
def test_people_are_named_where_asked_for(run, how):
    if how == "configuration":
        (run / "config.toml").write_text("[report]\ninclude_individuals = true\n")
    build_report(run, True if how == "argument" else None)
    assert named(everything(run)) == {*NAMES, *LEFT_OUT}


def test_the_argument_outdoes_the_configuration(run):
    (run / "config.toml").write_text("[report]\ninclude_individuals = true\n")
    build_report(run, False)
    assert named(everything(run)) == set()


@pytest.mark.parametrize("text", ["no TOML [", "report = 3\n", "[report]\ninclude_individuals = 'yes'\n"])
def test_a_configuration_that_cannot_tell_asks_for_nothing(run, text):
    (run / "config.toml").write_text(text)
    build_report(run)
    assert named(everything(run)) == set()


def gene_page_of(folder, individuals, **options):
    from hapsight.report.gene_page import write_gene_page

    return write_gene_page(page(view(**options), individuals=individuals), folder)[0]


def numbers_in(text: str) -> set[float]:
    """Every number inside the pictures."""
    specs = re.findall(r'(?s)<script type="application/json" class="spec">(.*?)</script>', text)
    return {float(n) for spec in specs for n in re.findall(r":(-?\d+\.\d+(?:e-?\d+)?)", spec)}


def test_a_gene_page_holds_nobodys_numbers(tmp_path):
    given = view()
    own = {*given.people["predicted"].to_list(), *given.people["observed"].to_list()}
    assert own <= numbers_in(gene_page_of(tmp_path, True).read_text())
    text = gene_page_of(tmp_path, False).read_text()
    assert not own & numbers_in(text)
    assert "nobody’s own genotype" in text
    assert "n 60" in text


def test_a_genotype_of_few_is_one_group_with_its_neighbour(tmp_path):
    people = view().people.with_columns(genotype=pl.Series([2] * 4 + [1] * 26 + [0] * 30, dtype=pl.Int64))
    text = html.unescape(gene_page_of(tmp_path, False, people=people).read_text())
    assert re.search(r"Mean: C/C \S+ \(about 30 people\); C/T or T/T \S+ \(about 30 people\)\.", text)
    assert "A genotype of fewer than 5 people is one group with its neighbour." in text


def test_no_genotype_is_shown_where_all_would_be_one_group(tmp_path):
    people = view().people.with_columns(genotype=pl.Series([2] * 4 + [0] * 56, dtype=pl.Int64))
    text = html.unescape(gene_page_of(tmp_path, False, people=people).read_text())
    assert "Mean: not shown." in text
    assert "about 56" not in text


def test_the_report_says_that_pages_show_people(run):
    gene_page_of(run / "report" / "genes", True)
    build_report(run)
    assert "1 gene page there show" in (run / "report.html").read_text()
    gene_page_of(run / "report" / "genes", False)
    build_report(run)
    assert "there show" not in (run / "report.html").read_text()


def table(predicted, observed, genotype) -> pl.DataFrame:
    return pl.DataFrame({"predicted": predicted, "observed": observed, "genotype": genotype}, schema=PEOPLE)


@given(st.integers(0, 97), st.integers(0, 2**32 - 1))
def test_groups_have_five_people_or_more_and_hold_everybody(n, seed):
    rng = np.random.default_rng(seed)
    people = table(rng.integers(0, 4, n) / 3, rng.normal(size=n), rng.integers(0, 3, n))
    groups = by_prediction(people)
    assert groups.is_empty() == (n < FEWEST)
    assert (groups["n"] >= FEWEST).all()
    assert groups["predicted"].drop_nulls().is_sorted()
    assert abs(groups["n"].sum() - (n if n >= FEWEST else 0)) <= 2 * groups.height
    for column in ("observed", "predicted"):
        _is_the_plain_mean(people, by_genotype(people, column), column)


def _is_the_plain_mean(people: pl.DataFrame, shown: pl.DataFrame, column: str) -> None:
    """The slow twin: mean and spread of each group's people, within half a step."""
    sd = float(people[column].std(ddof=0) or 0)
    for row in shown.iter_rows(named=True):
        own = people.filter(pl.col("genotype").is_between(*row["genotypes"]))[column].to_numpy()
        assert len(own) >= FEWEST
        assert abs(row["n"] - len(own)) <= 2
        if sd > 0:
            half = pl.select(step(pl.lit(float(len(own))), sd)).item() / 2 * 1.001
            assert row[column] == pytest.approx(own.mean(), abs=half)
            assert row["high"] - row[column] == pytest.approx(own.std(), abs=half)
    if not shown.is_empty():
        held = sum(last - first + 1 for first, last in shown["genotypes"].to_list())
        assert held >= people["genotype"].n_unique()


def test_the_length_of_a_window_is_not_a_number_of_people():
    message = "read-out default, 10,500 bp, 5,653 variants"
    shown = _check({"name": "model xpresso", "message": message}, 358)
    assert shown["message"] == "read-out default, 10,500 bp, 5,700 variants"
