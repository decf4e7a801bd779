"""The command that hands attributions to TF-MoDISco."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``hapsight modisco`` to the commands."""
    app.command()(modisco)


def modisco(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder to write, one of its own per model")],
) -> None:
    """Write the saturation mutagenesis of all genes that have it as modisco-lite reads it."""
    from hapsight.cli.console import say
    from hapsight.config import load_config
    from hapsight.workflow.modisco import export_modisco
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predict import load_models

    opened = Opened.from_config(load_config(config))
    for done in export_modisco(opened, load_models(opened), out):
        unknown = f", {done.unknown:,} of them N" if done.unknown else ""
        say(f"{done.folder}: {done.genes:,} of {done.of:,} genes, {done.length:,} bases each{unknown}")
    say(f"next: modisco motifs -s sequences.npz -a attributions.npz -w {done.length} -n 2000 -o modisco.h5")
