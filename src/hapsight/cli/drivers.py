"""The command that asks why signs are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``hapsight drivers`` to the commands."""
    app.command()(drivers)


def drivers(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")],
    effects: Annotated[
        Path | None, typer.Option(help="measured effects: beta, and chrom, pos, ref, alt or variant_id")
    ] = None,
    motifs: Annotated[
        bool | None, typer.Option(help="look for JASPAR's motifs at drivers; else as [explain] motifs has it")
    ] = None,
    jaspar: Annotated[str, typer.Option(help="the release of JASPAR")] = "JASPAR2024",
) -> None:
    """Find each gene's driver variants, their support and motifs, and how reliable its sign is."""
    from hapsight.cli.console import progress, say
    from hapsight.config import load_config
    from hapsight.explain.support import read_effects
    from hapsight.workflow.arms import arms_of
    from hapsight.workflow.driver_motifs import configured_motifs
    from hapsight.workflow.drivers import drivers as stage
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predict import read_models

    given = None if effects is None else read_effects(effects)
    loaded = load_config(config)
    matrices = configured_motifs(loaded.explain.motifs if motifs is None else motifs, jaspar)
    opened = Opened.from_config(loaded)
    models = read_models(opened)
    with opened.folder.locked(), progress() as show:
        opened.begin()
        stage(opened, arms_of(opened, models), show, matrices, given)
    for note in opened.folder.record()["notes"]:
        if note.startswith("Measured effects"):
            say(note)
    for line in _verdicts(opened.folder.path / "explain"):
        say(line)
    say(f"tables: {opened.folder.path / 'explain'}")


def _verdicts(folder: Path) -> list[str]:
    """What the probabilities of a right sign are worth, a line per model and choice of genes."""
    import polars as pl

    rows = pl.read_parquet(folder / "reliability_summary.parquet").iter_rows(named=True)
    return [f"{row['model']}, {row['genes']} genes: {row['verdict']}" for row in rows]
