"""The commands that make a public cohort ready to run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hapsight.cohort.check_sites import CheckResult
    from hapsight.recipes.remote import Pending

__all__ = ["register"]

_MB = 1_000_000
_MB_PER_SECOND = 10
"""For the time that is told beforehand."""

MaybeFile = Annotated[Path | None, typer.Option(metavar="FILE")]


def register(app: typer.Typer) -> None:
    """Add the command group ``recipe`` to `app`."""
    group = typer.Typer(
        help="Make a public cohort ready: files, checks, configuration.", no_args_is_help=True
    )
    group.command()(geuvadis)
    group.command()(rosmap)
    app.add_typer(group, name="recipe")


def geuvadis(
    folder: Annotated[Path, typer.Option(help="where the files go")] = Path("geuvadis"),
    yes: Annotated[bool, typer.Option("--yes", help="begin without asking")] = False,
) -> None:
    """Download Geuvadis (Huang 2023: 421 people, hg19), check it, and write its configuration; resumes."""
    from hapsight.cli.console import progress, say
    from hapsight.recipes.geuvadis import FILES, UNPACKED, prepare
    from hapsight.recipes.remote import fetch, pending, require_space

    todo = pending(FILES, folder)
    _announce(todo, len(FILES), folder)
    require_space(round(sum(p.left for p in todo) * (1 + UNPACKED)), folder)
    if todo and not yes and not typer.confirm("Begin?"):
        say("nothing was downloaded")
        raise typer.Exit(1)
    with progress() as show:
        for wanted in todo:
            fetch(wanted, folder, partial(show, wanted.file.name))
            if wanted.file.md5 is None:
                name = wanted.file.name
                say(f"{name}: no published checksum; that of what came is in {name}.sha256")
    config = prepare(folder, lambda name: say(f"making {name}"))
    say(f"ready: hapsight check {config}; hapsight plan {config}; hapsight run {config}")


def rosmap(
    genotypes: MaybeFile = None,
    reference: MaybeFile = None,
    expression: MaybeFile = None,
    genes: MaybeFile = None,
    covariates: MaybeFile = None,
    samples: MaybeFile = None,
    config: Annotated[Path, typer.Option(help="the configuration to write")] = Path("rosmap.toml"),
) -> None:
    """Say what to apply for, look at your files one by one, and write the configuration (Sasse 2023)."""
    from hapsight.cli.console import say
    from hapsight.recipes.rosmap import APPLY, RosmapFiles, check_files, write_config

    files = RosmapFiles(genotypes, reference, expression, genes, covariates, samples)
    if not files.given:
        say(APPLY)
    results = check_files(files)
    _show(results)
    if files.given and any(r.status == "fail" and r.message != "not given" for r in results):
        say("nothing was written")
        raise typer.Exit(1)
    path = write_config(files, config)
    say(f"ready: hapsight check {path} looks at every variant; then hapsight plan and hapsight run")


def _announce(todo: Sequence[Pending], files: int, folder: Path) -> None:
    """Sizes and time, before anything is downloaded."""
    from hapsight.cli.console import say, table

    if not todo:
        say(f"all {files} files are in {folder}, whole")
        return
    rows = [
        [p.file.name, p.file.what, f"{p.size / _MB:,.1f} MB", f"{p.begun / _MB:,.1f} MB" if p.begun else "-"]
        for p in todo
    ]
    table(["file", "what", "size", "here already"], rows)
    left = sum(p.left for p in todo) / _MB
    minutes = left / _MB_PER_SECOND / 60
    say(f"{left:,.1f} MB to download into {folder}; about {minutes:,.0f} min at {_MB_PER_SECOND} MB/s")


def _show(results: Sequence[CheckResult]) -> None:
    from hapsight.cli.console import table

    rows: list[list[str]] = []
    for found in results:
        rows.append([found.status, found.name, found.message])
        rows += [["", "", f"  {detail}"] for detail in found.details]
    table(["", "file", "result"], rows)
