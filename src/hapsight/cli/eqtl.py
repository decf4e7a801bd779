"""The command that maps eQTLs."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hapsight.cli.crew import SchedulerOption, WorkersOption, load_staffed

if TYPE_CHECKING:
    import polars as pl

    from hapsight.workflow.run_folder import RunFolder

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``hapsight eqtl`` to the commands."""
    app.command()(eqtl)


def eqtl(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")],
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Map eQTLs and cis-heritability: nominal, top, independent signals; finished genes are kept."""
    from hapsight.cli.console import progress, table
    from hapsight.workflow.eqtl import eqtl as stage
    from hapsight.workflow.opened import Opened

    opened = Opened.from_config(load_staffed(config, workers, scheduler))
    with opened.folder.locked(), progress() as report:
        opened.begin()
        stage(opened, report)
    table(["quantity", "value"], _summary(opened.folder, opened.config.eqtl.fdr))


def _summary(folder: RunFolder, fdr: float) -> list[list[str]]:
    """What came of the mapping, a row each."""
    import polars as pl

    genes = pl.read_parquet(folder.path / "eqtl/cis_qtl.parquet")
    signals = pl.read_parquet(folder.path / "eqtl/cis_independent.parquet")
    h2 = pl.read_parquet(folder.path / "eqtl/heritability.parquet")["h2"].drop_nulls()
    tested = genes.filter(pl.col("variant_id").is_not_null())
    found = tested.filter(pl.col("qval") <= fdr)
    (seconds,) = (entry["seconds"] for entry in folder.record()["stages"] if entry["name"] == "eqtl")
    return [
        ["genes tested", f"{len(tested):,} of {len(genes):,}"],
        [f"with an eQTL, q <= {fdr:g} (Benjamini-Hochberg)", f"{len(found):,}"],
        ["independent signals of these", f"{len(signals):,}"],
        ["median distance of their top variant to the TSS", _shown(found["start_distance"].abs(), " bp", 0)],
        ["median cis-heritability, all genes tested", _shown(h2, "", 3)],
        ["took", f"{seconds:.1f} s, {seconds / max(len(genes), 1):.2f} s a gene"],
    ]


def _shown(values: pl.Series, unit: str, digits: int) -> str:
    """The median, or that there is none."""
    return f"{float(statistics.median(values)):,.{digits}f}{unit}" if len(values) else "-"
