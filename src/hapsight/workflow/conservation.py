"""Conservation at variants, from a bigWig that the user gives (such as phyloP)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hapsight.errors import InputError, MissingExtraError

__all__ = ["add_conservation"]


def add_conservation(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Set ``conservation`` of rows with ``contig`` and 0-based ``position``: the mean over the REF allele.

    None where the file has no value; contigs may be called with or without ``chr``.

    Raises
    ------
    InputError
        The file is not there, is not a bigWig, or has none of the contigs.
    MissingExtraError
        pyBigWig is not installed.
    """
    try:
        import pyBigWig
    except ImportError:
        raise MissingExtraError(
            "Conservation is read from a bigWig by pyBigWig, which is not installed.",
            fix="pip install 'hapsight[explain]'",
        ) from None
    try:
        file = pyBigWig.open(str(path))
    except RuntimeError as error:
        raise InputError(
            "The conservation cannot be read.", where=path, expected="a bigWig", got=error
        ) from None
    with file:
        lengths = file.chroms() or {}
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


def _mean(file: Any, name: str, length: int, row: dict[str, Any]) -> float | None:
    start = int(row["position"])
    end = min(start + len(row["ref"]), length)
    (value,) = file.stats(name, start, end, exact=True) if start < end else (None,)
    return None if value is None else float(value)
