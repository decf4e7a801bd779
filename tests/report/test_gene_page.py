"""The gene page: what is on it, what is not, and that it draws in a browser."""

import html
import json
import re
import subprocess
from importlib.util import find_spec
from urllib.parse import quote

import polars as pl
import pytest
from fake_gene_page import EVIL, page, variants, view
from fake_run import Plan, write_run
from test_browser import WATCH, chromium, dump_dom

from hapsight.files import file_name
from hapsight.report.gene_view import PEOPLE, page_link

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")),
    reason="the report's extra is not installed",
)


def written(folder, *views, **options):
    from hapsight.report.gene_page import write_gene_page

    return write_gene_page(page(*views, **options), folder)[0]


def specs(text: str) -> list[dict]:
    found = re.findall(r'(?s)<script type="application/json" class="spec">(.*?)</script>', text)
    return [json.loads(spec) for spec in found]


def points(spec: dict, layer: dict) -> list[dict]:
    return spec["datasets"][layer["data"]["name"]]


@pytest.mark.usefixtures("light")
def test_everything_is_on_the_page(tmp_path):
    text = html.unescape(written(tmp_path).read_text())
    for wanted in (
        "breaks a KLF5 site",
        "goes the wrong way",
        "n 60",
        "How to read this",
        "Protocol",
        "REF C",
    ):
        assert wanted in text
    assert len(specs(text)) == 5
    assert text.count('class="logo"') == 2
    assert not re.search(r"\b(NaN|None|undefined)\b", re.sub(r"(?s)<script.*?</script>", "", text))


@pytest.mark.usefixtures("light")
def test_people_have_no_names_and_no_order(tmp_path):
    text = written(tmp_path, individuals=True).read_text()
    assert "<dt>q</dt>" in text
    assert "<dt>q, rounded</dt>" in written(tmp_path / "coarse").read_text()
    scatter = specs(text)[0]
    rows = points(scatter, scatter["layer"][0])
    assert set(rows[0]) == {*PEOPLE, "alleles"}
    assert rows == sorted(rows, key=lambda r: (r["alleles"], r["predicted"]))


def dots(spec: dict) -> int:
    layers = [layer for layer in spec["layer"] if layer["mark"]["type"] in ("circle", "point")]
    return sum(len(points(spec, layer)) for layer in layers)


@pytest.mark.usefixtures("light")
def test_grey_is_below_only(tmp_path):
    given = view()
    _, _, _, above, below = specs(written(tmp_path, given).read_text())
    shown = given.variants.filter(pl.col("tss_distance").is_between(*given.shown))
    assert dots(above) == len(shown.filter("in_window"))
    assert dots(below) == len(shown)
    assert dots(below) > dots(above)


@pytest.mark.usefixtures("light")
def test_the_numbers_are_beside_it(tmp_path):
    given = view()
    written(tmp_path, given)
    table = pl.read_csv(tmp_path / "ENSG00000000001.1.csv")
    assert len(table) == len(given.variants)
    assert table["model"].unique().to_list() == ["xpresso/GM12878"]
    assert table.filter("driver").height == 1


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize(
    "given",
    [
        view(marked=None, n_drivers=0, driver_status="no_variants", variants=variants().clear(), logos=None),
        view(eqtl_mapped=False, top_eqtl=None),
        view(logos=None, logo_note="The model gives no gradients.", motif=None),
        view(n_drivers=0, additivity=None),
    ],
    ids=["no variants", "no eqtls", "no logo", "no driver"],
)
def test_what_is_missing_leaves_the_rest(tmp_path, given):
    text = written(tmp_path, given).read_text()
    assert given.logo_note in text
    assert specs(text)


@pytest.mark.usefixtures("light")
def test_what_is_to_be_typed_is_set_apart(tmp_path):
    text = written(tmp_path, view(motif=None, logo_note="With `saturation` <set>.")).read_text()
    assert "With <code>saturation</code> &lt;set&gt;." in text
    assert "<code>hapsight drivers</code> does it" in text
    assert "`" not in text.partition("<main")[2].partition("<script")[0]


@pytest.mark.usefixtures("light")
def test_hostile_names_are_text_and_stay_in_the_folder(tmp_path):
    hostile = view(model=EVIL, variants=variants(name=EVIL), logo_note=EVIL, observed=EVIL)
    path = written(tmp_path / "genes", hostile, name=EVIL, gene_id=f"../../{EVIL}")
    assert path.parent == tmp_path / "genes"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["genes"]
    assert "<img" not in path.read_text()


def test_links_are_of_the_pages_files():
    assert page_link("ENSG1.2") == "report/genes/ENSG1.2.html"
    assert page_link("a/b+") == "report/genes/" + quote(file_name("a/b+", suffix=".html"))


@pytest.mark.usefixtures("light")
def test_the_report_links_the_pages_that_are_there(tmp_path):
    from hapsight.report.cards import gene_columns
    from hapsight.report.run_folder import read_run

    run = write_run(tmp_path, Plan(genes=5))
    gene_id = "ENSG00000000002.2"
    written(run / "report" / "genes", gene_id=gene_id)
    genes = gene_columns(read_run(run))["genes"]
    assert [link for link in genes["page"] if link] == [f"report/genes/{gene_id}.html"]
    assert genes["page"][genes["id"].index(gene_id)]


LOOK = """<script>
setTimeout(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const page = document.documentElement;
  const logo = document.querySelector(".logo");
  page.dataset.seen = JSON.stringify({
    drawn: all(".chart").map((chart) => chart.querySelectorAll("svg path").length),
    over: all(".chart").filter((chart) => chart.scrollWidth > chart.clientWidth + 1).length,
    letters: all(".logo path[transform]").length,
    logo: logo.getBoundingClientRect().height,
    wide: page.scrollWidth - page.clientWidth,
    requests: performance.getEntriesByType("resource").map((entry) => entry.name),
    problems: window.problems,
  });
}, 3000);
</script>"""


@pytest.fixture(scope="module", params=[False, True], ids=["groups", "individuals"])
def watched(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("genes")
    given = view(variants=variants(name=EVIL))
    text = written(folder, given, view(model="other"), name=EVIL, individuals=request.param).read_text()
    start, rest = text.split("<head>", 1)
    middle, end = rest.rsplit("</body>", 1)
    copy = folder / "watched.html"
    copy.write_text(f"{start}<head>{WATCH}{middle}{LOOK}</body>{end}")
    return copy


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_every_picture_is_drawn_and_fits(watched, tmp_path, width):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    size = f"--window-size={width},900"
    command = [chromium(), *options, size, f"--user-data-dir={tmp_path}", watched.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, "the page did not load"
    seen = json.loads(html.unescape(found[1]))
    assert len(seen["drawn"]) == 2 * 5
    assert all(paths > 5 for paths in seen["drawn"])
    assert seen["letters"] > 100
    assert seen["logo"] > 60
    assert (seen["over"], seen["problems"], seen["requests"]) == (0, [], [])
    assert seen["wide"] <= 0
    assert "data-hacked" not in dom


@pytest.mark.browser
def test_the_reports_table_leads_to_the_page(tmp_path):
    from hapsight.report.build import build_report

    run = write_run(tmp_path / "run", Plan(genes=5, first_gene_name=EVIL))
    written(run / "report" / "genes", gene_id="ENSG00000000000.0")
    dom = dump_dom(chromium(), build_report(run), tmp_path / "profile")
    links = re.findall(r'<a href="(report/genes/[^"]*)"', dom)
    assert links == ["report/genes/ENSG00000000000.0.html"]
    assert (run / links[0]).exists()
    assert "data-hacked" not in dom
