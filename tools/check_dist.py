"""Build wheel and sdist, and install the wheel where nothing else is: ``python -m tools.check_dist dist``.

Ends with an error where the two differ in what they install, where metadata would be refused by an index,
where the environment has development tools or torch or is too large, or where a command fails in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
MOST_MB = 400
NEVER = ("torch", "numba", "scipy")
COMMANDS = (["--version"], ["--help"], ["models"], ["recipe", "geuvadis", "--help"])


def environment(folder: Path, *packages: str) -> Path:
    """An environment of these packages; gives its ``bin``."""
    venv.create(folder, with_pip=True)
    ran(folder / "bin/pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", *packages)
    return folder / "bin"


def ran(*command: str | Path, cwd: Path = ROOT) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=plain, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(dist: Path, scratch: Path) -> tuple[Path, Path]:
    """Wheel and sdist; a wheel made from the sdist installs the same."""
    tools = environment(scratch / "build", "hatchling", "twine")
    ran(tools / "python", "-m", "hatchling", "build", "--directory", dist)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    ran(tools / "twine", "check", "--strict", wheel, sdist)
    ran(tools / "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch / "again", sdist)
    (again,) = (scratch / "again").glob("*.whl")
    if contents(wheel) != contents(again):
        sys.exit(f"{wheel.name} is not what {sdist.name} makes: {contents(wheel) ^ contents(again)}")
    return wheel, sdist


def contents(wheel: Path) -> set[tuple[str, int]]:
    with zipfile.ZipFile(wheel) as file:
        return {(one.filename, one.CRC) for one in file.infolist() if not one.filename.endswith("RECORD")}


def megabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink()) / 1e6


def require_light(scratch: Path, bin_: Path) -> str:
    """No development tools, nothing heavy, and not too large; gives the size in words."""
    listed = json.loads(ran(bin_ / "pip", "list", "--format", "json"))
    found = {canonicalize_name(one["name"]) for one in listed}
    dev = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    unwanted = found & {*NEVER, *(canonicalize_name(Requirement(one).name) for one in dev)}
    size = megabytes(scratch / "clean")
    if unwanted or size > MOST_MB:
        sys.exit(
            f"the base install: {size:.0f} MB, at most {MOST_MB}; what it must not have: {sorted(unwanted)}"
        )
    return f"{len(found)} packages, {size:.0f} MB with pip"


def main(dist: Path) -> None:
    for old in [*dist.glob("hapsight-*.whl"), *dist.glob("hapsight-*.tar.gz")]:
        old.unlink()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        wheel, sdist = build(dist, scratch)
        bin_ = environment(scratch / "clean", str(wheel))
        said = require_light(scratch, bin_)
        for command in COMMANDS:
            ran(bin_ / "hapsight", *command, cwd=scratch)
        if json.loads(ran(bin_ / "hapsight", "schema", cwd=scratch)) != json.loads(
            (ROOT / "docs/config.schema.json").read_text()
        ):
            sys.exit("the installed schema is not docs/config.schema.json")
    for file in (wheel, sdist):
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
    print(f"installed where nothing else is: {said}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
