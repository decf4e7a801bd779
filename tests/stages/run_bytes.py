"""Runs in other folders, and what they leave behind."""

from collections.abc import Callable
from pathlib import Path

from hapsight.run.config import Config
from hapsight.run.opened import Opened

UNEQUAL = ("run.json", "run.log", ".lock", "config.toml")
"""Files that two equal runs may differ in: times, and the folder's own name."""


def into(config: Config, folder: Path) -> Config:
    """The same run in another folder."""
    return config.model_copy(update={"output": folder})


def bytes_in(folder: Path) -> dict[str, bytes]:
    """Every file by its path in the run folder, but those that may differ.

    Decoded genotypes are cut where the process that came first read them.
    """
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in UNEQUAL]
    files = [path for path in files if "decoded" not in path.relative_to(folder).parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def bytes_after(config: Config, work: Callable[[Opened], object]) -> dict[str, bytes]:
    """Do this work in the run; every file that it leaves behind, as `bytes_in` gives them."""
    opened = Opened.from_config(config)
    with opened.folder.locked():
        opened.begin()
        work(opened)
    return bytes_in(config.output)
