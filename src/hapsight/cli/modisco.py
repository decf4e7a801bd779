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
    run: Annotated[bool, typer.Option("--run", help="find the motifs too; needs modisco-lite")] = False,
) -> None:
    """Write the saturation mutagenesis of all genes that have it as modisco-lite reads it."""
    from hapsight.cli.console import say
    from hapsight.config import load_config
    from hapsight.explain.modisco_run import require_modisco
    from hapsight.predict.store import require_writable
    from hapsight.workflow.modisco import export_modisco, find_patterns
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predict import read_models

    require_writable(out, folder=True)
    if run:
        require_modisco()
    opened = Opened.from_config(load_config(config))
    for done in export_modisco(opened, read_models(opened), out):
        unknown = f", {done.unknown:,} of them N" if done.unknown else ""
        say(f"{done.folder}: {done.genes:,} of {done.of:,} genes, {done.length:,} bases each{unknown}")
        if run:
            found = find_patterns(done)
            say(f"{done.folder / 'patterns.parquet'}: {len(found)} motifs")
            for row in found.iter_rows(named=True):
                say(f"  {row['consensus']}: {row['n_seqlets']:,} seqlets, {row['sign']}")
    if not run:
        files = "-s sequences.npz -a attributions.npz"
        say(f"next: modisco motifs {files} -w {done.length} -n 2000 -o modisco.h5, or --run")
