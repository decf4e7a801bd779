"""The commands. Each reads a configuration, calls a stage, and says what came of it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
import typer.core

from hapsight.cli import data, explain, linear, tools, train, validate
from hapsight.cli.console import in_time
from hapsight.cli.options import (
    ConfigPath,
    SchedulerOption,
    WorkersOption,
    at_work,
    dress,
    load,
    load_staffed,
    name_of,
)
from hapsight.errors import ConfigError, StoreError, in_shell, plural
from hapsight.process import settle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hapsight.cohort.check import CheckResult
    from hapsight.cohort.join import CohortParts
    from hapsight.models.protocol import SequenceModel
    from hapsight.plan import Took
    from hapsight.run.config import Config
    from hapsight.run.effects import EffectsRun
    from hapsight.run.opened import Opened
    from hapsight.stages.predict import ModelRun

__all__ = ["app", "main"]

PANELS: Final = {
    "Start": ("init", "check", "plan", "run", "demo", "report"),
    "Judge": (
        "predict",
        "baseline",
        "evaluate",
        "eqtl",
        "informed",
        "priors",
        "portability",
        "validate",
        "reproduce",
    ),
    "Explain": ("explain", "drivers", "pages", "score", "modisco"),
    "Train": ("train",),
    "Exchange": ("predictdb",),
    "Tools": ("models", "recipe", "elements", "simulate", "bench", "cluster", "schema"),
}
"""Under which heading ``hapsight --help`` has each command, in this order."""

_ORDER: Final = [name for names in PANELS.values() for name in names]


class _Ordered(typer.core.TyperGroup):
    """Commands in the order of the headings."""

    def list_commands(self, ctx: Any) -> list[str]:
        """See `click.Group`."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    cls=_Ordered,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    help="Given this person's DNA, does a sequence-to-expression model know whether a gene goes up or down?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 incomplete, 130 Ctrl-C, 143 SIGTERM.",
)

_DETAILS = 10
"""Instances of a failed check that are printed."""


def main() -> None:
    """Run the command line; errors a user can mend are told without a traceback."""
    from hapsight.errors import HapsightError, IncompleteError

    settle()
    try:
        app()
    except HapsightError as error:
        from hapsight.cli.console import show_error

        show_error(str(error))
        codes: dict[type[HapsightError], int] = {ConfigError: 2, IncompleteError: 3}
        sys.exit(next((code for kind, code in codes.items() if isinstance(error, kind)), 1))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        _show_foreign(error)
        sys.exit(1)


def _show_foreign(error: Exception) -> None:
    """An error of another package: in words where the machine is short of something, else where it happened.

    What it quotes is cut to a few letters, since it may be data.
    """
    import traceback

    from hapsight.cli.console import in_words, show_error
    from hapsight.errors import quoted

    words = in_words(error) if isinstance(error, (OSError, MemoryError, RuntimeError, ImportError)) else None
    if words is not None:
        show_error(words)
        return
    traceback.print_tb(error.__traceback__)
    sys.stderr.write(f"{type(error).__name__}: {quoted(error)}\n")


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
    """Every command takes -h."""
    from hapsight.cli.console import too_low_a_limit

    if (words := too_low_a_limit()) is not None:
        typer.echo(f"error: {words}", err=True)
        raise typer.Exit(1)


@app.command()
def check(
    config: ConfigPath,
    table: Annotated[
        list[Path] | None,
        typer.Option("--table", help="a table of weights, effects or QTLs to compare with the FASTA"),
    ] = None,
) -> None:
    """Open every file and print what is fine, what to note, and what would stop a run; writes nothing."""
    from hapsight.run.opened import parts_of

    loaded = load(config)
    _check(loaded, parts_of(loaded), tables=table or ())


@app.command()
def plan(config: ConfigPath) -> None:
    """Say what `run` would do and take, stage by stage, from trials on a few genes; keeps nothing."""
    from hapsight.cli.console import progress, table
    from hapsight.plan import plan_run, timed

    with timed() as took:
        opened = _open(load(config))
        opening = took()
    models = _models(opened)
    with progress() as show:
        found = plan_run(opened, models, opening, show)
    people, genes = len(opened.cohort.samples), len(opened.cohort.genes)
    _say(f"{opened.config.name}: {plural(people, 'people')}, {plural(genes, 'gene')}")
    rows = [[s.stage, s.work, *_taken(s.took), _megabytes(s.disk_mb)] for s in found.stages]
    rows.append(["all", "", *_taken(found.total), ""])
    data = [asdict(stage) for stage in found.stages]
    table(["stage", "work", "processor", "about", "disk"], rows, name="plan", data=data)
    _say(
        f"from trials on {plural(found.trial, 'gene')}; processor: of all processes together; about: on the "
        "clock, with the configured workers, while this machine is as busy as now"
    )


