"""The commands that set models beside measured effects: ``hapsight validate mpra|crispri|eqtl``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predict import ModelRun
    from hapsight.workflow.validation import Validated

__all__ = ["register"]

_SHOWN = 3

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")]
OutFolder = Annotated[
    Path | None, typer.Option(help="folder for the tables; else `validate` in the run's folder")
]


def register(app: typer.Typer) -> None:
    """Add the command group ``validate`` to `app`."""
    group = typer.Typer(
        help="Set the configured models beside measured effects, and beside baselines without a model.",
        no_args_is_help=True,
    )
    group.command()(mpra)
    group.command()(crispri)
    group.command()(eqtl)
    app.add_typer(group, name="validate")


def mpra(
    config: ConfigPath,
    table: Annotated[Path, typer.Option(help="saturation mutagenesis, Kircher 2019 layout")],
    element: Annotated[list[str] | None, typer.Option(help="only this element; may be repeated")] = None,
    release: Annotated[str, typer.Option(help="genome build, as the table names it")] = "GRCh38",
    gene: Annotated[str | None, typer.Option(help="gene to read; else the nearest TSS")] = None,
    anchor: Annotated[
        Literal["gene", "element"], typer.Option(help="the window's TSS: the gene's, or mid-element")
    ] = "gene",
    min_barcodes: Annotated[int, typer.Option(min=0, help="leave out variants with fewer")] = 10,
    out: OutFolder = None,
) -> None:
    """Effects of single bases: correlation and sign, against distance, composition and neighbours."""
    from hapsight.cli.console import progress
    from hapsight.workflow.validate_mpra import MpraOptions, validate_mpra

    opened = _open(config, out)
    options = MpraOptions(table, release, tuple(element or ()), gene, anchor, min_barcodes)
    with progress() as show:
        found = validate_mpra(opened, _models(opened), options, show)
    _finish(opened, found, "mpra", out)


def crispri(
    config: ConfigPath,
    table: Annotated[Path, typer.Option(help="enhancer-gene pairs, layout of the ENCODE benchmark")],
    genes: Annotated[Path | None, typer.Option(help="more genes with strands: GTF, BED6 or TSV")] = None,
    draws: Annotated[int, typer.Option(min=1, help="shuffled sequences of each element")] = 10,
    out: OutFolder = None,
) -> None:
    """Enhancers deleted, shuffled and masked: average precision against the distance to the TSS."""
    from hapsight.cli.console import progress
    from hapsight.workflow.validate_crispri import CrispriOptions, validate_crispri

    opened = _open(config, out)
    with progress() as show:
        found = validate_crispri(opened, _models(opened), CrispriOptions(table, genes, draws), show)
    _finish(opened, found, "crispri", out)


def eqtl(
    config: ConfigPath,
    table: Annotated[
        Path | None, typer.Option(help="eQTLs (phenotype_id, variant_id, slope, pip); else the cohort's own")
    ] = None,
    max_p: Annotated[float, typer.Option(min=0, max=1, help="own eQTLs: largest p in the first half")] = 1e-5,
    controls: Annotated[int, typer.Option(min=0, help="matched controls of each eQTL; 0: none")] = 1,
    out: OutFolder = None,
) -> None:
    """Signs and sizes of eQTLs; maps the cohort's eQTLs first where they are needed."""
    from hapsight.cli.console import progress
    from hapsight.workflow.validate_eqtl import EqtlOptions, validate_eqtl

    opened = _open(config, out)
    with opened.folder.locked(), progress() as show:
        opened.begin()
        found = validate_eqtl(opened, _models(opened), EqtlOptions(table, max_p, controls), show)
    _finish(opened, found, "eqtl", out)


def _open(config: Path, out: Path | None) -> Opened:
    from hapsight.config import load_config
    from hapsight.predict.store import require_writable
    from hapsight.workflow.opened import Opened

    require_writable(out, folder=True)
    return Opened.from_config(load_config(config))


def _models(opened: Opened) -> list[ModelRun]:
    from hapsight.errors import ConfigError
    from hapsight.workflow.predict import load_sequence_models

    if not opened.config.models:
        raise ConfigError(
            "The configuration names no model to validate.",
            expected="[[models]]",
            fix="add a [[models]] section",
        )
    return load_sequence_models(opened, "`hapsight validate`")


def _finish(opened: Opened, found: Validated, assay: str, out: Path | None) -> None:
    """Write the tables and print the summary, with what was left out."""
    from hapsight.cli.console import say, table
    from hapsight.workflow.validation import write_validation

    folder = out or opened.folder.path / "validate"
    written = write_validation(opened, found, assay, folder)
    columns = ["model", "read-out", "what", "predictor", "quantity", "stratum", "value", "95 %", "n"]
    table(columns, [_row(row) for row in found.summary.iter_rows(named=True)])
    for (kind, reason), names in sorted(found.dropped.names.items()):
        shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        say(f"left out, {kind}, {reason}: {found.dropped.counts[kind, reason]:,} ({shown})")
    say(f"tables: {', '.join(path.name for path in written)} in {folder}")


def _row(row: dict[str, object]) -> list[str]:
    value, low, high = row["value"], row["ci_low"], row["ci_high"]
    n = f"{row['n']:,}" + ("" if row["n_positive"] is None else f" ({row['n_positive']:,} positive)")
    return [
        str(row["model"]),
        f"{row['read_out']}: {row['track']}",
        *(str(row[name]) for name in ("what", "predictor", "quantity", "stratum")),
        str(row["status"]) if value is None else f"{value:.3f}",
        "" if low is None else f"[{low:.3f}, {high:.3f}]",
        n,
    ]
