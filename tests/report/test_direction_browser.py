"""The pictures beside eQTLs, in a real browser: all drawn, and none wider than a wide or a narrow page."""

import html
import json
import re
import subprocess
from importlib.util import find_spec

import pytest
from fake_direction import write_direction
from fake_run import Plan, write_run
from test_browser import WATCH, chromium

from hapsight.report.build import build_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")),
        reason="the report's extra is not installed",
    ),
]

LOOK = """<script>
setTimeout(() => {
  const charts = [...document.querySelectorAll(".chart")];
  const page = document.documentElement;
  const seen = {
    drawn: charts.map((chart) => chart.querySelectorAll("svg path").length),
    over: charts.filter((chart) => chart.scrollWidth > chart.clientWidth + 1).length,
    wide: page.scrollWidth - page.clientWidth,
    problems: window.problems,
  };
  page.dataset.seen = JSON.stringify(seen);
}, 3000);
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    report = build_report(
        write_direction(write_run(folder, Plan(models=("xpresso/GM12878", "xpresso/K562"))))
    )
    start, rest = report.read_text().split("<head>", 1)
    middle, end = rest.rsplit("</body>", 1)
    watched = folder / "watched.html"
    watched.write_text(f"{start}<head>{WATCH}{middle}{LOOK}</body>{end}")
    return watched


@pytest.mark.parametrize("width", [1280, 390])
def test_every_picture_is_drawn_and_fits(page, tmp_path, width):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    size = f"--window-size={width},900"
    command = [chromium(), *options, size, f"--user-data-dir={tmp_path}", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, "the page did not load"
    seen = json.loads(html.unescape(found[1]))
    assert len(seen["drawn"]) == 4 * 2 + 3 * 2 + 9 + 1
    assert all(seen["drawn"])
    assert (seen["over"], seen["problems"]) == (0, [])
    assert seen["wide"] <= 0
