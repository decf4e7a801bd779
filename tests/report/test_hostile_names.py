"""Names that are HTML stay text, wherever a report shows them: in tables, in charts, in scripts."""

import json
from collections import Counter
from html.parser import HTMLParser
from importlib.util import find_spec

import polars as pl
import pytest
from fake_gene_page import page, variants, view
from fake_run import Plan, write_run

pytestmark = [
    pytest.mark.usefixtures("light"),
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")),
        reason="the report's extra is not installed",
    ),
]

EVIL = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</SCRIPT ><svg onload=alert(1)>",
    "<!--<script>",
    "]]>--><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    '" onfocus="alert(1)" autofocus="',
    "&lt;script&gt;{{ 7 * 7 }}{% raw %}",
    "\u2028alert(1)//",
]


class Skeleton(HTMLParser):
    """Elements with their attributes' names, as a browser sees them; and the JSON in scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[tuple[str, ...]] = Counter()
        self.scripts: list[str] = []
        self.json: list[str] = []
        self._data = self._is_json = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.elements[(tag, *(name for name, _ in attrs))] += 1
        self._data = tag == "script"
        self._is_json = ("type", "application/json") in attrs

    def handle_endtag(self, tag) -> None:
        self._data = False

    def handle_data(self, data) -> None:
        if self._data:
            self.scripts.append(data)
            if self._is_json:
                self.json.append(data)


def report(folder, name: str) -> Skeleton:
    """A run in which everything that can have a name has this one."""
    from hapsight.report.build import build_report

    run = write_run(folder, Plan(models=(name,), name=name, genes=8, people=12, notes=(name,)))
    for table, column in (("per_gene", "gene_id"), ("per_gene", "gene_name"), ("across_genes", "gene_id")):
        path = run / "evaluation" / f"{table}.parquet"
        pl.read_parquet(path).with_columns(
            pl.format(name_as_format(name), column).alias(column)
        ).write_parquet(path)
    path = run / "evaluation" / "per_person.parquet"
    people = pl.read_parquet(path).with_columns(
        pl.format(name_as_format(name), "sample_id").alias("sample_id")
    )
    people.write_parquet(path)
    dropped = {"kind": ["sample", "gene"], "reason": [name] * 2, "count": [1, 1], "names": [[name]] * 2}
    pl.DataFrame(dropped).write_parquet(run / "dropped.parquet")
    checks = [{"name": "people", "status": "warn", "message": name, "details": [name]}]
    (run / "check.json").write_text(json.dumps(checks))
    return Skeleton(build_report(run, individuals=True).read_text())


def name_as_format(name: str) -> str:
    """For `polars.format`, which takes braces as places."""
    return name.replace("{", "(").replace("}", ")") + " {}"


@pytest.mark.parametrize("evil", [" ".join(EVIL), " ".join(EVIL[::-1])], ids=["forwards", "backwards"])
def test_a_report_has_the_same_elements_whatever_names_are(tmp_path, evil):
    plain, found = report(tmp_path / "plain", "plain"), report(tmp_path / "evil", evil)
    assert found.elements == plain.elements
    assert len(found.scripts) == len(plain.scripts)
    (genes,) = (data["genes"] for data in map(json.loads, found.json) if "genes" in data)
    assert all(EVIL[0] in name and EVIL[1] in name for name in genes["id"] + genes["name"])


@pytest.mark.parametrize("individuals", [True, False])
@pytest.mark.parametrize("evil", [" ".join(EVIL), " ".join(EVIL[::-1])], ids=["forwards", "backwards"])
def test_a_gene_page_has_the_same_elements_whatever_names_are(tmp_path, evil, individuals):
    from hapsight.report.gene_page import gene_page_html

    def made(name: str) -> Skeleton:
        given = view(model=name, read_out=name, variants=variants(name=name), observed=name, units=name)
        return Skeleton(gene_page_html(page(given, name=name, gene_id=f"{name}.1", individuals=individuals)))

    plain, found = made("plain"), made(evil)
    assert found.elements == plain.elements
    assert len(found.scripts) == len(plain.scripts)
    assert len([json.loads(text) for text in found.json]) == 5


@pytest.mark.parametrize("evil", EVIL)
def test_data_inside_of_a_script_cannot_end_it(evil):
    from hapsight.report.page import embedded_json

    text = embedded_json({evil: [evil]})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {evil: [evil]}


def test_the_skeleton_sees_what_breaks_out():
    assert Skeleton("<p>a</p>").elements != Skeleton(f"<p>{EVIL[0]}</p>").elements
    assert Skeleton('<p title="">').elements != Skeleton(f'<p title="{EVIL[6]}">').elements
