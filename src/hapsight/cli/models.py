"""The commands that list models and fetch their published weights."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group ``models`` to `app`."""
    group = typer.Typer(help="List the models, and fetch published weights.", invoke_without_command=True)
    group.callback()(models)
    group.command()(fetch)
    app.add_typer(group, name="models")


def models(context: typer.Context) -> None:
    """List the models, their published weights, and which of these are here."""
    if context.invoked_subcommand is not None:
        return
    from hapsight.cli.console import say, table
    from hapsight.models.registry import available
    from hapsight.models.weights import cache_folder

    rows = [
        [entry.name, entry.source, weights, "yes" if weights in entry.present else "no", entry.licence]
        for entry in available()
        for weights in entry.weights or ("-",)
    ]
    table(["model", "from", "weights", "here", "licence"], rows)
    say(f"weights folder: {cache_folder()} (set HAPSIGHT_WEIGHTS to change it)")


def fetch(
    model: Annotated[str, typer.Argument(help="a model's name")],
    weights: Annotated[str | None, typer.Option(help="one set of weights; all where not given")] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="the terms of the weights, if any")
    ] = False,
) -> None:
    """Download published weights from their official place, check them, and what goes with them."""
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
