"""The command ``hapsight informed``: linear prediction with prior evidence, beside the plain elastic net."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hapsight.cli.crew import SchedulerOption, WorkersOption, load_staffed

__all__ = ["register"]

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(informed)


def informed(
    config: ConfigPath,
    export: Annotated[
        Path | None, typer.Option(metavar="OUT.db", help="write weights as a PredictDB file")
    ] = None,
    evidence: Annotated[str, typer.Option(help="whose weights to write")] = "all",
    split: Annotated[
        Literal["random", "population"], typer.Option(help="whose held-out R goes with the weights")
    ] = "random",
    build: Annotated[str | None, typer.Option(help="genome build in the varIDs, such as b38")] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Linear prediction with prior evidence, beside the plain elastic net and shuffled controls."""
    from hapsight.cli.console import progress, say, table
    from hapsight.predict.store import require_writable
    from hapsight.workflow.informed import export_informed, require_evidence
    from hapsight.workflow.informed import informed as run
    from hapsight.workflow.opened import Opened

    require_writable(export)
    loaded = load_staffed(config, workers, scheduler)
    if export is not None:
        require_evidence(loaded.informed, evidence, split)
    opened = Opened.from_config(loaded)
    with opened.folder.locked(), progress() as show:
        opened.begin()
        found = run(opened, show)
    columns = [
        "evidence",
        "people held out",
        "genes",
        "mean R (95 %)",
        "to plain",
        "to none",
        "to distance",
        "to shuffled",
    ]
    table(
        [*columns, "significant with wrong sign"], [_row(row) for row in found.summary.iter_rows(named=True)]
    )
    say(f"tables: {opened.folder.path / 'informed'}/{{per_gene,summary,shapes}}.parquet")
    if export is not None:
        written = export_informed(opened, evidence, split, export, build)
        say(f"{export}: {evidence}, {written.genes:,} genes, {written.weights:,} weights")


def _row(row: dict[str, Any]) -> list[str]:
    share = row["significant_negative_share"]
    return [
        row["evidence"] + (", shuffled" if row["shuffled"] else ""),
        row["split"],
        str(row["genes"]),
        _interval(row["mean_r"], row["ci_low"], row["ci_high"], ""),
        *(
            _interval(row[f"to_{to}"], row[f"to_{to}_ci_low"], row[f"to_{to}_ci_high"], "+")
            for to in ("plain", "none", "distance", "shuffled")
        ),
        "-" if share is None else f"{row['significant_negative']} of {row['significant']}",
    ]


def _interval(value: float | None, low: float | None, high: float | None, sign: str) -> str:
    if value is None:
        return "-"
    return f"{value:{sign}.4f}" + ("" if low is None else f" ({low:{sign}.4f} to {high:{sign}.4f})")
