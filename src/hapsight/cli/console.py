"""What a user sees while hapsight works: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

__all__ = ["out", "progress", "say", "show_error", "table"]

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
