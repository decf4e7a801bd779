"""Conservation at variants, from a bigWig that the user gives (such as phyloP)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hapsight.cohort.bigwig import BigWig
from hapsight.errors import InputError

__all__ = ["add_conservation"]


def add_conservation(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Set ``conservation`` of rows with ``contig`` and 0-based ``position``: the mean over the REF allele.

    None where the file has no value; contigs may be called with or without ``chr``.

    Raises
    ------
    InputError
        The file is not there, is not a bigWig, or has none of the contigs.
    """
    with BigWig(path) as file:
        lengths = file.lengths
        named = {row["contig"] for row in rows if row.get("contig") is not None}
        name_of = {contig: _name(contig, lengths) for contig in named}
        if named and not any(name_of.values()):
            raise InputError(
                "The conservation has none of the contigs.",
                where=path,
                expected=", ".join(sorted(named)),
                got=", ".join(sorted(lengths)[:5]),
            )
        for row in rows:
            name = name_of.get(row.get("contig") or "")
            row["conservation"] = None if name is None else _mean(file, name, lengths[name], row)


def _name(contig: str, lengths: dict[str, int]) -> str | None:
    other = contig.removeprefix("chr") if contig.startswith("chr") else f"chr{contig}"
    return next((name for name in (contig, other) if name in lengths), None)


def _mean(file: BigWig, name: str, length: int, row: dict[str, Any]) -> float | None:
    start = int(row["position"])
    values = file.values(name, start, max(start, min(start + len(row["ref"]), length)))
    known = values[np.isfinite(values)].astype(np.float64)
    return float(known.mean()) if len(known) else None
