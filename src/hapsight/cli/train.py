"""The commands that train and judge a model on the reference genome: the group ``hapsight train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

__all__ = ["register"]

Plan = Annotated[Path, typer.Argument(metavar="PLAN", help="TOML of tracks, blocks, model and arguments")]
Run = Annotated[Path, typer.Argument(metavar="FOLDER", help="folder of the training")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]


def register(app: typer.Typer) -> typer.Typer:
    """Add the command group ``train`` to `app`; returns the group, for those who have more to add."""
    group = typer.Typer(help="Train models, on the reference and on people.", no_args_is_help=True)
    for command in (reference, export, evaluate):
        group.command()(command)
    app.add_typer(group, name="train")
    return group


def reference(
    plan: Plan,
    folder: Run,
    max_steps: Annotated[int | None, typer.Option(help="instead of the plan's")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="instead of the plan's")] = None,
    batch: Annotated[int | None, typer.Option(help="windows in a micro-batch, instead of the plan's")] = None,
    seed: Annotated[int | None, typer.Option(help="instead of the plan's")] = None,
    device: Device = "cpu",
    resume: Annotated[bool, typer.Option(help="go on where an earlier run of the plan ended")] = True,
) -> None:
    """Train mini on tracks along a chromosome; a killed run goes on where it was."""
    from hapsight.cli.console import progress, say
    from hapsight.models.registry import resolve_device
    from hapsight.train.plan import load_plan
    from hapsight.train.reference_run import train_reference

    loaded = load_plan(plan, max_steps=max_steps, learning_rate=learning_rate, batch=batch, seed=seed)
    with progress() as report:
        found = train_reference(loaded, folder, device=resolve_device(device), resume=resume, progress=report)
    say(f"best score {found.best_score:.4f} at step {found.best_step} of {found.steps} ({found.stopped})")
    say(f"weights: {found.best}")


def export(
    plan: Plan,
    folder: Run,
    output: Annotated[Path, typer.Argument(metavar="FILE", help="a .safetensors file")],
) -> None:
    """Write the best weights of a training to a file that the model ``mini`` loads by its path."""
    from hapsight.cli.console import say
    from hapsight.train.plan import load_plan
    from hapsight.train.reference_run import export as write

    write(load_plan(plan), folder, output)
    say(f"{output}: {output.stat().st_size:,} bytes")


def evaluate(
    plan: Plan,
    weights: Annotated[str, typer.Argument(metavar="WEIGHTS", help="of mini: a name, or an exported file")],
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="for evaluation.json and two tables")],
    genes: Annotated[Path, typer.Option(help="TSS and strand: GTF, BED6 or TSV")],
    expression: Annotated[Path, typer.Option(help="phenotype BED")],
    cache: Annotated[
        Path | None, typer.Option(help="folder of tracks read before, such as FOLDER/cache of the training")
    ] = None,
    beside: Annotated[
        list[str] | None, typer.Option(help="another model, NAME or NAME:WEIGHTS, on the same genes")
    ] = None,
) -> None:
    """Judge mini on blocks that it was not trained on: tracks, active TSSs, expression across genes."""
    from hapsight.cli.console import say
    from hapsight.predict.store import require_writable
    from hapsight.train.evaluation import evaluate_reference
    from hapsight.train.plan import load_plan

    require_writable(output, folder=True)
    found = evaluate_reference(
        load_plan(plan),
        weights,
        genes=genes,
        expression=expression,
        cache=cache or output / "cache",
        beside=tuple(beside or ()),
    )
    found.write(output)
    say(f"{found.model}: {found.parameters:,} parameters, {found.seconds:.0f} s")
    _show(found.tracks.filter(blocks="test"), ("track", "scale"))
    _show(found.tss, ("model", "read_out", "blocks", "quantity"))


def _show(table: pl.DataFrame, keys: tuple[str, ...]) -> None:
    """Print estimates, a row each."""
    from hapsight.cli.console import table as show

    rows = [
        [*(str(row[key]) for key in keys), f"{row['n']:,}", _number(row["value"]), _interval(row)]
        for row in table.iter_rows(named=True)
    ]
    show([*keys, "n", "value", "95 %"], rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(row: dict[str, Any]) -> str:
    return "-" if row["ci_low"] is None else f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"
