import json
import os
import resource
import shlex
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import hapsight
from hapsight.cli.main import app
from hapsight.errors import ConfigError
from hapsight.models.catalogue import WEIGHTS

COMMANDS = ("check", "plan", "run", "predict", "evaluate", "baseline", "report", "models", "demo", "schema")


def hapsight_command(*arguments, **options):
    command = [sys.executable, "-m", "hapsight", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


def test_help_names_every_command_and_is_quick():
    hapsight_command("--help")  # compiles
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = hapsight_command("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert found.returncode == 0
    assert all(command in found.stdout for command in COMMANDS)
    assert "3 incomplete" in found.stdout
    assert min(took) < 0.5, took


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from hapsight.cli.main import app; "
        "heavy = {'torch', 'numpy', 'polars', 'pydantic', 'numba', 'altair', 'scipy'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_version():
    assert hapsight_command("--version").stdout.strip() == hapsight.__version__


@pytest.mark.parametrize(("asked", "expected"), [(None, "0"), ("active", "30000000000")])
def test_threads_of_models_do_not_wait_busily_unless_they_are_told_to(asked, expected):
    """GNU's OpenMP calls its default passive too, and has each thread ask 300,000 times before it sleeps."""
    code = (
        "import sys; from hapsight.cli import main; main.app = lambda: print(__import__('torch').ones(1)); "
        "main.main()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "verbose"} | ({"OMP_WAIT_POLICY": asked} if asked else {})
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert f"GOMP_SPINCOUNT = '{expected}'" in done.stderr


def test_usage_errors_exit_with_2(tmp_path):
    assert hapsight_command("run").returncode == 2
    assert hapsight_command("no-such-command").returncode == 2
    found = hapsight_command("check", tmp_path / "none.toml")
    assert found.returncode == 2
    assert "no such configuration file" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["score", "CONFIG", "--vcf", "x.vcf", "--out", "FILE"],
        ["predictdb", "export", "CONFIG", "FILE"],
        ["informed", "CONFIG", "--export", "FILE"],
        ["modisco", "CONFIG", "FOLDER"],
        ["validate", "mpra", "CONFIG", "--table", "x", "--out", "FOLDER"],
        ["validate", "crispri", "CONFIG", "--table", "x", "--out", "FOLDER"],
        ["validate", "eqtl", "CONFIG", "--out", "FOLDER"],
        ["bench", "sharing", "--config", "CONFIG", "--json", "FILE"],
        ["reproduce", "sasse2023", "--table", "x", "--json", "FILE"],
        ["reproduce", "huang2023", "--predictions", "x", "--eqtls", "x", "--json", "FILE"],
    ],
)
def test_outputs_are_looked_at_before_any_input(tmp_path, command):
    (tmp_path / "file").touch()
    names = {
        "CONFIG": "none.toml",
        "FILE": str(tmp_path / "none" / "x.db"),
        "FOLDER": str(tmp_path / "file" / "x"),
    }
    found = CliRunner().invoke(app, [names.get(word, word) for word in command])
    assert isinstance(found.exception, ConfigError), found.output
    assert "cannot be written; nothing was computed" in str(found.exception)


def test_models_lists_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
    found = CliRunner().invoke(app, ["models"])
    assert found.exit_code == 0
    assert "GM12878" in found.stdout
    assert str(tmp_path) in found.stdout


def test_models_says_of_every_model_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
    (tmp_path / "alphagenome").mkdir()
    (tmp_path / "alphagenome" / "alphagenome_fold_1.safetensors").touch()
    CliRunner().invoke(app, ["models", "--json", str(tmp_path / "models.json")])
    rows = json.loads((tmp_path / "models.json").read_text())["models"]
    how = {row["model"]: row["how to get them"] for row in rows}
    assert how.keys() >= {*WEIGHTS, "mini", "effects", "alphagenome"}
    fetched = []
    monkeypatch.setattr("hapsight.models.weights.fetch", lambda file, **_: fetched.append(file) or tmp_path)
    for model, files in WEIGHTS.items():
        words = shlex.split(how[model].partition(" (")[0])
        assert CliRunner().invoke(app, words[1:]).exit_code == 0, words
        assert {*files} <= {*fetched}
    assert "alphagenome-pt" in how["alphagenome"]
    assert {row["weights"] for row in rows if row["here"] == "yes"} == {"fold_1"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("xpreso", "no published weights of a model 'xpreso'"),
        ("xpreso", "did you mean 'xpresso'?"),
        ("alphagenome", "alphagenome-pt download"),
        ("mini", "come with hapsight"),
        ("effects", "a table of yours"),
    ],
)
def test_fetching_what_does_not_exist(model, message):
    found = hapsight_command("models", "fetch", model)
    assert found.returncode == 2
    assert message in found.stderr
