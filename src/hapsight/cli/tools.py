"""The command that measures this machine on real windows.

The commands that list models and fetch their published weights.

The command that prepares a cluster: certificates for its scheduler, its workers, and runs.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hapsight.errors import in_shell, plural

__all__ = ["register"]


def _add_models(app: typer.Typer) -> None:
    """Add the command group ``models`` to `app`."""
    group = typer.Typer(help="List the models, and fetch published weights.", invoke_without_command=True)
    group.callback()(models)
    group.command()(fetch)
    app.add_typer(group, name="models")


_OWN = "-"
"""Weights of a model that has no names for them."""


def _here(weights: str, present: tuple[str, ...]) -> str:
    if weights == _OWN:
        return _OWN
    return "yes" if weights in present else "no"


def models(context: typer.Context) -> None:
    """List the models, their published weights, which of these are here, and how to get the others."""
    if context.invoked_subcommand is not None:
        return
    from hapsight.cli.console import say, table
    from hapsight.models.registry import available
    from hapsight.models.weights import cache_folder

    columns = ["model", "from", "weights", "here", "licence", "how to get them"]
    rows, data = list[list[str]](), list[dict[str, str]]()
    for entry in available():
        facts, how = [entry.name, entry.source], entry.how or f"see {entry.source}"
        for number, weights in enumerate(entry.weights or (_OWN,)):
            row = [*facts, weights, _here(weights, entry.present), entry.licence or _OWN, how]
            rows.append(row if number == 0 else [*row[:-1], ""])
            data.append(dict(zip(columns, row, strict=True)))
    table(columns, rows, name="models", data=data)
    say(f"weights folder: {cache_folder()} (set HAPSIGHT_WEIGHTS to change it)")


def fetch(
    model: Annotated[str, typer.Argument(help="a model's name")],
    weights: Annotated[str | None, typer.Option(help="one set of weights; all where not given")] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="the terms of the weights, if any")
    ] = False,
) -> None:
    """Download published weights, and files that go with them, from their official place; check them."""
    from hapsight.cli.console import progress, say
    from hapsight.errors import WeightsError
    from hapsight.models.catalogue import COMPANIONS, published_weights
    from hapsight.models.weights import fetch as download

    for file in (*published_weights(model, weights), *COMPANIONS.get(model, ())):
        if file.terms and not accept_licence:
            raise WeightsError(
                f"The weights of {model} have terms to accept.",
                where=file.url,
                expected=file.terms,
                fix="if they suit you, add --accept-licence",
            )
        with progress() as show:
            path = download(file, progress=partial(show, f"fetch {file.name}"))
        say(f"{model}/{file.name}: {path}")
        if not file.sha256 and not file.md5:
            say("  its checksum is not published; that of what came was recorded, and loading checks it")


def _add_bench(app: typer.Typer) -> None:
    """Add the command group ``bench`` to `app`."""
    group = typer.Typer(help="Measure speed and precision on this machine.", no_args_is_help=True)
    group.callback()(_bench_group)
    group.command()(sharing)
    group.command()(precision)
    app.add_typer(group, name="bench")


def _bench_group() -> None:
    """Measure speed and precision on this machine."""


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
    width: Annotated[int | None, typer.Option(help="channels of a narrower version of the model")] = None,
    json_to: Annotated[Path | None, typer.Option("--json", help="write the figures there as well")] = None,
) -> None:
    """Run haplotypes one by one, and shared: wall time, operations, peak memory, largest difference."""
    from dataclasses import asdict

    from hapsight.cli.console import say, table
    from hapsight.recipes.demo import demo_cohort
    from hapsight.run.config import ModelConfig, load_config
    from hapsight.run.opened import Opened
    from hapsight.run.store import require_writable
    from hapsight.stages.plan import bench_sharing
    from hapsight.stages.predict import load_sequence_models

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
    columns = ["gene", "distinct", "plain", "shared", "time", "operations", "difference"]
    table(columns, rows, name="sharing", data=found)
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
    width: Annotated[int | None, typer.Option(help="channels of a narrower version of the model")] = None,
    arithmetic: Annotated[
        list[str] | None,
        typer.Option(help="float32, float16x3, tf32 or bfloat16; may be repeated; else all"),
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
    from hapsight.engine.arithmetic import precisions_named
    from hapsight.recipes.demo import demo_cohort
    from hapsight.run.config import ModelConfig, load_config
    from hapsight.run.opened import Opened
    from hapsight.stages.plan import keep_precision, precision_of_models

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
            f"{label}, read-out {first['read_out']}, "
            f"on {first['device']}: {plural(first['genes_tried'], 'gene')}, "
            f"{plural(first['people'], 'people')}, "
            f"{plural(first['differences'], 'difference')} from the reference; "
            "float64 is the truth"
        )
        table(
            ["arithmetic", "largest error", "sign lost", "made equal", "by size, smallest tenth first",
             "genes r < .999", "constant", "lowest r", "median r", "mean R", "R < 0", "R turned"],
            [_precision_row(row) for row in own.iter_rows(named=True)],
            name="precision", data=own.iter_rows(named=True),
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


def _add_cluster(app: typer.Typer) -> None:
    """Add the command group ``cluster`` to `app`."""
    group = typer.Typer(help="Make certificates for a Dask cluster.", no_args_is_help=True)
    group.callback()(_cluster_group)
    group.command()(certificates)
    app.add_typer(group, name="cluster")


def _cluster_group() -> None:
    """Make certificates for a Dask cluster."""


def certificates(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="new folder that all hosts see")],
    days: Annotated[int, typer.Option(min=1, help="days for which they hold")] = 365,
) -> None:
    """Make a key and certificate; who has the key may work on the cluster, and nobody else."""
    from hapsight.cli.console import say
    from hapsight.run.cluster import make_certificates

    settings = make_certificates(folder, days)
    say(f"certificates: {settings.parent}, for {days} days; keep key.pem to yourself")
    say("scheduler, workers and hapsight use them where this is set:")
    say(f"  export DASK_CONFIG={in_shell(settings)}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    for add in (_add_models, _add_bench, _add_cluster):
        add(app)
