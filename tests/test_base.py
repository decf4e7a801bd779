"""The base install stays light, and where it cannot do something it says which extra can."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hapsight.cli import console
from tests.report.fake_run import write_run

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEMO = ROOT / "src" / "hapsight" / "demo" / "demo.toml"


def test_the_base_is_under_400_mb():
    """As it lies in this environment, compiled; pip itself (24 MB with setuptools) is not counted."""
    wanted, found = list(PROJECT["dependencies"]), {}
    while wanted:
        need = Requirement(wanted.pop())
        if need.name in found or (need.marker and not need.marker.evaluate({"extra": ""})):
            continue
        dist = distribution(need.name)
        found[need.name] = sum(
            p.stat().st_size for f in dist.files or () if (p := Path(f.locate())).is_file()
        )
        wanted += dist.requires or []
    assert {"polars", "numpy", "pysam"} <= set(found)
    assert not {"numba", "scipy", "torch", "altair"} & set(found)
    assert 200e6 < sum(found.values()) < 375e6, found


def base(*arguments, lacking):
    start = "from hapsight.cli.main import main; main()"
    code = f"import sys; sys.modules.update(dict.fromkeys({lacking!r})); {start}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", [["check"], ["run"], ["pages"]])
def test_a_command_that_computes_names_the_extra(command):
    done = base(*command, DEMO, lacking=["numba", "scipy"])
    assert done.returncode == 1
    assert re.match(r"error: (numba|scipy) is not installed, and this command needs it\.", done.stderr)
    assert "to mend: pip install 'hapsight[run]', or 'hapsight[all]'" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("command", [["schema"], ["models"], ["recipe", "rosmap", "--help"]])
def test_the_base_does_without(command):
    done = base(*command, lacking=["numba", "scipy", "torch", "altair", "jinja2"])
    assert done.returncode == 0, done.stderr


def test_a_report_is_made_without_numba(tmp_path):
    pytest.importorskip("vl_convert")
    done = base("report", write_run(tmp_path), lacking=["numba"])
    assert done.returncode == 0, done.stderr


def test_extras_that_errors_name_bring_what_is_missing():
    for package, extra in console.BROUGHT_BY.items():
        assert package in names(extra), (package, extra)
        assert package in names("all")


def test_every_extra_that_computes_has_what_computing_needs():
    for extra in ("models", "train", "explain", "motifs", "deepshap", "modisco", "cluster", "all"):
        assert {"numba", "scipy", "altair"} <= names(extra), extra


def names(extra):
    """Packages of an extra, and of the extras that it asks for."""
    found = set()
    for text in PROJECT["optional-dependencies"][extra]:
        need = Requirement(text)
        found |= {need.name}.union(*map(names, need.extras))
    return found
