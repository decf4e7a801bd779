"""The commands that exchange weights with PrediXcan: ``hapsight predictdb export`` and ``apply``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")]

predictdb_app = typer.Typer(help="Exchange weights with PrediXcan and MetaXcan.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(predictdb_app, name="predictdb")


@predictdb_app.command()
def export(
    config: ConfigPath,
    out: Annotated[Path, typer.Argument(metavar="OUT.db", help="the file to write")],
    method: Annotated[str | None, typer.Option(help="a method of [baseline]; else the first")] = None,
    split: Annotated[str | None, typer.Option(help="whose held-out R goes with it; else the first")] = None,
    build: Annotated[str | None, typer.Option(help="genome build in the varIDs, such as b38")] = None,
) -> None:
    """Write a fitted baseline's weights as a PredictDB file."""
    from hapsight.cli.console import say
    from hapsight.config import load_config
    from hapsight.predict.store import require_writable
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predictdb import chosen_run, export_predictdb

    require_writable(out)
    opened = Opened.from_config(load_config(config))
    run = chosen_run(opened, method, split)
    found = export_predictdb(opened, run, out, build)
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.items()) or "none"
    say(f"{out}: {run.method}, {found.genes:,} genes, {found.weights:,} weights; genes left out: {left_out}")


@predictdb_app.command()
def apply(
    config: ConfigPath,
    weights: Annotated[
        Path, typer.Argument(metavar="IN.db", help="a PredictDB file, or a table with weights")
    ],
    label: Annotated[str | None, typer.Option(help="what tables call it; else the file's name")] = None,
    min_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="genes of which less of the weights can be used have no R")
    ] = 0.5,
) -> None:
    """Predict this cohort by weights trained elsewhere; say what of them could be used, and mean R."""
    from hapsight.cli.console import progress, say, table
    from hapsight.config import load_config
    from hapsight.workflow.apply import apply_file
    from hapsight.workflow.opened import Opened

    opened = Opened.from_config(load_config(config))
    with opened.folder.locked(), progress() as report:
        opened.begin()
        found = apply_file(opened, weights, label or weights.stem, report, min_share)
    table(["what", "value"], [[name, value] for name, value in found.lines()])
    say(f"per gene: {found.folder}; to evaluate it in `run`, name the file under [[baseline.imported]]")
