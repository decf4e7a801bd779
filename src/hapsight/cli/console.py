"""What a user sees while hapsight works: bars on a terminal, plain lines elsewhere.

Options that say who does the work, the same for every command that has units of work.

What a machine lacks, in words: packages, room on a disk, memory, threads.
"""

from __future__ import annotations

import errno
import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from hapsight.run.config import Config

__all__ = [
    "BROUGHT_BY",
    "SchedulerOption",
    "WorkersOption",
    "in_words",
    "load_staffed",
    "out",
    "progress",
    "say",
    "show_error",
    "table",
    "too_low_a_limit",
]

_PLAIN_WIDTH = 160
"""Columns where there is no terminal, so that tables in a log stay on their lines."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line."""
    out.print(escape(text), soft_wrap=True)


def show_error(text: str) -> None:
    """Print an error to standard error."""
    _err.print(f"[bold red]error:[/] {escape(text)}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """Print a table; `styles` colours its rows."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for number, row in enumerate(rows):
        made.add_row(*map(escape, row), style=styles[number] if styles else None)
    out.print(made)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function that stages call with their name, units done and units in all."""
    if not _err.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=_err) as bars:
        yield _Bars(bars)


class _Bars:
    """A bar for each stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)


class _Lines:
    """A line at the start, at every tenth, and at the end."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth != self._said.get(stage):
            self._said[stage] = tenth
            _err.print(f"{stage}: {done}/{total}", markup=False)


WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=0, metavar="N", help="processes of this machine; 0: one per core"),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS|FILE", help="a Dask scheduler whose workers do the work"),
]


def load_staffed(path: Path, workers: int | None, scheduler: str | None) -> Config:
    """The configuration, with the workers that the command line asks for.

    Raises
    ------
    ConfigError
        The file is not a valid configuration, or both kinds of workers are asked for.
    """
    from hapsight.errors import ConfigError
    from hapsight.run.config import load_config
    from hapsight.run.crew import staffed
    from hapsight.run.sections import is_address

    if workers is not None and scheduler is not None:
        raise ConfigError(
            "--workers are processes of this machine, --scheduler has workers of its own.",
            got=f"--workers {workers} --scheduler {scheduler}",
            fix="give one of the two",
        )
    if scheduler is not None and not is_address(scheduler):
        scheduler = str(Path(scheduler).absolute())
    return staffed(load_config(path), workers, scheduler)


_ROOM: Final = "make room or mend the folder, and run the same command again: finished units are kept"
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
        return f"A file cannot be read or written.{where}{got}\n  to mend: {_ROOM}"
    return None


def _missing(package: str) -> str | None:
    extra = BROUGHT_BY.get(package)
    return extra and (
        f"{package} is not installed, and this command needs it.\n"
        f"  to mend: pip install 'hapsight[{extra}]', or 'hapsight[all]'"
    )


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".rstrip(": ")
