"""The commands that train on people: ``hapsight train personal`` and ``hapsight train grid``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
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
    seeds: Seeds = None,
    people: People = None,
    maf: Maf = None,
) -> None:
    """Train a model on people, and judge it on seen and unseen genes and people beside linear baselines."""
    arm = {"mode": mode, "loss": loss if mode != "untouched" else "", "init": init}
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
    from hapsight.cli.console import progress, say, table
    from hapsight.config import load_config
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.personal import train_personal
    from hapsight.workflow.predict import load_models

    config = load_config(path)
    config = config.model_copy(update={"train": _section(config.train.model_dump() | options, arm)})
    opened = Opened.from_config(config)
    runs = load_models(opened)
    with opened.folder.locked(), progress() as show:
        opened.begin()
        folder = train_personal(opened, runs, opened.config.train.arms, show, name)
    table(*_shown(folder / f"{name}_summary.parquet"))
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


def _shown(path: Path) -> tuple[list[str], list[list[str]]]:
    """Mean R of every arm and cell, and the share of wrong signs among significant genes."""
    import polars as pl

    found = pl.read_parquet(path)
    mean = found.filter(pl.col("quantity") == "across_people_pearson_mean")
    wrong = found.filter(pl.col("quantity") == "significant_negative_share")
    keys = ["model", "mode", "loss", "init", "people", "min_maf", "seed", "cell"]
    both = mean.join(wrong.select(*keys, share="value", of="n"), on=keys, how="left", nulls_equal=True)
    rows = [
        [
            " ".join(filter(None, [row["model"], row["mode"], row["loss"], row["init"]])),
            str(row["people"]),
            str(row["seed"] or ("-" if row["mode"] in ("untouched", "linear") else "all")),
            row["cell"],
            _interval(row),
            "-" if row["share"] is None else f"{row['share']:.2f} of {row['of']}",
        ]
        for row in both.iter_rows(named=True)
    ]
    return ["arm", "people", "seed", "cell", "mean R (95 %)", "significant with wrong sign"], rows


def _interval(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "-"
    low, high = row["ci_low"], row["ci_high"]
    return f"{row['value']:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")
