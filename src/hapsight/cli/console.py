"""What a user sees while hapsight works: bars on a terminal, plain lines elsewhere; and when a run is done.

How much of it: ``--quiet``, ``--verbose``, ``--json``; and what is said when a command is interrupted.

What a machine lacks, in words: packages, room on a disk, memory, threads.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from hapsight.errors import in_shell, plural

if TYPE_CHECKING:
    from hapsight.run.config import Config

__all__ = [
    "BROUGHT_BY",
    "in_time",
    "in_words",
    "keeps",
    "out",
    "progress",
    "say",
    "say_failure",
    "say_results",
    "session",
    "show_error",
    "table",
    "too_low_a_limit",
]

_PLAIN_WIDTH = 160
"""Columns where there is no terminal, so that tables in a log stay on their lines."""

_STDOUT: Final = "-"
"""For ``--json``: the JSON alone on standard output."""

for _stream in ("stdout", "stderr"):
    if getattr(sys, _stream) is None:  # closed by whoever started the process
        setattr(sys, _stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
out = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line; with ``--json -`` to standard error."""
    state = _state.get(_State())
    _log.info("%s", text)
    if not state.quiet:
        (_err if state.json_to == _STDOUT else out).print(escape(text), soft_wrap=True)


def say_failure(text: str, details: Sequence[str]) -> None:
    """Say that something failed; with ``--quiet``, which has shown no table, what did."""
    if _state.get(_State()).quiet:
        show_error("\n".join([text, *details]))
    else:
        say(text)


def show_error(text: str) -> None:
    """Print an error to standard error."""
    _err.print(f"[bold red]error:[/] {escape(text)}")


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str] = (),
    *,
    name: str,
    data: Iterable[Mapping[str, Any]] | None = None,
) -> None:
    """Print a table; `styles` colours its rows.

    Parameters
    ----------
    name
        What ``--json`` calls it; rows of equal names come together.
    data
        Its rows for ``--json``, with numbers as they are; else what is printed.
    """
    state = _state.get(_State())
    kept = [dict(zip(columns, row, strict=True)) for row in rows] if data is None else map(dict, data)
    state.tables.setdefault(name, []).extend(kept)
    if state.quiet or state.json_to == _STDOUT:
        return
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(escape(column), overflow="fold")
    for number, row in enumerate(rows):
        made.add_row(*map(escape, row), style=styles[number] if styles else None)
    out.print(made)


@dataclass
class _State:
    """What a command was asked to print, and what it has so far.

    Attributes
    ----------
    tables
        By name: rows for ``--json``.
    stages
        By name: units done and units in all, of what was begun.
    keeps
        Where finished work is kept.
    """

    quiet: bool = False
    verbose: bool = False
    json_to: str | None = None
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    stages: dict[str, tuple[int, int]] = field(default_factory=dict)
    keeps: Path | None = None


_state: ContextVar[_State] = ContextVar("_state")
_log: Final = logging.getLogger("hapsight.cli")


def keeps(folder: Path) -> None:
    """Remember where finished work is kept, for whoever interrupts the command."""
    _state.get(_State()).keeps = folder


@contextmanager
def session(quiet: bool | None, verbose: bool | None, json_to: str | None) -> Iterator[None]:
    """One command: how much it prints, its tables as JSON, and what an interrupt leaves.

    Raises
    ------
    ConfigError
        Both ``--quiet`` and ``--verbose`` are given, or the JSON cannot be written.
    typer.Exit
        The user interrupted it (code 130); SIGTERM ends the process at once (143).
    """
    state = _State(bool(quiet), bool(verbose), json_to)
    _require_sense(state)
    token = _state.set(state)
    try:
        with _warnings_on_screen(state), _ending_in_words(state):
            yield
    except KeyboardInterrupt:
        _err.print(escape(_interrupted(state, "interrupted")))
        raise typer.Exit(130) from None
    finally:
        _write_json(state)
        _state.reset(token)


def _require_sense(state: _State) -> None:
    if state.quiet and state.verbose:
        from hapsight.errors import ConfigError

        raise ConfigError("--quiet and --verbose are both given.", fix="give one of the two")
    if state.json_to not in (None, _STDOUT):
        from hapsight.run.store import require_writable

        require_writable(Path(str(state.json_to)))


@contextmanager
def _ending_in_words(state: _State) -> Iterator[None]:
    """SIGTERM, as a batch system sends it, says what is kept before it ends the process at once."""
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    process, cursor = os.getpid(), "\x1b[?25h" if _err.is_terminal else ""

    def end(*_: object) -> None:
        if os.getpid() == process:  # else one that was forked from it
            with suppress(OSError):
                os.write(2, f"{cursor}{_interrupted(state, 'terminated')}\n".encode(errors="replace"))
        os._exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupted(state: _State, how: str) -> str:
    """What is kept, and how to go on."""
    at = [f"{name}, {done:,} of {of:,}" for name, (done, of) in state.stages.items() if done < of]
    where = f" at {at[-1]}" if at else ""
    if state.keeps is None:
        return f"{how}{where}; nothing of this command is kept"
    command = in_shell("hapsight", *sys.argv[1:])
    return (
        f"{how}{where}\n  kept: whatever was finished, in {state.keeps}\n"
        f"  to go on: the same command again: {command}"
    )


