"""The commands. Each reads a configuration, calls a stage, and says what came of it."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hapsight.cli import eqtl, predictdb, reproduce

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hapsight.cohort.check import CheckResult
    from hapsight.config import Config
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predict import ModelRun

__all__ = ["app", "main"]

app = typer.Typer(
    help="Given this person's DNA, does a sequence-to-expression model know whether a gene goes up or down?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 incomplete.",
)
models_app = typer.Typer(help="List the models, and fetch published weights.", invoke_without_command=True)
app.add_typer(models_app, name="models")
bench_app = typer.Typer(help="Measure this machine on real windows.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")

_DETAILS = 10
"""Instances of a failed check that are printed."""

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")]

for _topic in (eqtl, predictdb, reproduce):
    _topic.register(app)


def main() -> None:
    """Run the command line; errors a user can mend are told without a traceback."""
    from hapsight.errors import ConfigError, HapsightError, IncompleteError

    try:
        app()
    except HapsightError as error:
        from hapsight.cli.console import show_error

        show_error(str(error))
        codes: dict[type[HapsightError], int] = {ConfigError: 2, IncompleteError: 3}
        sys.exit(next((code for kind, code in codes.items() if isinstance(error, kind)), 1))
    except KeyboardInterrupt:
        sys.exit(130)


def _show_version(wanted: bool) -> None:
    if wanted:
        import hapsight

        typer.echo(hapsight.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Every command takes --help."""


@app.command()
def check(config: ConfigPath) -> None:
    """Open everything and print one table of what passes, what to know, and what fails."""
    _check(_load(config))


@app.command()
def plan(config: ConfigPath) -> None:
    """Count people, genes and distinct sequences; estimate time and disk; compute nothing."""
    from hapsight.cli.console import progress, table
    from hapsight.workflow.plan import plan_baseline, plan_model

    opened = _open(_load(config))
    rows: list[list[str]] = []
    with progress() as report:
        for run in _models(opened):
            found = plan_model(opened, run, report)
            ratio, saved = found.asked / found.distinct, found.asked_tflop / found.tflop
            passes = f"{found.distinct:,} passes of {found.asked:,} asked for: {ratio:.1f}x fewer"
            work = f"{passes}; {found.tflop:,.1f} TFLOP of {found.asked_tflop:,.1f}: {saved:.1f}x fewer"
            rows.append([found.model, work, _duration(found.seconds), f"{found.disk_mb:.1f} MB"])
    if opened.config.baseline.run:
        fits = plan_baseline(opened)
        work = f"{fits.genes:,} genes at {fits.gene_seconds:.1f} s on {fits.workers} processes"
        rows.append([", ".join(fits.gene_seconds_of), work, _duration(fits.seconds), "-"])
    cohort = opened.cohort
    _say(f"{opened.config.name}: {len(cohort.samples):,} people, {len(cohort.genes):,} genes")
    table(["what", "work", "about", "disk"], rows)


@app.command()
def run(config: ConfigPath) -> None:
    """Check, predict, fit the baseline, evaluate, and write the report; finished work is kept."""
    loaded = _load(config)
    _run(loaded, _check(loaded))


@app.command()
def predict(config: ConfigPath) -> None:
    """Run the models on every person's two haplotypes."""
    from hapsight.cli.console import progress
    from hapsight.workflow.predict import predict as stage

    opened = _open(_load(config))
    runs = _models(opened)
    with opened.folder.locked(), progress() as report:
        opened.begin()
        stage(opened, runs, report)


@app.command()
def baseline(config: ConfigPath) -> None:
    """Fit the PrediXcan-like elastic net, nested cross-validation."""
    from hapsight.cli.console import progress
    from hapsight.workflow.baseline import baseline as stage

    opened = _open(_load(config))
    with opened.folder.locked(), progress() as report:
        opened.begin()
        stage(opened, report)


@app.command()
def evaluate(config: ConfigPath) -> None:
    """Compare predictions with expression, and with eQTLs, which are mapped if they are not yet."""
    from hapsight.cli.console import progress
    from hapsight.workflow.direction import direction as find_direction
    from hapsight.workflow.eqtl import eqtl as map_eqtls
    from hapsight.workflow.evaluate import evaluate as stage

    opened = _open(_load(config))
    runs = _models(opened)
    with opened.folder.locked(), progress() as report:
        opened.begin()
        if opened.config.eqtl.run:
            map_eqtls(opened, report)
        stage(opened, runs, report)
        find_direction(opened, runs, report)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run's folder, or its configuration")],
) -> None:
    """Write report.html from the tables of a run."""
    from hapsight.report.build import build_report

    _say(f"report: {build_report(run if run.is_dir() else _load(run).output)}")


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="folder of the run")] = Path("demo-run"),
) -> None:
    """Run everything on the real cohort that comes with hapsight (a stretch of chr22, 358 people)."""
    from hapsight.workflow.demo import demo_config

    config, remarks = demo_config(output)
    for remark in remarks:
        _say(remark)
    _run(config, _check(config), remarks)


@app.command()
def schema() -> None:
    """Print the JSON schema of the configuration."""
    from hapsight.config import Config

    typer.echo(json.dumps(Config.model_json_schema(), indent=2))


