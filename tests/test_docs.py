"""The documentation says what the program does."""

import ast
import gzip
import hashlib
import html
import json
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from hapsight.cli.main import app
from hapsight.models.catalogue import WEIGHTS
from hapsight.run.config import Config, load_config
from tests.models.synthetic import synthetic_h5

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
)
NAME = r"\bhapsight(?:\.[A-Za-z_]\w*)+"


def page_text(page: str) -> str:
    return (ROOT / page).read_text()


def test_the_readme_fits_one_screen():
    assert len(README.splitlines()) < 60


def test_the_configuration_in_the_quick_start_is_valid():
    (text,) = (block.split("```")[0] for block in page_text("docs/quick_start.md").split("```toml\n")[1:])
    config = Config.model_validate(tomllib.loads(text))
    assert config.models[0].name == "xpresso"


def said_commands(text: str) -> Iterator[list[str]]:
    """Words after ``hapsight`` in lines of code blocks and in back ticks; a line that goes on is one."""
    inside = text.replace("\\\n", " ").split("```")
    lines = [line for block in inside[1::2] for line in block.splitlines()]
    lines += re.findall(r"`([^`]+)`", "".join(inside[::2]))
    for line in lines:
        if found := re.match(r"(?:[A-Z_]+=\S+ |\$ )*hapsight (.*)", line):
            yield shlex.split(found[1], comments=True)


def unknown_word(words: list[str]) -> str | None:
    """The first word that names no command, or the first option that this command has not."""
    command = get_command(app)
    for word in words:
        if isinstance(command, TyperGroup) and not word.startswith("-"):
            if word not in command.commands:
                return word
            command = command.commands[word]
        elif word.startswith("--"):
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            if word.split("=")[0] not in {*options, "--help"}:
                return word
    return None


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists(page):
    assert {
        " ".join(words): wrong for words in said_commands(page_text(page)) if (wrong := unknown_word(words))
    } == {}


def test_commands_are_found_and_judged():
    commands = [words for page in PAGES for words in said_commands(page_text(page))]
    assert len(commands) > 50
    assert unknown_word(["models", "fetch", "xpresso"]) is None
    assert unknown_word(["models", "fetched"]) == "fetched"
    assert unknown_word(["run", "x.toml", "--worker", "2"]) == "--worker"


def test_the_schema_is_up_to_date():
    stored = json.loads((ROOT / "docs" / "config.schema.json").read_text())
    assert stored == Config.model_json_schema(), "run: hapsight schema > docs/config.schema.json"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_points_to_exist(page):
    targets = [part.split(")")[0].split("#")[0] for part in page_text(page).split("](")[1:]]
    here = (ROOT / page).parent
    assert [name for name in targets if "://" not in name and name and not (here / name).exists()] == []
    paths = re.findall(r"\b(?:src|tests|tools|benchmarks|docs|findings)/[\w./-]*\w", page_text(page))
    assert [name for name in paths if not (ROOT / name).exists()] == []


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = [html.unescape(line).lower() for line in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_headings_that_a_page_points_to_exist(page):
    here = ROOT / page
    links = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page_text(page))
    targets = [(here.parent / name if name else here, anchor) for name, anchor in links if "://" not in name]
    assert [(str(name), anchor) for name, anchor in targets if anchor not in anchors(name)] == []


def test_every_page_of_the_site_is_in_its_navigation_once():
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", page_text("docs/index.md"), re.MULTILINE | re.DOTALL)
    listed = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    pages = [page.removeprefix("docs/").removesuffix(".md") for page in PAGES if page.startswith("docs/")]
    assert sorted([*listed, "index"]) == sorted(pages)


