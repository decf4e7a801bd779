"""The documentation says what the program does."""

import json
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.config import Config

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