def _write_json(state: _State) -> None:
    if state.json_to is None:
        return
    text = json.dumps(state.tables, indent=1, default=str, ensure_ascii=False)
    if state.json_to == _STDOUT:
        sys.stdout.write(f"{text}\n")
    else:
        Path(state.json_to).write_text(f"{text}\n", encoding="utf-8")


@contextmanager
def _warnings_on_screen(state: _State) -> Iterator[None]:
    """What hapsight logs, on standard error: warnings; with ``--verbose`` also what stages say."""
    logger = logging.getLogger("hapsight")
    handler = _OnScreen(logging.INFO if state.verbose else logging.WARNING)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(level or logging.WARNING, handler.level))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _OnScreen(logging.Handler):
    """Lines above the bars; what `say` prints is there already."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        if record.name != _log.name:
            warned = record.levelno >= logging.WARNING
            _err.print(f"{'[yellow]warning:[/] ' if warned else ''}{escape(record.getMessage())}")


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function that stages call with their name, units done and units in all."""
    state = _state.get(_State())
    if state.quiet:
        yield lambda stage, done, total: state.stages.update({stage: (done, total)})
        return
    if not _err.is_terminal:
        yield _Lines(state.stages)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=_err) as bars:
        yield _Bars(bars, state.stages)


class _Bars:
    """A bar for each stage."""

    def __init__(self, bars: Progress, stages: dict[str, tuple[int, int]]) -> None:
        self._bars, self._stages = bars, stages
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(escape(stage), total=total, completed=done)
        self._bars.update(
            self._tasks[stage], completed=done, total=total, left="left" if done < total else ""
        )
        self._stages[stage] = (done, total)


_BETWEEN: Final = 30.0
"""Seconds between two lines of a stage, where there is no terminal."""


