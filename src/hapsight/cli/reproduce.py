"""The commands that compute a study's numbers from its published tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hapsight.evaluate.published import Reproduced

__all__ = ["register"]

JsonPath = Annotated[Path | None, typer.Option("--json", help="write the numbers there as well")]


def register(app: typer.Typer) -> None:
    """Add the command group ``reproduce`` to `app`."""
    group = typer.Typer(
        help="Compute a study's numbers from its published tables; exit code 1 where one differs.",
        no_args_is_help=True,
    )
    group.command()(sasse2023)
    group.command()(huang2023)
    app.add_typer(group, name="reproduce")


def sasse2023(
    table: Annotated[Path, typer.Option(help="supplementary table 1, tab-separated")],
    json_to: JsonPath = None,
) -> None:
    """Sasse et al. 2023: R across people of Enformer, its nulls, and PrediXcan beside it."""
    from hapsight.predict.store import require_writable
    from hapsight.workflow.reproduce import reproduce_sasse2023

    require_writable(json_to)
    _show(reproduce_sasse2023(table), json_to)


def huang2023(
    predictions: Annotated[Path, typer.Option(help="reference predictions of four models, CSV")],
    eqtls: Annotated[Path, typer.Option(help="top eQTL of each gene, CSV")],
    json_to: JsonPath = None,
) -> None:
    """Huang et al. 2023: agreement of four models over genes, and the top eQTLs."""
    from hapsight.predict.store import require_writable
    from hapsight.workflow.reproduce import reproduce_huang2023

    require_writable(json_to)
    _show(reproduce_huang2023(predictions, eqtls), json_to)


def _show(found: Sequence[Reproduced], json_to: Path | None) -> None:
    """Print theirs beside ours; leaves with exit code 1 where they differ."""
    from dataclasses import asdict

    from hapsight.cli.console import say, table

    rows = [
        [
            one.quantity,
            one.published,
            one.ours,
            "" if one.difference is None else f"{one.difference:+.2g}",
            "yes" if one.equal else "NO",
        ]
        for one in found
    ]
    table(
        ["quantity", "published", "ours", "difference", "equal"],
        rows,
        ["" if o.equal else "red" for o in found],
    )
    if json_to is not None:
        json_to.write_text(json.dumps([asdict(one) for one in found], indent=1))
    differ = sum(not one.equal for one in found)
    say(f"{len(found) - differ} of {len(found)} equal to the digits published")
    if differ:
        raise typer.Exit(1)