def docstrings(path: Path) -> str:
    """All texts of a module that are statements of their own: of it, its functions and its constants."""
    nodes = ast.walk(ast.parse(path.read_text()))
    texts = [
        node.value.value
        for node in nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return "\n".join(text for text in texts if isinstance(text, str))


def is_there(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_every_name_of_hapsights_code_resolves():
    texts = {page: page_text(page) for page in PAGES}
    texts |= {str(path.relative_to(ROOT)): docstrings(path) for path in (ROOT / "src").rglob("*.py")}
    named = {(where, name) for where, text in texts.items() for name in re.findall(NAME, text)}
    assert len(named) > 20
    assert sorted((where, name) for where, name in named if not is_there(name)) == []


def test_every_release_that_is_pinned_has_its_hashes():
    pinned = {line for line in (ROOT / "constraints.txt").read_text().split() if "==" in line}
    hashed = (ROOT / "requirements-hashed.txt").read_text().replace("\\\n", " ").splitlines()
    known = {line.split()[0].lower().replace("_", "-") for line in hashed if "--hash=sha256:" in line}
    assert len(known) == len(hashed)
    assert {line.lower().replace("_", "-") for line in pinned} <= known


class TestPython:
    """docs/python.md, its code as it is written there."""

    blocks = tuple(
        part.split("```")[0] for part in (ROOT / "docs/python.md").read_text().split("```python\n")[1:]
    )

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory):
        """A part of the demo's cohort under the names of the page; one of its genes stands in for PACSIN2."""
        folder, demo = tmp_path_factory.mktemp("notebook"), Path(str(files("hapsight") / "demo"))
        for name, kind in (("genotypes.vcf.gz", ("", ".tbi")), ("reference.fa.gz", ("", ".fai", ".gzi"))):
            for suffix in kind:
                shutil.copy(demo / (name + suffix), folder / (name.replace("reference", "GRCh38") + suffix))
        wanted = {"ENSG00000100417.7": "PACSIN2", "ENSG00000100418.7": "DESI1"}
        lines = gzip.decompress((demo / "expression.bed.gz").read_bytes()).decode().splitlines()
        rows = [line.split("\t")[:64] for line in lines if line.split("\t")[3] in {"phenotype_id", *wanted}]
        (folder / "expression.bed.gz").write_bytes(gzip.compress("\n".join(map("\t".join, rows)).encode()))
        covariates = [line.split("\t") for line in (demo / "covariates.tsv").read_text().splitlines()[:4]]
        (folder / "covariates.tsv").write_text("\n".join(map("\t".join, covariates)))
        gtf = ""
        for line in (demo / "genes.tsv").read_text().splitlines():
            gene, _, contig, tss, strand = line.split("\t")
            if gene in wanted:
                names = f'gene_id "{gene}"; gene_name "{wanted[gene]}";'
                gtf += f"{contig}\tdemo\tgene\t{tss}\t{tss}\t.\t{strand}\t.\t{names}\n"
        (folder / "gencode.gtf.gz").write_bytes(gzip.compress(gtf.encode()))
        return folder

    @pytest.fixture
    def there(self, folder, monkeypatch):
        """In this folder, with weights of Xpresso's layout."""
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(folder))
        first, *_ = WEIGHTS["xpresso"]
        path = synthetic_h5(folder / first.filename)
        known = replace(first, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        monkeypatch.setattr("hapsight.models.catalogue.WEIGHTS", {"xpresso": (known,)})
        return folder

    def test_the_ten_lines_and_a_model_of_ones_own(self, there):
        names: dict[str, object] = {}
        with pytest.warns(UserWarning, match="Left out: 298 sample"):
            exec(self.blocks[0], names)
        assert len([line for line in self.blocks[0].splitlines() if line and "import" not in line]) == 10
        assert names["predicted"].person.shape == (60, 1)
        assert (names["found"].n, names["net"].status, len(names["table"])) == (60, "ok", 2)
        assert len(names["effects"]) == len(names["haplotypes"].variants) > 0
        exec(self.blocks[1], names)
        assert names["mine_table"]["model"].to_list() == ["my-cnn"] * 2 + ["xpresso/GM12878"] * 2
        people = names["cohort"].samples
        rows = [
            f"PACSIN2,{one},{value}"
            for one, value in zip(people, names["predicted"].person[:, 0], strict=True)
        ]
        rows = ["gene_name,sample_id,prediction", *reversed(rows)]
        (there / "predictions.csv").write_text("\n".join([*rows, f"DESI1,{people[0]},0.5"]))
        exec(self.blocks[3], names)
        assert names["elsewhere_found"] == names["found"]
        assert names["elsewhere_p"] == names["null"].test(names["found"]).pval_empirical
        (there / "mymodel.py").write_text(self.blocks[2])
        again = names["hs"].load_model("file:mymodel.py", device="cpu", channels=4)
        assert (again.name, again.window) == ("my-cnn", names["mine"].window)

    def test_type_checkers_see_what_comes_of_it(self, tmp_path):
        """Quick after `make lint`, which fills mypy's cache."""
        pytest.importorskip("mypy")
        checks = (
            "from typing import assert_type\nimport numpy as np\nimport polars as pl\n"
            "from numpy.typing import NDArray\n"
            "assert_type(predicted.person, NDArray[np.float64])\nassert_type(found.r, float | None)\n"
            "assert_type(net.weights, pl.DataFrame)\nassert_type(effects, pl.DataFrame)\n"
            "assert_type(table, pl.DataFrame)\nassert_type(hs.read_run('run').per_gene, pl.DataFrame)\n"
        )
        (tmp_path / "notebook.py").write_text(self.blocks[0] + checks)
        command = [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "notebook.py")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stdout

    def test_the_configuration_that_names_a_file(self, there):
        (there / "mymodel.py").write_text(self.blocks[2])
        own = (ROOT / "docs/python.md").read_text().split("```toml\n")[1].split("```")[0]
        cohort = (
            'genotypes = "genotypes.vcf.gz"\nreference = "GRCh38.fa.gz"\nexpression = "expression.bed.gz"\n'
        )
        (there / "cohort.toml").write_text(f'name = "n"\noutput = "o"\n[cohort]\n{cohort}{own}')
        (model,) = load_config(there / "cohort.toml").models
        assert (model.name, model.options) == (f"file:{there / 'mymodel.py'}", {"channels": 8})
