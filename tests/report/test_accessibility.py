"""The pages as a reader has them who uses a phone, keys, a dark screen, a screen reader or paper."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
from chrome import Page
from fake_direction import write_direction
from fake_run import Plan, write_run
from test_gene_page import written

from hapsight.report.build import build_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")),
        reason="the report's extra is not installed",
    ),
]

GENES = 505


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    plan = Plan(genes=GENES, people=120, models=("xpresso/GM12878", "xpresso/K562"))
    return build_report(write_direction(write_run(folder, plan)))


@pytest.fixture(scope="module")
def gene_page(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("genes"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    made = Page(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


def axe() -> str:
    """The text of axe-core: the file that ``HAPSIGHT_AXE`` names, ``axe.min.js`` of npm's axe-core."""
    given = os.environ.get("HAPSIGHT_AXE")
    if not given:
        pytest.skip("HAPSIGHT_AXE does not name axe.min.js of axe-core (npm install axe-core)")
    return Path(given).read_text()


@pytest.mark.parametrize("which", ["report", "gene_page"])
@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (375, "dark")])
def test_the_checker_finds_nothing_serious(request, page, which, width, scheme) -> None:
    source = axe()
    page.open(request.getfixturevalue(which), width=width, scheme=scheme)
    page.run(source)
    said = "r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.target.join(' ')).slice(0, 3)])"
    found = page.run(f"axe.run(document, {{ resultTypes: ['violations'] }}).then((r) => {said})")
    assert [one for one in found if one[0] in ("serious", "critical")] == []


@pytest.mark.parametrize("which", ["report", "gene_page"])
def test_a_phone_does_not_scroll_sideways(request, page, which) -> None:
    page.open(request.getfixturevalue(which), width=375)
    assert page.run("innerWidth") == 375
    assert page.run("document.documentElement.scrollWidth") == 375
    assert page.run(
        "[...document.querySelectorAll('.chart')].every((c) => c.scrollWidth <= c.clientWidth + 1)"
    )


def test_contents_lead_to_every_section(page, report) -> None:
    page.open(report)
    links = page.run(
        "[...document.querySelectorAll('.contents a')].map((a) => a.getAttribute('href').slice(1))"
    )
    own = page.run(
        "[...document.querySelectorAll('section[id]')].filter((s) => s.querySelector(':scope > h2'))"
        ".map((s) => s.id)"
    )
    assert links == own
    assert len(links) == len(set(links)) > 10


def test_points_are_read_by_keys(page, report) -> None:
    """The table behind a picture opens by Enter, and has a row a point with the numbers of the CSV."""
    page.open(report)
    page.run("document.querySelector('#model_v_baseline details.behind > summary').focus()")
    page.press("Enter")
    rows = page.run(
        "new Promise((done) => setTimeout(() => done([...document.querySelectorAll("
        "'#model_v_baseline details.behind[open] tr')].map((r) => [...r.children]"
        ".map((c) => c.textContent))), 200))"
    )
    wanted = pl.read_csv(report.parent / "report" / "model_v_baseline.csv")
    wanted = wanted.filter(pl.col("model") == "xpresso/GM12878")
    assert rows[0] == ["gene", "R of baseline", "R of model", "people", "q"]
    assert [row[0] for row in rows[1:]] == wanted["gene"].to_list()
    read = [float(row[2].replace("−", "-")) for row in rows[1:]]
    assert read == pytest.approx(wanted["model_r"].to_list(), abs=5.1e-4)


CONTRAST = """(() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const contrast = (colour) => {
    if (!colour.startsWith("rgb(")) return 0;
    const [low, high] = [light(colour), paper].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const kinds = ":is(.mark-symbol, .mark-line, .mark-rule)";
  const marks = [...document.querySelectorAll(`.chart .role-mark${kinds} > *`)];
  return marks.filter((m) => m.closest("section, article").id !== "between_models").map((m) => {
    const style = getComputedStyle(m);
    return [Math.max(contrast(style.fill), contrast(style.stroke)), style.fill, style.stroke];
  }).filter(([best]) => best < 3);
})()"""


@pytest.mark.parametrize(
    ("which", "scheme"),
    [("report", "dark"), ("report", "light"), ("gene_page", "dark"), ("gene_page", "light")],
)
def test_points_and_lines_stand_out_from_the_paper(request, page, which, scheme) -> None:
    page.open(request.getfixturevalue(which), scheme=scheme)
    assert page.run(CONTRAST) == []


PRINTED = """(() => {
  window.dispatchEvent(new Event("beforeprint"));
  const all = (selector) => [...document.querySelectorAll(selector)];
  const right = (e) => Math.round(e.getBoundingClientRect().right);
  return {
    genes: all("#gene-table tbody tr").length,
    found: (document.getElementById("found") || {}).textContent,
    closed: all("details:not(.behind, .raw, [open])").length,
    wide: all(".chart svg, .logo, main p").filter((e) => right(e) > innerWidth).map((e) => right(e)),
    charts: all(".panels:not(.several) .chart svg").map((e) => Math.round(e.getBoundingClientRect().width)),
  };
})()"""


def test_paper_has_all_rows_or_says_what_is_cut(page, report) -> None:
    page.open(report, width=688, media="print")
    seen = page.run(PRINTED)
    assert seen["genes"] == 500
    assert seen["found"] == (
        f"{GENES} of {GENES} genes (xpresso/GM12878), of which the first 500 are printed; all rows are in "
        "report/genes.csv"
    )
    assert (seen["closed"], seen["wide"]) == (0, [])
    assert all(width >= 600 for width in seen["charts"])
    page.run("window.dispatchEvent(new Event('afterprint'))")
    assert page.run("document.querySelectorAll('#gene-table tbody tr').length") == 25


def test_a_gene_page_fits_on_paper(page, gene_page) -> None:
    page.open(gene_page, width=688, media="print")
    seen = page.run(PRINTED)
    assert (seen["closed"], seen["wide"]) == (0, [])


DRAWN_FOR_PAPER = """(() => {
  window.dispatchEvent(new Event("beforeprint"));
  const drawn = () => [...document.querySelectorAll(".chart svg")].map((svg) => svg.getAttribute("viewBox"));
  return new Promise((done) => setTimeout(() => done(drawn()), 200));
})()"""


def test_a_printed_gene_page_is_the_same_from_any_window(page, gene_page) -> None:
    drawn = []
    for width in (800, 1366):
        page.open(gene_page, width=width)
        drawn.append(page.run(DRAWN_FOR_PAPER))
    assert len(drawn[0]) >= 5
    assert drawn[0] == drawn[1]