class _Lines:
    """A line at a stage's end, and while it lasts one every half minute, with the time that is left.

    Parameters
    ----------
    stages
        Units done and units in all of each stage, kept up to date.
    clock
        Seconds, as `time.monotonic`.
    """

    def __init__(
        self, stages: dict[str, tuple[int, int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stages, self._clock = stages, clock
        self._begun: dict[str, tuple[float, int]] = {}
        self._said: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = self._clock()
        start, before = self._begun.setdefault(stage, (now, done))
        last = self._said.setdefault(stage, now)
        ends = done >= total and self._stages.get(stage) != (done, total)
        self._stages[stage] = (done, total)
        if not ends and now - last < _BETWEEN:
            return
        self._said[stage] = now
        took = now - start
        rate = (done - before) / took if took > 0 and done - before > 1 else 0.0  # the first is slow to begin
        left = f", about {in_time((total - done) / rate)} left" if rate and not ends else ""
        time_ = f", {in_time(took)}" if ends else left
        _err.print(f"{stage}: {done:,} of {total:,}{time_}", markup=False)


def in_time(seconds: float) -> str:
    """A duration with as many digits as it deserves.

    Examples
    --------
    >>> in_time(0.04), in_time(41), in_time(400), in_time(20000)
    ('0.0 s', '41.0 s', '6.7 min', '5.6 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


_ROOM: Final = "make room or mend the folder, and run the same command again: finished units are kept"
_MORE_FILES: Final = "raise the limit of open files (ulimit -n 4096), and run the same command again"
_MEMORY: Final = "raise the limit (ulimit -v), or take fewer --workers, or a smaller budget_gb in [predict]"

_LEAST: Final = 2 * 2**30
"""Bytes of address space: with less, polars and OpenBLAS end the process when they are loaded."""

BROUGHT_BY: Final = {
    **dict.fromkeys(["numba", "scipy"], "run"),
    **dict.fromkeys(["h5py", "safetensors", "torch"], "models"),
}
"""Packages that the base install lacks, and that modules import unasked -> the extra that has them."""

_OUT_OF_MEMORY: Final = re.compile(
    r"can't allocate memory|cannot allocate memory|not enough memory|out of memory|can't start new thread"
    r"|std::bad_alloc|failed to map segment|DefaultCPUAllocator",
    re.IGNORECASE,
)
"""How libraries say that there is no more: torch, the dynamic linker, Python's threads, C++."""


def too_low_a_limit() -> str | None:
    """What is wrong with this process's limit on address space, if anything is."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or limit >= _LEAST:
        return None
    return (
        "The limit on the memory of a process is too low.\n"
        f"  expected: at least {_LEAST // 1024:,} kB of address space, and more for models\n"
        f"  got: {limit // 1024:,} kB (ulimit -v)\n"
        "  to mend: raise or lift the limit (ulimit -v unlimited)"
    )


def in_words(error: BaseException) -> str | None:
    """An error of the machine as users read it; None where it is one of the program."""
    if isinstance(error, ModuleNotFoundError):
        return _missing(str(error.name).partition(".")[0])
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
        return f"The memory of this process is used up.\n  got: {_line(error)}\n  to mend: {_MEMORY}"
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, BrokenPipeError):
        name = errno.errorcode.get(error.errno, str(error.errno))
        where = f"\n  where: {error.filename}" if error.filename else ""
        got = f"\n  got: {name}: {error.strerror}"
        fix = _MORE_FILES if error.errno in (errno.EMFILE, errno.ENFILE) else _ROOM
        return f"A file cannot be read or written.{where}{got}\n  to mend: {fix}"
    return None


def _missing(package: str) -> str | None:
    extra = BROUGHT_BY.get(package)
    return extra and (
        f"{package} is not installed, and this command needs it.\n"
        f"  to mend: pip install 'hapsight[{extra}]', or 'hapsight[all]'"
    )


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".rstrip(": ")


def say_results(config: Config) -> None:
    """What a run found, what each stage took, where the results are and what may come next."""
    _show_summary(config)
    _say_where(config)


def _show_summary(config: Config) -> None:
    """The numbers on top of the report, and what each stage took."""
    import polars as pl

    from hapsight.run.run_folder import RunFolder
    from hapsight.stats.nulls import TESTS
    from hapsight.stats.protocols import headlines, protocol_named

    protocol = protocol_named(config.protocol)
    words = headlines(protocol)
    summary = pl.read_parquet(config.output / "evaluation" / "summary.parquet")
    kept = summary.filter(pl.col("quantity").is_in(list(words)))
    in_folds = kept.filter(pl.col("quantity") == "significant.folds")["model"].to_list()
    rows = []
    for row in kept.filter(~pl.col("quantity").str.contains(".", literal=True)).iter_rows(named=True):
        said = words[row["quantity"]]
        if row["quantity"] == "significant":
            said = f"genes with q < 0.05 ({TESTS['folds' if row['model'] in in_folds else protocol.test]})"
        interval = f"[{row['ci_low']:.3f}, {row['ci_high']:.3f}]" if row["ci_low"] is not None else ""
        value = _number(row["quantity"], row["value"])
        counted = plural(row["n"], row["unit"].removesuffix("s"))
        rows.append([row["model"], said, value, interval, counted])
    table(["model", "quantity", "value", "95 % interval", "n"], rows, name="summary", data=kept.to_dicts())
    say('other tests of the same genes, and what each means: the report, under "Which test?"')
    _say_withheld(config)
    stages = RunFolder(config.output).record()["stages"]
    memory = [f"{s['peak_mb']:,} MB" for s in stages]
    rows = [[s["name"], *_times(s), m, _detail(s)] for s, m in zip(stages, memory, strict=True)]
    table(["stage", "took", "processor", "peak memory", ""], rows, name="stages", data=stages)


def _say_withheld(config: Config) -> None:
    """Say how many R's are in the numbers above and not in the report's."""
    import polars as pl

    from hapsight.report.disclosure import hanging
    from hapsight.report.disclosure_rules import FEWEST

    few = hanging(pl.read_parquet(config.output / "evaluation" / "per_gene.parquet"))
    if config.report.include_individuals or few.is_empty():
        return
    by_model = few.group_by("model", maintain_order=True).agg(pl.col("gene_id").n_unique())
    of_each = ", ".join(f"{model} {plural(genes, 'gene')}" for model, genes in by_model.iter_rows())
    say(
        f"the report leaves out each R that rests on fewer than {FEWEST} people, so its numbers differ from "
        f"those above: {of_each} (docs/disclosure.md)"
    )


def _times(stage: Mapping[str, Any]) -> list[str]:
    """Wall and processor time of this run."""
    if (found := stage.get("found_done_seconds")) is not None:
        return [in_time(found), "-"]
    processor = stage.get("processor_seconds")
    return [in_time(stage["seconds"]), "-" if processor is None else in_time(processor)]


def _detail(stage: Mapping[str, Any]) -> str:
    """What a stage says of itself; where an earlier run had done it, that and what it took then."""
    earlier = f"done by an earlier run in {in_time(stage['seconds'])}"
    return earlier if "found_done_seconds" in stage else str(stage["detail"])


def _number(quantity: str, value: float | None) -> str:
    """Counts as whole numbers, the rest with three digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if quantity.partition(".")[0] == "significant" else f"{value:.3f}"


def _say_where(config: Config) -> None:
    """Where the results of a run are, and what may come next."""
    folder = config.output
    if config.models:
        say(f"why a gene's sign is wrong: hapsight pages {in_shell(folder / 'config.toml')} GENE")
    say(f"tables: {folder / 'evaluation'} (docs/formats.md)")
    say(f"report: {folder / 'report.html'}")
