"""The command that prepares a cluster: certificates for its scheduler, its workers, and runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group ``cluster`` to `app`."""
    group = typer.Typer(help="Prepare a cluster.", no_args_is_help=True)
    group.callback()(_group)
    group.command()(certificates)
    app.add_typer(group, name="cluster")


def _group() -> None:
    """Prepare a cluster."""


def certificates(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="new folder that all hosts see")],
    days: Annotated[int, typer.Option(min=1, help="for which they hold")] = 365,
) -> None:
    """Make a key and certificate; who has the key may work on the cluster, and nobody else."""
    from hapsight.cli.console import say
    from hapsight.predict.encryption import make_certificates

    settings = make_certificates(folder, days)
    say(f"certificates: {settings.parent}, for {days} days; keep key.pem to yourself")
    say("scheduler, workers and hapsight use them where this is set:")
    say(f"  export DASK_CONFIG={settings}")
