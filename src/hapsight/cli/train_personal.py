"""The commands that train on people: ``hapsight train personal`` and ``hapsight train grid``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hapsight.report.training_table import CellWords
    from hapsight.train_config import TrainConfig

__all__ = ["register"]

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")]
Model = Annotated[
    str | None, typer.Option(help="label of one of the models; else that of [train], or the first")
]
Seeds = Annotated[int | None, typer.Option(help="runs with seeds of their own")]
People = Annotated[list[int] | None, typer.Option(help="train on so many people; may be given several times")]
Maf = Annotated[
    list[float] | None, typer.Option(help="frequency floor of variants; may be given several times")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`, the group ``train``."""
    app.command()(personal)
    app.command()(grid)


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
) -> None:
    """Train a model on people, and judge it on seen and unseen genes and people beside linear baselines."""
    arm = {"mode": mode, "loss": loss if mode != "untouched" else "", "init": init, "prior": prior}
    _run(config, "personal", _given(model=model, seeds=seeds, people=people, min_maf=maf), arm)


def grid(
    config: ConfigPath,
    model: Model = None,
    seeds: Seeds = None,
    people: People = None,
    maf: Maf = None,
) -> None:
    """Train every arm of the configuration with every seed; what is finished is kept."""
    _run(config, "grid", _given(model=model, seeds=seeds, people=people, min_maf=maf), None)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _run(path: Path, name: str, options: dict[str, Any], arm: dict[str, str] | None) -> None:
    from hapsight.cli.console import progress, say
    from hapsight.config import load_config
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.personal import train_personal
    from hapsight.workflow.predict import load_sequence_models

    config = load_config(path)
    config = config.model_copy(update={"train": _section(config.train.model_dump() | options, arm)})
    opened = Opened.from_config(config)
    runs = load_sequence_models(opened, "Training")
    with opened.folder.locked(), progress() as show:
        opened.begin()
        folder = train_personal(opened, runs, opened.config.train.arms, show, name)
    _show(opened.folder.path, name)
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
    from hapsight.train_config import TrainConfig

    try:
        return TrainConfig.model_validate(values | ({} if arm is None else {"arms": (arm,)}))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ConfigError("The options of training are not valid.", got="; ".join(lines)) from None


def _show(run: Path, name: str) -> None:
    """Print what the report shows of the four cells, one below the other."""
    from hapsight.cli.console import say, table
    from hapsight.report.training_table import arm_rows, ceilings, four_cells, split_sentences
    from hapsight.train_tables import CELLS

    for sentence in split_sentences(run, name):
        say(sentence)
    arms = arm_rows(four_cells(run, name), ceilings(run, name))
    for place, cell in enumerate(CELLS):
        say(f"\n{cell}")
        rows = [[arm.label, arm.people, arm.seeds, *_joined(arm.cells[place])] for arm in arms]
        table(("arm", "people", "seeds", "mean R (95 %)", "genes", "significant with wrong sign"), rows)


def _joined(cell: CellWords) -> tuple[str, str, str]:
    """Mean R, its genes, and wrong signs; what is not there is left out."""
    return (
        f"{cell.r} {cell.r_interval}".strip(),
        ", ".join(filter(None, (cell.genes, cell.r_all))),
        " ".join(filter(None, (cell.wrong, cell.wrong_interval, cell.significant))),
    )
