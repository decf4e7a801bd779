"""The command that writes gene pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``hapsight pages`` to the commands."""
    app.command()(pages)


def pages(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")],
    genes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GENE]...", help="gene_ids or names; else those of largest |R|"),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="without GENE: how many of each model and direction")] = 6,
    include_individuals: Annotated[
        bool, typer.Option("--include-individuals", help="a point per person, with expression and genotype")
    ] = False,
) -> None:
    """Write a page per gene: its variants, their eQTLs, the driver and the bases around it."""
    from hapsight.cli.console import progress, say
    from hapsight.config import load_config
    from hapsight.workflow.arms import arms_of
    from hapsight.workflow.gene_pages import gene_pages
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predict import read_models

    opened = Opened.from_config(load_config(config))
    models = read_models(opened)
    with opened.folder.locked(), progress() as show:
        opened.begin()
        paths = gene_pages(opened, arms_of(opened, models), show, genes or (), most, include_individuals)
    for path in paths:
        say(f"page: {path}")
    say("`hapsight report` links them from its table of genes")
