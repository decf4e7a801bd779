"""What all commands have in common: options, help texts, and what is said when one is interrupted.

Commands are plain functions; `dress` gives each of an app's the shared options. Every command takes
``--quiet``, ``--verbose`` and ``--json``; one whose argument is a `ConfigPath` also ``--genes``, ``--region``
and ``--population``, which stand for keys of ``[cohort]`` and reach it by `load`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import typer
from rich.markup import escape
from typer.models import OptionInfo

from hapsight.cli import console
from hapsight.errors import HapsightError, in_shell

if TYPE_CHECKING:
    from typer.models import CommandInfo, TyperInfo

    from hapsight.run.config import Config
    from hapsight.run.opened import Opened, Progress

__all__ = [
    "ConfigPath",
    "SchedulerOption",
    "WorkersOption",
    "at_work",
    "dress",
    "load",
    "load_staffed",
    "name_of",
]

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=0, metavar="N", help="worker processes on this machine; 0: one per core"),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS|FILE", help="a Dask scheduler whose workers do the work"),
]

_WHOSE: Final = "Genes and people"
_PRINTED: Final = "What is printed"
_Names = list[str] | None
_CHOICES: Final[Mapping[str, Any]] = {
    "chosen_genes": Annotated[
        _Names,
        typer.Option(
            "--genes",
            metavar="GENES",
            help="only these: ids (with or without version), symbols, or a file of them, separated by commas "
            "or in several options; in place of keep_genes under [cohort]",
            rich_help_panel=_WHOSE,
        ),
    ],
    "chosen_regions": Annotated[
        _Names,
        typer.Option(
            "--region",
            metavar="CONTIG[:FIRST-LAST]",
            help="only genes whose TSS lies there, bases counted from 1; may be repeated; in place of "
            "regions under [cohort]",
            rich_help_panel=_WHOSE,
        ),
    ],
    "chosen_populations": Annotated[
        _Names,
        typer.Option(
            "--population",
            metavar="NAMES",
            help="only people of these, as the sample sheet has them; in place of populations under [cohort]",
            rich_help_panel=_WHOSE,
        ),
    ],
}
_COMMON: Final[Mapping[str, Any]] = {
    "quiet": Annotated[
        bool, typer.Option("--quiet", "-q", help="print warnings and errors only", rich_help_panel=_PRINTED)
    ],
    "verbose": Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="also say when each stage begins and ends", rich_help_panel=_PRINTED
        ),
    ],
    "json_tables": Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="write the tables that are printed as JSON too; - prints the JSON instead",
            rich_help_panel=_PRINTED,
        ),
    ],
}


@dataclass(frozen=True)
class _Chosen:
    """Genes and people that the command line asks for."""

    genes: Sequence[str] | None = None
    regions: Sequence[str] | None = None
    populations: Sequence[str] | None = None


_chosen: ContextVar[_Chosen] = ContextVar("_chosen")


def load(path: Path) -> Config:
    """The configuration, for the genes and people that the command line asks for.

    Raises
    ------
    ConfigError
        The file is not a valid configuration, or a choice is not understood.
    """
    from hapsight.run.config import choose, load_config

    asked = _chosen.get(_Chosen())
    return choose(load_config(path), asked.genes, asked.regions, asked.populations)


def load_staffed(path: Path, workers: int | None, scheduler: str | None) -> Config:
    """As `load`, with the workers that the command line asks for.

    Raises
    ------
    ConfigError
        As `load`, or both kinds of workers are asked for.
    """
    from hapsight.errors import ConfigError
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
    return staffed(load(path), workers, scheduler)


@contextmanager
def at_work(opened: Opened) -> Iterator[Progress]:
    """Hold the run folder, begin its record, and show progress."""
    with opened.folder.locked(), console.progress() as show:
        console.keeps(opened.folder.path)
        opened.begin()
        yield show


def dress(app: typer.Typer) -> None:
    """Give every command of an app, and of its groups, the shared options, and help that shows brackets."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _dressed(command.callback)
    for inner in (group.typer_instance for group in app.registered_groups):
        if inner is None:
            continue
        dress(inner)
        alone = inner.registered_callback if inner.info.invoke_without_command is True else None
        if alone is not None and alone.callback is not None:  # the group is a command too
            alone.callback = _dressed(alone.callback)


def name_of(command: CommandInfo | TyperInfo) -> str:
    """What a registered command or group is called."""
    named = command.name if isinstance(command.name, str) else None
    function = command.callback
    return named or (function.__name__.replace("_", "-") if callable(function) else "")


def _dressed(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the shared options that it has not got under the same name."""
    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    added = {**_CHOICES, **_COMMON} if ConfigPath in hints.values() else _COMMON
    of = next((name for name, hint in hints.items() if hint == ConfigPath), "")
    if of:
        _CONFIGURED.add(command.__name__)
    taken = {name for parameter, hint in hints.items() for name in _names(hint, parameter)}
    added = {name: hint for name, hint in added.items() if not taken & set(_names(hint))}

    @wraps(command)
    def dressed(**given: Any) -> None:
        shared = {name: given.pop(name) for name in added}
        choices = [shared.get(name) or None for name in _CHOICES]
        token = _chosen.set(_Chosen(*choices))
        try:
            with console.session(*(shared.get(name) for name in _COMMON)), _naming(given.get(of), choices):
                command(**given)
        finally:
            _chosen.reset(token)

    parameters = [one.replace(annotation=_shown(hints[name])) for name, one in own.items()]
    parameters += [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name in ("quiet", "verbose") else None,
            annotation=_shown(hint),
        )
        for name, hint in added.items()
    ]
    dressed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    dressed.__annotations__ = {one.name: one.annotation for one in parameters}
    dressed.__doc__ = escape(inspect.getdoc(command) or "")
    return dressed


_CONFIGURED: Final = set[str]()
"""Commands whose argument is a configuration."""


@contextmanager
def _naming(config: Path | None, choices: Sequence[_Names]) -> Iterator[None]:
    """Name the configuration, and the genes and people that are asked for, where an error names commands."""
    try:
        yield
    except HapsightError as error:
        if config is not None:
            options = [
                word
                for name, given in zip(_CHOICES, choices, strict=True)
                for one in given or ()
                for word in (_names(_CHOICES[name])[0], one)
            ]
            words = in_shell(config, *options)
            pattern = rf"`hapsight ({'|'.join(_CONFIGURED)})`( with this configuration)?"
            error.mend(lambda text: re.sub(pattern, lambda found: f"`hapsight {found[1]} {words}`", text))
        raise


def _names(hint: Any, parameter: str = "") -> tuple[str, ...]:
    """How the option of a parameter is called on the command line."""
    found = [part for part in getattr(hint, "__metadata__", ()) if isinstance(part, OptionInfo)]
    # Within Annotated, Typer takes the first name for a default until the command is built.
    declared = [name for part in found for name in (part.default, *(part.param_decls or ()))]
    names = tuple(name for name in declared if isinstance(name, str) and name.startswith("-"))
    return names or tuple(f"--{parameter.replace('_', '-')}" for _ in found)


def _shown(hint: Any) -> Any:
    """The annotation with a help text in which brackets are no markup."""
    if not hasattr(hint, "__metadata__"):
        return hint
    (part,) = hint.__metadata__
    shown = copy(part)
    if shown.help:
        shown.help = escape(shown.help)
    return Annotated[hint.__origin__, shown]
