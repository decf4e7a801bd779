"""The report in a real browser: it draws, sorts, searches, and asks for nothing."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fake_run import Plan, write_run

from hapsight.report.build import build_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")),
        reason="the report's extra is not installed",
    ),
]

EVIL = "<img src=x onerror=\"document.documentElement.dataset.hacked='yes'\">"

WATCH = """<script>
window.problems = [];
window.addEventListener("error", (event) => problems.push(String(event.message)));
window.addEventListener("unhandledrejection", (event) => problems.push(String(event.reason)));
const blocked = (event) => problems.push("blocked: " + event.blockedURI);
document.addEventListener("securitypolicyviolation", blocked);
</script>"""

DRIVE = """<script>
setTimeout(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const cells = (n) => all("#gene-table tbody tr").map((row) => row.children[n].textContent);
  const by = (id) => document.getElementById(id);
  const headings = () => all("#gene-table thead button");
  const byR = (button) => button.textContent === "R (95 % CI)";
  const sortByR = () => headings().find(byR).click();
  const set = (id, value, event) => { by(id).value = value; by(id).dispatchEvent(new Event(event)); };
  const seen = { headings: headings().map((cell) => cell.textContent) };
  seen.charts = all(".chart").map((chart) => chart.querySelectorAll("svg path").length);
  seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  seen.first = cells(0);
  sortByR();
  seen.lowest = cells(0)[0];
  seen.sort = document.querySelector("#gene-table [aria-sort]").getAttribute("aria-sort");
  sortByR();
  seen.highest = cells(0)[0];
  set("rows", "100", "change");
  seen.last = cells(6).at(-1);
  set("rows", "25", "change");
  by("next").click();
  seen.page = by("page").textContent;
  set("search", "gene12", "input");
  seen.found = by("found").textContent;
  set("search", "same prediction", "input");
  seen.constant = cells(2);
  set("search", "chr22:17071312", "input");
  seen.placed = cells(0);
  set("search", "", "input");
  set("arm", "1", "change");
  seen.baselineHighest = cells(0)[0];
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  seen.problems = window.problems;
  document.documentElement.dataset.seen = JSON.stringify(seen);
}, 2500);
</script>"""


def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome here to open the report with")
    return found


def dump_dom(browser: str, page: Path, profile: Path) -> str:
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=10000",
        "--window-size=1280,900",
    ]
    command = [browser, *options, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture(scope="module")
def opened(tmp_path_factory) -> tuple[dict[str, Any], str, pl.DataFrame]:
    """What the browser saw in a driven copy of the report; its DOM; the table behind it."""
    browser = chromium()
    folder = tmp_path_factory.mktemp("run")
    report = build_report(write_run(folder, Plan(genes=60, first_gene_name=EVIL)))
    text = report.read_text()
    copy = folder / "driven.html"
    start, rest = text.split("<head>", 1)
    middle, end = rest.rsplit("</body>", 1)
    copy.write_text(f"{start}<head>{WATCH}{middle}{DRIVE}</body>{end}")
    dom = dump_dom(browser, copy, tmp_path_factory.mktemp("profile"))
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, "the page did not get through the test's clicks"
    return json.loads(html.unescape(found[1])), dom, pl.read_csv(folder / "report" / "genes.csv")


def best(table: pl.DataFrame, model: str, *, descending: bool) -> str:
    rows = table.filter((pl.col("model") == model) & pl.col("pearson_r").is_not_null())
    return rows.sort("pearson_r", descending=descending).item(0, "gene_name")


def test_every_chart_is_drawn(opened) -> None:
    seen, dom, _ = opened
    assert len(seen["charts"]) == 4
    assert all(paths > 5 for paths in seen["charts"])
    assert "could not be drawn" not in re.sub(r"(?s)<script.*?</script>", "", dom)


def test_no_error_and_no_request(opened) -> None:
    seen, dom, _ = opened
    assert seen["problems"] == []
    assert seen["requests"] == []
    assert "data-hacked" not in dom


def test_the_page_does_not_scroll_sideways(opened) -> None:
    assert opened[0]["wide"] <= 0


def test_a_name_with_markup_is_text(opened) -> None:
    seen, _, _ = opened
    assert seen["first"][0].startswith(EVIL)
    assert len(seen["first"]) == 25


def test_sorting(opened) -> None:
    seen, _, table = opened
    assert seen["sort"] == "ascending"
    assert best(table, "xpresso/GM12878", descending=False) in seen["lowest"]
    assert best(table, "xpresso/GM12878", descending=True) in seen["highest"]
    assert seen["last"] == "same prediction for everybody"


def test_paging_and_search(opened) -> None:
    seen, _, _ = opened
    assert seen["page"] == "Page 2 of 3"
    assert seen["found"] == "1 of 60 genes"
    assert seen["constant"] == ["–"] * 4
    assert [cell.startswith("GENE1E") for cell in seen["placed"]] == [True]


def test_the_table_of_another_model(opened) -> None:
    seen, _, table = opened
    assert best(table, "elastic_net", descending=True) in seen["baselineHighest"]
    assert "R of elastic_net" in seen["headings"]
