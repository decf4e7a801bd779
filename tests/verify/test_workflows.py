"""The workflows of examples/ on a simulated cohort; packaging files, judged by the programs that read them.

Nextflow itself is not asked: the script of each process is run in a folder where its inputs are links, as
Nextflow lays them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pysam
import pytest

import hapsight
from hapsight.cohort.predictdb import read_predictdb
from tests.verify.judges import python_of

ROOT = Path(__file__).parents[2]
MODULE = (ROOT / "examples/nextflow/modules/processes.nf").read_text()
PROCESSES = re.findall(r"^process (\w+) \{(.*?)^\}", MODULE, re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A PATH on which `hapsight` is what is tested."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "hapsight"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hapsight "$@"\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def ran(*command: str, path: str, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, path):
    """As config.yaml of the Snakemake example has it: 4 genes, 100 people, and the model `mini`."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate = ["hapsight", "simulate", "cohort", "--builtin", "--genes", "4", "--people", "100"]
    ran(*simulate, "--flank", "40000", path=path, cwd=folder)
    written = folder / "cohort/simulated.toml"
    model = '\n[[models]]\nname = "mini"\nweights = "chr22"\n'
    (folder / "cohort/cohort.toml").write_text(written.read_text() + model)
    return folder / "cohort"


def require_results(report: Path, database: Path, covariances: Path, scores: Path) -> None:
    assert "<html" in report.read_text()[:500]
    weights = read_predictdb(database).weights
    pairs = pl.read_csv(covariances.read_bytes(), separator=" ")
    assert pairs.columns == ["GENE", "RSID1", "RSID2", "VALUE"]
    assert len(pairs) >= len(weights) > 0
    with pysam.VariantFile(str(scores)) as file:
        assert all("hapsight_mini_chr22_max" in record.info for record in file)


def test_snakemake_runs_its_workflow_and_has_nothing_left_to_do(cohort, path, tmp_path):
    python = python_of("snakemake", "snakemake")
    folder = tmp_path / "snakemake"
    shutil.copytree(ROOT / "examples/snakemake", folder)
    shutil.copytree(cohort, folder / "cohort")
    command = [str(Path(python).with_name("snakemake")), "--cores", "1"]
    ran(*command, path=path, cwd=folder)
    made = folder / "results/simulated"
    names = ("report.html", "elastic_net.db", "elastic_net.txt.gz", "scores.vcf.gz")
    require_results(*(made / name for name in names))
    again = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_scripts_of_the_nextflow_module_write_what_it_names(cohort, path, tmp_path):
    assert [name for name, _ in PROCESSES] == ["HAPSIGHT_RUN", "HAPSIGHT_PREDICTDB", "HAPSIGHT_SCORE"]
    words = {"config": "cohort.toml", "meta.id": "c", "task.cpus": "1", "variants": "scored/genotypes.vcf.gz"}
    for name, text in PROCESSES:
        work = tmp_path / name
        (work / "scored").mkdir(parents=True)
        for file in cohort.iterdir():
            (work / file.name).symlink_to(file)
        (work / "scored/genotypes.vcf.gz").symlink_to(cohort / "genotypes.vcf.gz")
        if "path(run)" in text:
            (work / "run").symlink_to(tmp_path / "HAPSIGHT_RUN/run")
        (script,) = re.findall(r'"""\n(.*?)"""', text, re.DOTALL)
        filled = re.sub(r"\$\{([\w.]+)\}", lambda found: words[found[1]], script)
        ran("bash", "-euo", "pipefail", "-c", filled, path=path, cwd=work)
        for output in re.findall(r'path\("([^"]+)"', text.partition("output:")[2].partition("script:")[0]):
            made = work / output.replace("${meta.id}", "c")
            assert made.exists(), (name, output)
            assert not made.is_symlink()
    assert not (cohort / "run").exists()
    weights = (tmp_path / "HAPSIGHT_PREDICTDB" / name for name in ("c.db", "c.txt.gz"))
    report = tmp_path / "HAPSIGHT_RUN/c.report.html"
    require_results(report, *weights, tmp_path / "HAPSIGHT_SCORE/c.scores.vcf.gz")


def test_cffconvert_reads_the_citation():
    python = python_of("packaging", "cffconvert")
    done = subprocess.run(
        [Path(python).with_name("cffconvert"), "--validate", "-i", str(ROOT / "CITATION.cff")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid" in done.stdout


def test_hadolint_has_nothing_to_say_of_the_container():
    hadolint = Path(python_of("packaging")).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("no hadolint: tests/verify/packaging_venv.sh found no package index?")
    done = subprocess.run([hadolint, ROOT / "Containerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_rattler_build_renders_the_recipe():
    code = (
        "import sys, rattler_build as r; recipe = r.Stage0Recipe.from_file(sys.argv[1]); "
        "(one,) = recipe.render(r.VariantConfig()); found = one.recipe.to_dict(); "
        "print(found['package']['version'], len(found['requirements']['run']))"
    )
    python = python_of("packaging", "rattler_build")
    done = subprocess.run(
        [python, "-c", code, ROOT / "recipe/recipe.yaml"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, [hapsight.__version__, "19"]), done.stderr