@models_app.callback()
def models(context: typer.Context) -> None:
    """List the models, their published weights, and which of these are here."""
    if context.invoked_subcommand is not None:
        return
    from hapsight.cli.console import table
    from hapsight.models.registry import available
    from hapsight.models.weights import cache_folder

    rows = [
        [entry.name, entry.source, weights, "yes" if weights in entry.present else "no", entry.licence]
        for entry in available()
        for weights in entry.weights or ("-",)
    ]
    table(["model", "from", "weights", "here", "licence"], rows)
    _say(f"weights folder: {cache_folder()} (set HAPSIGHT_WEIGHTS to change it)")


@models_app.command()
def fetch(
    model: Annotated[str, typer.Argument(help="a model's name")],
    weights: Annotated[str | None, typer.Option(help="one set of weights; all where not given")] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="the terms of the weights, if any")
    ] = False,
) -> None:
    """Download published weights from their official place, check them, and what goes with them."""
    from hapsight.cli.console import progress
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
        _say(f"{model}/{file.name}: {path}")
        if not file.sha256 and not file.md5:
            _say("  its checksum is not published; that of what came was recorded, and loading checks it")


@bench_app.command()
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

    from hapsight.cli.console import table
    from hapsight.config import ModelConfig
    from hapsight.workflow.bench import bench_sharing
    from hapsight.workflow.demo import demo_cohort

    loaded = _load(config) if config else demo_cohort()
    options = {} if width is None else {"width": width}
    wanted = ModelConfig(name=model, weights=weights, read_out=read_out, options=options)
    opened = _open(loaded.model_copy(update={"models": (wanted,)}))
    (run,) = _models(opened)
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
    _say(f"{run.model.name}, read-out {run.read_out.name}, on {run.device}")
    table(["gene", "distinct", "plain", "shared", "time", "operations", "difference"], rows)
    if json_to is not None:
        json_to.write_text(json.dumps(found, indent=1))


def _load(path: Path) -> Config:
    from hapsight.config import load_config

    return load_config(path)


def _open(config: Config) -> Opened:
    from hapsight.workflow.opened import Opened

    return Opened.from_config(config)


def _models(opened: Opened) -> list[ModelRun]:
    if not opened.config.models:
        return []
    from hapsight.workflow.predict import load_models

    return load_models(opened)


def _check(config: Config) -> list[CheckResult]:
    """Print the table of checks; leaves with exit code 1 where one failed."""
    from hapsight.cli.console import table
    from hapsight.workflow.check import check as stage

    results = stage(config)
    styles = {"pass": "", "warn": "yellow", "fail": "red"}
    rows: list[list[str]] = []
    row_styles: list[str] = []
    for found in results:
        rows.append([found.status, found.name, found.message])
        rows += [["", "", f"  {detail}"] for detail in found.details[:_DETAILS]]
        if len(found.details) > _DETAILS:
            rows.append(["", "", f"  ... and {len(found.details) - _DETAILS} more"])
        row_styles += [styles[found.status]] * (len(rows) - len(row_styles))
    table(["", "check", "result"], rows, row_styles)
    failed = sum(found.status == "fail" for found in results)
    if failed:
        _say(f"{failed} of {len(results)} checks failed; nothing was written")
        raise typer.Exit(1)
    return results


def _run(config: Config, checks: list[CheckResult], notes: Sequence[str] = ()) -> None:
    """All stages after the check."""
    from hapsight.cli.console import progress
    from hapsight.report.build import build_report
    from hapsight.workflow.baseline import baseline as fit
    from hapsight.workflow.check import save_checks
    from hapsight.workflow.direction import direction as find_direction
    from hapsight.workflow.eqtl import eqtl as map_eqtls
    from hapsight.workflow.evaluate import evaluate as compare
    from hapsight.workflow.predict import predict as run_models

    opened = _open(config)
    runs = _models(opened)
    with opened.folder.locked(), progress() as show:
        opened.begin()
        save_checks(config, checks)
        for note in notes:
            opened.folder.note(note)
        run_models(opened, runs, show)
        if config.baseline.run:
            fit(opened, show)
        if config.eqtl.run:
            map_eqtls(opened, show)
        compare(opened, runs, show)
        find_direction(opened, runs, show)
        page = build_report(config.output)
    _show_summary(opened)
    _say(f"report: {page}")


def _show_summary(opened: Opened) -> None:
    """The numbers on top of the report, and what each stage took."""
    import polars as pl

    from hapsight.cli.console import table
    from hapsight.evaluate.protocols import headlines, protocol_named

    words = headlines(protocol_named(opened.config.protocol))
    summary = pl.read_parquet(opened.folder.path / "evaluation" / "summary.parquet")
    rows = []
    for row in summary.filter(pl.col("quantity").is_in(list(words))).iter_rows(named=True):
        interval = f"[{row['ci_low']:.3f}, {row['ci_high']:.3f}]" if row["ci_low"] is not None else ""
        value = _number(row["quantity"], row["value"])
        rows.append([row["model"], words[row["quantity"]], value, interval, f"{row['n']:,} {row['unit']}"])
    table(["model", "quantity", "value", "95 % interval", "n"], rows)
    stages = opened.folder.record()["stages"]
    memory = [f"{s['peak_mb']:,} MB" for s in stages]
    rows = [[s["name"], _duration(s["seconds"]), m, s["detail"]] for s, m in zip(stages, memory, strict=True)]
    table(["stage", "took", "peak memory", ""], rows)


def _number(quantity: str, value: float | None) -> str:
    """Counts as whole numbers, the rest with three digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if quantity.partition(".")[0] == "significant" else f"{value:.3f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _say(text: str) -> None:
    from hapsight.cli.console import say

    say(text)