def _taken(took: Took) -> tuple[str, str]:
    return in_time(took.processor), in_time(took.wall)


def _megabytes(size: float | None) -> str:
    return "-" if size is None else f"{size:.1f} MB"


@app.command()
def run(config: ConfigPath, workers: WorkersOption = None, scheduler: SchedulerOption = None) -> None:
    """Check, predict, fit baselines, map eQTLs, evaluate, report; goes on where the last run stopped."""
    _run(load_staffed(config, workers, scheduler))


@app.command()
def predict(config: ConfigPath, workers: WorkersOption = None, scheduler: SchedulerOption = None) -> None:
    """Run the models on each person's two haplotypes."""
    from hapsight.stages.predict import predict as stage

    opened = _open(load_staffed(config, workers, scheduler))
    runs = _models(opened)
    with at_work(opened) as report:
        stage(opened, runs, report)
    _say(f"predictions: {opened.config.output / 'predictions'}")


@app.command()
def baseline(config: ConfigPath, workers: WorkersOption = None, scheduler: SchedulerOption = None) -> None:
    """Fit linear baselines by nested cross-validation, and apply weights trained elsewhere."""
    from hapsight.stages.baseline import baseline as stage

    opened = _open(load_staffed(config, workers, scheduler))
    with at_work(opened) as report:
        stage(opened, report)
    _say(f"held-out predictions and weights: {opened.config.output / 'baseline'}")


@app.command()
def evaluate(config: ConfigPath, workers: WorkersOption = None, scheduler: SchedulerOption = None) -> None:
    """Correlate predictions with expression and compare them with eQTLs, which are mapped where needed."""
    from hapsight.pipeline import compare
    from hapsight.run.arms import arms_of
    from hapsight.stages.predict import read_models

    opened = _open(load_staffed(config, workers, scheduler))
    tools = read_models(opened)
    with at_work(opened) as report:
        compare(opened, arms_of(opened, tools), report)
    folder = opened.config.output
    _say(f"tables: {folder / 'evaluation'}; the report of them: hapsight report {in_shell(folder)}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run's folder, or its configuration")],
    include_individuals: Annotated[
        bool, typer.Option("--include-individuals", help="name people, with their own numbers")
    ] = False,
    check_disclosure: Annotated[
        bool, typer.Option("--check-disclosure", help="print what would be withheld, and write nothing")
    ] = False,
) -> None:
    """Write report.html from a run's tables."""
    from hapsight.report.build import build_report
    from hapsight.report.run_folder import require_run
    from hapsight.run.run_folder import RunFolder

    folder, asked = run, None
    if not run.exists():
        raise ConfigError(
            "There is no such run folder or configuration.",
            where=run,
            fix="check the path; `output` of a configuration is its run folder, which `hapsight run` makes",
        )
    if not run.is_dir():
        loaded = load(run)
        folder, asked = loaded.output, loaded.report.include_individuals
        if not (folder / "run.json").exists():
            raise StoreError(
                "This configuration has not been run.",
                where=folder,
                expected="a run folder, with run.json",
                fix=f"run `hapsight run {in_shell(run)}`, which writes the report too",
            )
    require_run(folder)
    if check_disclosure:
        _show_withheld(folder, include_individuals or asked)
        return
    with RunFolder(folder).locked():
        path = build_report(folder, include_individuals or asked)
    _say(f"report: {path}")


def _show_withheld(folder: Path, individuals: bool | None) -> None:
    """What a report that may be published withholds."""
    from hapsight.cli.console import table
    from hapsight.report.build import check_disclosure

    found = check_disclosure(folder)
    rows = found.rows()
    if individuals:
        _say("single people are asked for, so nothing will be withheld; otherwise this would be:")
    if not rows:
        _say("nothing would be withheld")
        return
    shown = [[name, f"{n:,}" if n else "-", why] for name, n, why in rows]
    table(["table", "rows", "reason"], shown, name="withheld", data=found.to_dicts())


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="folder of the run")] = Path("demo-run"),
    fetch: Annotated[
        bool, typer.Option("--fetch", help="download Xpresso's weights (1.4 MB) if they are not here")
    ] = False,
) -> None:
    """Run everything on the real cohort that comes with hapsight (358 people, 1.2 Mb of chr22)."""
    from hapsight.recipes.demo import demo_config

    config, remarks = demo_config(output, fetch)
    for remark in remarks:
        _say(remark)
    _run(config, remarks)


