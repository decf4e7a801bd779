"""The documentation says what the program does."""

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.models.catalogue import WEIGHTS
from hapsight.run.config import Config, load_config
from tests.models.synthetic import synthetic_h5

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_configuration_in_the_readme_is_valid():
    (text,) = (block.split("```")[0] for block in README.split("```toml\n")[1:])
    config = Config.model_validate(tomllib.loads(text))
    assert config.models[0].name == "xpresso"


def test_every_command_in_the_readme_exists():
    for line in README.splitlines():
        if line.startswith("hapsight "):
            name = line.split()[1]
            assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0, line


def test_the_schema_is_up_to_date():
    stored = json.loads((ROOT / "docs" / "config.schema.json").read_text())
    assert stored == Config.model_json_schema(), "run: hapsight schema > docs/config.schema.json"


def test_files_that_the_readme_points_to_exist():
    for part in README.split("](")[1:]:
        target = part.split(")")[0]
        if "://" not in target:
            assert (ROOT / target).exists(), target


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
