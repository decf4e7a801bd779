"""What a release is made of says one version and asks for the same packages everywhere."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import hapsight
from tests.test_base import names
from tests.test_docs import unknown_word

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OF_CONDA = {"torch": "pytorch"}
"""Packages that conda has under another name."""


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("CITATION.cff", r"^version: (\S+)$"),
        ("recipe/recipe.yaml", r'^  version: "(\S+)"$'),
        ("CHANGELOG.md", r"^## (\S+)"),
    ],
)
def test_the_version_is_that_of_the_source(file, pattern):
    found = re.search(pattern, (ROOT / file).read_text(), re.MULTILINE)
    assert found
    assert found[1] == hapsight.__version__
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/hapsight/__init__.py"


def test_the_conda_recipe_asks_for_what_the_base_and_the_models_need():
    recipe = (ROOT / "recipe/recipe.yaml").read_text()
    run = re.findall(r"^    - (\S+)(?: (\S+))?$", recipe.partition("  run:\n")[2], re.MULTILINE)
    project = PROJECT["project"]
    texts = list(project["dependencies"])
    wanted = {"python": project["requires-python"]}
    for extra in ("run", "report", "models"):
        texts += [one for one in project["optional-dependencies"][extra] if not one.startswith("hapsight[")]
    wanted |= {OF_CONDA.get(need.name, need.name): str(need.specifier) for need in map(Requirement, texts)}
    assert dict(run) == wanted
    assert {OF_CONDA.get(name, name) for name in names("models")} - {"hapsight"} <= set(wanted)
    (built,) = PROJECT["build-system"]["requires"]
    assert f"- {built.replace('>=', ' >=')}\n" in recipe
    (script,) = project["scripts"].items()
    assert f"- {' = '.join(script)}\n" in recipe
    assert f"summary: {project['description']}\n" in recipe
    assert f"license: {project['license']}\n" in recipe


def test_what_the_container_copies_is_there_and_allowed():
    text = (ROOT / "Containerfile").read_text()
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert {"pyproject.toml", "src", "constraints.txt"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert PROJECT["project"]["readme"] in copied
    (minor,) = set(re.findall(r"^FROM python:3\.(\d+)-", text, re.MULTILINE))
    assert int(minor) >= int(PROJECT["project"]["requires-python"].removeprefix(">=3."))
    extras = re.findall(r"hapsight-\*\.whl\)\[(\w+)\]", text)
    assert extras == ["all"]


def test_what_the_sdist_names_is_there():
    include = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert [name for name in include if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("file", ["snakemake/Snakefile", "nextflow/modules/processes.nf"])
def test_commands_of_the_examples_exist(file):
    lines = (ROOT / "examples" / file).read_text().splitlines()
    commands = [part for line in lines for part in re.findall(r'^ +"?(hapsight [^">&]*)', line)]
    assert len(commands) == 4
    assert {one: wrong for one in commands if (wrong := unknown_word(one.split()[1:]))} == {}
