"""The table of all that was left out of a run."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hapsight.workflow.opened import Opened

__all__ = ["add_dropped", "by_reason"]


def by_reason(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """``kind, reason, count, names`` of tables ``kind, reason, name``; what is in several counts once."""
    return (
        pl.concat(tables)
        .unique(maintain_order=True)
        .group_by("kind", "reason", maintain_order=True)
        .agg(count=pl.len(), names=pl.col("name"))
        .sort("kind", "reason")
    )


def add_dropped(opened: Opened, table: pl.DataFrame) -> None:
    """Add ``kind, reason, name`` of a later stage to ``dropped.parquet``; not before there is one."""
    path = opened.folder.path / "dropped.parquet"
    if path.exists():
        known = pl.read_parquet(path).explode("names").select("kind", "reason", name="names")
        opened.folder.write("dropped.parquet", by_reason([known, table]))
