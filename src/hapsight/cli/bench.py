"""The command that measures this machine on real windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group ``bench`` to `app`."""
    group = typer.Typer(help="Measure this machine on real windows.", no_args_is_help=True)
    group.callback()(_group)
    group.command()(sharing)
    group.command()(precision)
    app.add_typer(group, name="bench")


def _group() -> None:
    """Measure this machine on real windows."""


def sharing(
    config: Annotated[
        Path | None, typer.Option(help="a configuration; the cohort that comes with hapsight where not given")
    ] = None,
    model: Annotated[str, typer.Option(help="a model with local layers")] = "basenji2",
    weights: Annotated[str, typer.Option(help="weights; random:SEED needs no file")] = "random:0",
    read_out: Annotated[str | None, typer.Option(help="a read-out; else the model's default")] = None,
    genes: Annotated[int, typer.Option(help="genes, evenly spread over the list")] = 1,
    haplotypes: Annotated[int, typer.Option(help="haplotypes of each gene, of the first people")] = 64,
    plain: Annotated[
        int | None, typer.Option(help="haplotypes that are also run one by one; all where not given")
    ] = None,
    width: Annotated[int | None, typer.Option(help="a narrow version of the same geometry")] = None,
    json_to: Annotated[Path | None, typer.Option("--json", help="write the figures there as well")] = None,
) -> None:
    """Run haplotypes one by one, and shared: wall time, operations, peak memory, largest difference."""
    from dataclasses import asdict

    from hapsight.cli.console import say, table
    from hapsight.config import ModelConfig, load_config
    from hapsight.predict.store import require_writable
    from hapsight.workflow.bench import bench_sharing
    from hapsight.workflow.demo import demo_cohort
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predict import load_sequence_models

    require_writable(json_to)
    loaded = load_config(config) if config else demo_cohort()
    options = {} if width is None else {"width": width}
    wanted = ModelConfig(name=model, weights=weights, read_out=read_out, options=options)
    opened = Opened.from_config(loaded.model_copy(update={"models": (wanted,)}))
    (run,) = load_sequence_models(opened, "`hapsight bench sharing`")
    every = max(1, len(opened.cohort.genes) // genes)
    rows, found = [], []
    for gene in opened.cohort.genes[every // 2 :: every][:genes]:
        one = bench_sharing(opened, run, gene, haplotypes, plain)
        found.append(asdict(one) | {"speed_up": one.speed_up})
        of = "" if one.timed == one.haplotypes else f" (from {one.timed})"
        rows.append(
            [
                one.gene_id,
                f"{one.distinct} of {one.haplotypes}",
                f"{one.plain_seconds:.2f} s{of}, {one.plain_peak_mb:,} MB",
                f"{one.shared_seconds:.2f} s, {one.shared_peak_mb:,} MB",
                f"{one.speed_up:.1f}x",
                f"{one.plain_tflop / one.shared_tflop:.1f}x",
                f"{one.largest_difference:.1e}",
            ]
        )
    say(f"{run.model.name}, read-out {run.read_out.name}, on {run.device}")
    table(["gene", "distinct", "plain", "shared", "time", "operations", "difference"], rows)
    if json_to is not None:
        json_to.write_text(json.dumps(found, indent=1))


def precision(
    config: Annotated[
        Path | None, typer.Option(help="a configuration; the cohort that comes with hapsight where not given")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="a model; else those of the configuration, or mini where none is given")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="its weights; random:SEED needs no file")] = None,
    read_out: Annotated[str | None, typer.Option(help="a read-out; else the model's default")] = None,
    width: Annotated[int | None, typer.Option(help="a narrow version of the same geometry")] = None,
    arithmetic: Annotated[
        list[str] | None,
        typer.Option(help="float32, float16x3, tf32 or bfloat16; several times for several; else all"),
    ] = None,
    genes: Annotated[int | None, typer.Option(help="genes, evenly spread over the list; else all")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    table_to: Annotated[
        Path | None, typer.Option("--table", help="also write the table: .parquet or .json")
    ] = None,
) -> None:
    """Compare arithmetics with float64 on your own people: signs lost, people made equal, what R becomes.

    With --config the table is kept in the run folder, and `hapsight report` shows it.
    """
    from hapsight.cli.console import say, table
    from hapsight.config import ModelConfig, load_config
    from hapsight.predict.arithmetic import precisions_named
    from hapsight.workflow.bench import keep_precision, precision_of_models
    from hapsight.workflow.demo import demo_cohort
    from hapsight.workflow.opened import Opened

    named = precisions_named(arithmetic)
    loaded = load_config(config) if config else demo_cohort()
    if model is not None or config is None:
        options = {} if width is None else {"width": width}
        wanted = ModelConfig(name=model or "mini", weights=weights, read_out=read_out, options=options)
        loaded = loaded.model_copy(update={"models": (wanted,)})
    plain = loaded.predict.model_copy(update={"device": device, "precision": "float32", "compiled": False})
    opened = Opened.from_config(loaded.model_copy(update={"predict": plain}))
    found = precision_of_models(opened, named, genes)
    for label in found["model"].unique(maintain_order=True):
        own = found.filter(found["model"] == label)
        first = own.row(0, named=True)
        say(
            f"{label}, read-out {first['read_out']}, on {first['device']}: {first['genes_tried']:,} genes, "
            f"{first['people']:,} people, {first['differences']:,} differences from the reference; "
            "float64 is the truth"
        )
        table(
            ["arithmetic", "largest error", "sign lost", "made equal", "by size, smallest tenth first",
             "genes r < .999", "constant", "lowest r", "median r", "mean R", "R < 0", "R turned"],
            [_precision_row(row) for row in own.iter_rows(named=True)],
        )  # fmt: skip
    if config is not None:
        say(f"kept in {keep_precision(opened, found)}")
    if table_to is not None:
        found.write_json(table_to) if table_to.suffix == ".json" else found.write_parquet(table_to)


def _precision_row(row: dict[str, Any]) -> list[str]:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    return [
        row["precision"],
        f"{row['largest_error']:.0e}",
        f"{row['signs_lost']:.1%}",
        f"{row['equal']:.1%}",
        " ".join(f"{share:.2f}".lstrip("0") if share else "0" for share in row["lost_by_tenth"]),
        f"{row['below']} of {row['genes']}",
        f"{row['constant']}",
        number(row["lowest_r"], ".5f"),
        number(row["median_r"], ".5f"),
        f"{number(row['mean_r_exact'], '.4f')} -> {number(row['mean_r'], '.4f')}",
        f"{number(row['negative_exact'], '.1%')} -> {number(row['negative'], '.1%')}",
        f"{row['sign_of_r_changed']}",
    ]
