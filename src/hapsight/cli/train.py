"""The commands that train and judge a model on the reference genome: the group ``hapsight train``.

The commands that train on people: ``hapsight train personal`` and ``hapsight train grid``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hapsight.cli.options import ConfigPath, SchedulerOption, WorkersOption, at_work, load_staffed

if TYPE_CHECKING:
    import polars as pl

    from hapsight.report.training import CellWords
    from hapsight.run.config import Config
    from hapsight.run.sections import TrainConfig

__all__ = ["register"]

Plan = Annotated[Path, typer.Argument(metavar="PLAN", help="TOML of tracks, blocks, model and arguments")]
Run = Annotated[Path, typer.Argument(metavar="FOLDER", help="folder of the training")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]


def _add_train(app: typer.Typer) -> typer.Typer:
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
    """Train mini on tracks along a chromosome; goes on where an earlier run ended."""
    from hapsight.cli.console import keeps, progress, say
    from hapsight.models.registry import resolve_device
    from hapsight.train.plan import load_plan
    from hapsight.train.reference import train_reference

    keeps(folder)
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
    """Write the best weights of a training to a file that the model mini loads by its path."""
    from hapsight.cli.console import say
    from hapsight.train.plan import load_plan
    from hapsight.train.reference import export as write

    write(load_plan(plan), folder, output)
    say(f"{output}: {output.stat().st_size:,} bytes")


def evaluate(
    plan: Plan,
    weights: Annotated[str, typer.Argument(metavar="WEIGHTS", help="of mini: a name, or an exported file")],
    output: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="folder for evaluation.json and two tables")
    ],
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
    from hapsight.run.store import require_writable
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
    _show_measured(found.tracks.filter(blocks="test"), ("track", "scale"))
    _show_measured(found.tss, ("model", "read_out", "blocks", "quantity"))


def _show_measured(table: pl.DataFrame, keys: tuple[str, ...]) -> None:
    """Print estimates, a row each."""
    from hapsight.cli.console import table as show

    rows = [
        [*(str(row[key]) for key in keys), f"{row['n']:,}", _number(row["value"]), _interval(row)]
        for row in table.iter_rows(named=True)
    ]
    show([*keys, "n", "value", "95 %"], rows, name=keys[0], data=table.iter_rows(named=True))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(row: dict[str, Any]) -> str:
    return "-" if row["ci_low"] is None else f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"


Model = Annotated[
    str | None, typer.Option(help="label of one of the models; else that of [train], or the first")
]
Seeds = Annotated[int | None, typer.Option(help="how many runs, each with a seed of its own")]
People = Annotated[list[int] | None, typer.Option(help="train on this many people; may be repeated")]
Maf = Annotated[list[float] | None, typer.Option(help="least frequency of variants; may be repeated")]


def _add_train_personal(app: typer.Typer) -> None:
    """Add the commands to `app`, the group ``train``."""
    app.command()(personal)
    app.command()(grid)
    app.command()(homologs)


def homologs(config: ConfigPath, model: Model = None) -> None:
    """Name the pairs of genes whose windows share sequence, and which of them lie across the split."""
    from hapsight.cli.console import say, table
    from hapsight.run.config import load_config
    from hapsight.run.opened import Opened
    from hapsight.stages.personal import homolog_rows
    from hapsight.stages.predict import load_sequence_models

    loaded = load_config(config)
    if model is not None:
        loaded = loaded.model_copy(update={"train": loaded.train.model_copy(update={"model": model})})
    opened = Opened.from_config(loaded)
    with opened.folder.locked():
        said, rows = homolog_rows(opened, load_sequence_models(opened, "Training"))
    columns = ["gene", "homolog", "shared 21-mers", "share of the smaller", "trained on"]
    table(columns, rows, name="homologs")
    say(said)


def personal(
    config: ConfigPath,
    model: Model = None,
    loss: Annotated[
        str, typer.Option(help="mse, pairwise_mse, pairwise_bce, mse_plus_pairs, mean_plus_difference")
    ] = "pairwise_mse",
    mode: Annotated[str, typer.Option(help="full, frozen, lora, or untouched")] = "frozen",
    init: Annotated[str, typer.Option(help="trained or random weights to begin with")] = "trained",
    prior: Annotated[
        str, typer.Option(help="sign, activity, or their controls sign_shuffled, activity_shuffled")
    ] = "",
    seeds: Seeds = None,
    people: People = None,
    maf: Maf = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Train a model on people, and judge it on seen and unseen genes and people beside linear baselines."""
    arm = {"mode": mode, "loss": loss if mode != "untouched" else "", "init": init, "prior": prior}
    given = _given(model=model, seeds=seeds, people=people, min_maf=maf)
    _run(load_staffed(config, workers, scheduler), "personal", given, arm)


def grid(
    config: ConfigPath,
    model: Model = None,
    seeds: Seeds = None,
    people: People = None,
    maf: Maf = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Train every arm of the configuration with every seed; what is finished is kept."""
    given = _given(model=model, seeds=seeds, people=people, min_maf=maf)
    _run(load_staffed(config, workers, scheduler), "grid", given, None)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _run(config: Config, name: str, options: dict[str, Any], arm: dict[str, str] | None) -> None:
    from hapsight.cli.console import say
    from hapsight.run.opened import Opened
    from hapsight.stages.personal import train_personal
    from hapsight.stages.predict import load_sequence_models

    config = config.model_copy(update={"train": _section(config.train.model_dump() | options, arm)})
    opened = Opened.from_config(config)
    runs = load_sequence_models(opened, "Training")
    with at_work(opened) as show:
        folder = train_personal(opened, runs, opened.config.train.arms, show, name)
    _show_cells(opened.folder.path, name)
    say(f"tables: {folder}/{name}_{{per_gene,summary,runs}}.parquet")


def _section(values: dict[str, Any], arm: dict[str, str] | None) -> TrainConfig:
    """The section ``[train]`` with the command's options in it.

    Raises
    ------
    ConfigError
        An option is out of range.
    """
    from pydantic import ValidationError

    from hapsight.errors import ConfigError
    from hapsight.run.sections import TrainConfig

    try:
        return TrainConfig.model_validate(values | ({} if arm is None else {"arms": (arm,)}))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ConfigError("The options of training are not valid.", got="; ".join(lines)) from None


def _show_cells(run: Path, name: str) -> None:
    """Print what the report shows of the four cells, one below the other."""
    from hapsight.cli.console import say, table
    from hapsight.report.training import arm_rows, ceilings, four_cells, split_sentences
    from hapsight.train.tables import CELLS

    for sentence in split_sentences(run, name):
        say(sentence)
    arms = arm_rows(four_cells(run, name), ceilings(run, name))
    for place, cell in enumerate(CELLS):
        say(f"\n{cell}")
        rows = [[arm.label, arm.people, arm.seeds, *_joined(arm.cells[place])] for arm in arms]
        columns = ("arm", "people", "seeds", "mean R (95 %)", "genes", "significant with wrong sign")
        table(columns, rows, name=cell)


def _joined(cell: CellWords) -> tuple[str, str, str]:
    """Mean R, its genes, and wrong signs; what is not there is left out."""
    return (
        f"{cell.r} {cell.r_interval}".strip(),
        ", ".join(filter(None, (cell.genes, cell.r_all))),
        " ".join(filter(None, (cell.wrong, cell.wrong_interval, cell.significant))),
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    _add_train_personal(_add_train(app))
