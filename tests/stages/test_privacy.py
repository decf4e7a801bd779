"""A whole run keeps genomes to itself: no network, no names in the report or the log, none reads along."""

import html
import os
import re
import socket
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.models.registry import register
from hapsight.run.run_folder import RunFolder
from hapsight.stages.score import write_scores
from tests.conftest import without_vega
from tests.planted import load_toy, write_planted

pytestmark = pytest.mark.skipif(find_spec("vl_convert") is None, reason="the report's extra is not installed")

PEOPLE = 40
NAMES = [f"P{i:03d}" for i in range(PEOPLE)]
SECTIONS = """
[eqtl]
cis_window = 1000
permutations = 99
[explain]
run = true
motifs = false
"""


def write_small(folder):
    planted = write_planted(folder, people=PEOPLE, names=("up1", "down1"))
    text = planted.config.read_text().replace("null_draws = 499", "null_draws = 99\npermutations = 99")
    text = text.replace("[baseline]", '[baseline]\nmethods = ["top_snp"]')
    planted.config.write_text(text + SECTIONS)
    return planted


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a run printed, where connecting to anything raises; the folder that it wrote."""
    folder = tmp_path_factory.mktemp("private")
    planted = write_small(folder / "cohort")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("hapsight tried to reach the network")

    before = os.umask(0o077)
    try:
        with pytest.MonkeyPatch.context() as patch, register("toy", load_toy):
            for name in ("connect", "connect_ex", "sendto", "bind"):
                patch.setattr(socket.socket, name, refuse)
            for name in ("create_connection", "getaddrinfo", "gethostbyname"):
                patch.setattr(socket, name, refuse)
            without_vega(patch)
            result = CliRunner().invoke(app, ["run", str(planted.config)], catch_exceptions=False)
    finally:
        os.umask(before)
    assert result.exit_code == 0, result.output
    return result.output, planted.folder / "run"


def test_files_have_the_umask_or_stricter(run):
    _, folder = run
    paths = [folder, *folder.rglob("*")]
    assert len(paths) > 30
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_the_log_names_nobody_and_holds_no_genotype(run):
    printed, folder = run
    texts = [printed, (folder / "run.json").read_text(), (folder / "check.json").read_text()]
    for text in texts:
        assert [name for name in NAMES if name in text] == []
        assert not re.search(r"\b[01]\|[01]\b", text)


def test_report_and_pages_name_nobody(run):
    _, folder = run
    files = [folder / "report.html", *(p for p in (folder / "report").rglob("*") if p.is_file())]
    assert any(path.parent.name == "genes" for path in files)
    for path in files:
        text = html.unescape(path.read_text())
        assert [name for name in NAMES if name in text] == [], path
        assert not re.search(r'"genotype":', text), path


def test_nothing_on_a_page_is_fetched_from_elsewhere(run):
    _, folder = run
    for page in folder.rglob("*.html"):
        text = page.read_text()
        assert "default-src 'none'" in text
        assert not re.search(r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//""", text)


@pytest.mark.parametrize(("shared", "mode"), [(False, 0o700), (True, 0o755)])
def test_a_new_run_folder_is_its_owners(tmp_path, shared, mode):
    before = os.umask(0o022)
    try:
        with RunFolder(tmp_path / "runs" / "one", shared).locked():
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "runs" / "one").stat().st_mode) == mode


@pytest.mark.parametrize(("private", "mode"), [(False, 0o644), (True, 0o600)])
@pytest.mark.parametrize("name", ["scores.tsv", "scores.parquet"])
def test_scores_of_a_person_are_their_owners(tmp_path, name, private, mode):
    out = tmp_path / name
    before = os.umask(0o022)
    try:
        out.touch()  # a file that was there, for all to read
        write_scores(out, pl.DataFrame({"effect": [-1.0]}), {}, private=private)
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == mode


@pytest.mark.verify
def test_a_run_needs_no_network_at_all(tmp_path):
    """The same in a network namespace of its own, which holds for compiled code too."""
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine gives no network namespaces")
    planted = write_small(tmp_path)
    command = [*alone, sys.executable, "-m", "tests.stages.planted_command", "run", str(planted.config)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (planted.folder / "run" / "report.html").is_file()
