"""The command ``hapsight priors``: what is known of genes, people and variants, with and without."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hapsight.cli.crew import SchedulerOption, WorkersOption, load_staffed

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(priors)


def priors(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")],
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Priors on genes, people and variants: what each adds, beside its shuffled control."""
    from hapsight.cli.console import progress, say, table
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.priors import priors as run

    opened = Opened.from_config(load_staffed(config, workers, scheduler))
    with opened.folder.locked(), progress() as show:
        opened.begin()
        found = run(opened, show)
    columns = ["prior", "enters", "beside", "genes", "without", "with", "alone", "shuffled"]
    columns += ["gain (95 %)", "over shuffled (95 %)"]
    table(columns, [_row(row) for row in found.ablation.iter_rows(named=True)])
    say(f"tables: {opened.folder.path / 'priors'}/{{ablation,per_gene,signs,dropped}}.parquet")


def _row(row: dict[str, Any]) -> list[str]:
    numbers = [_number(row[name]) for name in ("without", "with_prior", "alone", "shuffled")]
    gains = []
    for name in ("gain", "over_shuffled"):
        value, low, high = (_number(row[f"{name}{end}"], "+") for end in ("", "_ci_low", "_ci_high"))
        gains.append(f"{value} ({low} to {high})")
    return [row["prior"], row["enters"], row["beside"], str(row["n"]), *numbers, *gains]


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.4f}"
