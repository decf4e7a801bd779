"""The command that measures this machine on real windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group ``bench`` to `app`."""
    group = typer.Typer(help="Measure this machine on real windows.", no_args_is_help=True)
    group.callback()(_group)
    group.command()(sharing)
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
    from hapsight.workflow.predict import load_models

    require_writable(json_to)
    loaded = load_config(config) if config else demo_cohort()
    options = {} if width is None else {"width": width}
    wanted = ModelConfig(name=model, weights=weights, read_out=read_out, options=options)
    opened = Opened.from_config(loaded.model_copy(update={"models": (wanted,)}))
    (run,) = load_models(opened)
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
