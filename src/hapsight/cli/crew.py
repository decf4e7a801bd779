"""Options that say who does the work, the same for every command that has units of work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hapsight.config import Config

__all__ = ["SchedulerOption", "WorkersOption", "load_staffed"]

WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=0, metavar="N", help="processes of this machine; 0: one per core"),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS|FILE", help="a Dask scheduler whose workers do the work"),
]


def load_staffed(path: Path, workers: int | None, scheduler: str | None) -> Config:
    """The configuration, with the workers that the command line asks for.

    Raises
    ------
    ConfigError
        The file is not a valid configuration, or both kinds of workers are asked for.
    """
    from hapsight.config import load_config
    from hapsight.errors import ConfigError
    from hapsight.predict.address import is_address
    from hapsight.workflow.crew import staffed

    if workers is not None and scheduler is not None:
        raise ConfigError(
            "--workers are processes of this machine, --scheduler has workers of its own.",
            got=f"--workers {workers} --scheduler {scheduler}",
            fix="give one of the two",
        )
    if scheduler is not None and not is_address(scheduler):
        scheduler = str(Path(scheduler).absolute())
    return staffed(load_config(path), workers, scheduler)