@app.command()
def schema() -> None:
    """Print the JSON schema of the configuration."""
    from hapsight.run.config import Config

    typer.echo(json.dumps(Config.model_json_schema(), indent=2))


def _open(config: Config) -> Opened:
    from hapsight.run.opened import Opened

    return Opened.from_config(config)


def _models(opened: Opened, loaded: Mapping[int, SequenceModel] | None = None) -> list[ModelRun | EffectsRun]:
    if not opened.config.models:
        return []
    from hapsight.stages.predict import load_models

    return load_models(opened, loaded)


def _check(
    config: Config,
    parts: CohortParts,
    loaded: dict[int, SequenceModel] | None = None,
    tables: Sequence[Path] = (),
) -> list[CheckResult]:
    """Print the table of checks; leaves with exit code 1 where one failed."""
    from hapsight.cli.console import say_failure, table
    from hapsight.stages.check import check as stage

    results = stage(config, parts, loaded, tables)
    styles = {"pass": "", "warn": "yellow", "fail": "red"}
    rows: list[list[str]] = []
    row_styles: list[str] = []
    for found in results:
        rows.append([found.status, found.name, found.message])
        rows += [["", "", f"  {detail}"] for detail in found.details[:_DETAILS]]
        if len(found.details) > _DETAILS:
            rows.append(["", "", f"  ... and {len(found.details) - _DETAILS} more"])
        row_styles += [styles[found.status]] * (len(rows) - len(row_styles))
    table(["", "check", "result"], rows, row_styles, name="checks", data=map(asdict, results))
    failed = sum(found.status == "fail" for found in results)
    if failed:
        worst = [f"  {one.name}: {one.message}" for one in results if one.status == "fail"]
        say_failure(f"{failed} of {len(results)} checks failed; nothing was written", worst)
        raise typer.Exit(1)
    return results


def _run(config: Config, notes: Sequence[str] = ()) -> None:
    """The check and all stages after it, of a cohort that is opened once; nothing, where all is done."""
    from hapsight.cli.console import say_results
    from hapsight.run.finished import is_finished

    if is_finished(config, notes):
        _say("everything is done, and nothing has changed since")
        say_results(config)
        return
    _do(config, notes)


def _do(config: Config, notes: Sequence[str]) -> None:
    from hapsight.cli.console import keeps, progress, say_results
    from hapsight.pipeline import compiling_meanwhile
    from hapsight.pipeline import run as run_stages
    from hapsight.plan import timed
    from hapsight.run.opened import Opened, parts_of

    _say_resumed(config)
    with compiling_meanwhile(config):
        parts = parts_of(config)
        loaded: dict[int, SequenceModel] = {}
        with timed() as took:
            checks = _check(config, parts, loaded)
            opened = Opened.from_config(config, parts)
            checked = {"name": "check", "detail": plural(len(checks), "check"), **_entry(took())}
        keeps(config.output)
        with progress() as show:
            run_stages(opened, checks, show, notes, loaded, checked)
    say_results(config)


def _entry(took: Took) -> dict[str, float | int]:
    """Of the record of a run: what came before it was begun."""
    from hapsight.run.run_folder import peak_mb

    own, worker = peak_mb()
    times = {"seconds": round(took.wall, 2), "processor_seconds": round(took.processor, 2)}
    return {**times, "peak_mb": own, "largest_worker_mb": worker}


def _say_resumed(config: Config) -> None:
    """Say so where the folder has work of an earlier run."""
    from hapsight.run.run_folder import RunFolder

    if (begun := RunFolder(config.output).record().get("created")) is not None:
        _say(f"goes on in {config.output}, begun {begun}: finished work is kept, times below are of this run")


def _say(text: str) -> None:
    from hapsight.cli.console import say

    say(text)


for _topic in (linear, explain, validate, data, train, tools):
    _topic.register(app)
dress(app)
_panels = {name: panel for panel, names in PANELS.items() for name in names}
for _command in app.registered_commands:
    _command.rich_help_panel = _panels[name_of(_command)]
for _group in app.registered_groups:
    _group.rich_help_panel = _panels[name_of(_group)]
