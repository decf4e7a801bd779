"""Motifs of the drivers of a run, and of the control variants beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

import numpy as np

from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import encode
from hapsight.explain.motifs import (
    RELEASE,
    AlleleWindow,
    Motif,
    MotifChange,
    flank,
    load_jaspar,
    motif_changes,
)

__all__ = ["Variant", "add_motifs", "allele_window", "configured_motifs", "why_no_motifs"]

Row = dict[str, Any]
Variant = tuple[str, int, str, str]
"""Contig, 0-based position, REF, ALT."""


def configured_motifs(wanted: bool | None, release: str = RELEASE) -> tuple[Motif, ...]:
    """JASPAR's matrices where they are wanted; ``None``: where the packages for them are installed.

    Raises
    ------
    MissingExtraError
        They are wanted, and pyjaspar or memelite is not installed.
    ConfigError
        There is no such release.
    """
    return load_jaspar(release) if (_installed() if wanted is None else wanted) else ()


def why_no_motifs() -> str:
    """A sentence for the report of a run whose drivers were not scanned."""
    missing = "" if _installed() else ": the extra `motifs` is not installed"
    return f"Motifs of drivers were not looked for{missing}."


def _installed() -> bool:
    return all(find_spec(name) is not None for name in ("memelite", "pyjaspar"))


def add_motifs(rows: Sequence[Row], reference: Reference, motifs: Sequence[Motif]) -> None:
    """Add to each row of `hapsight.workflow.driver_rows` what its driver and its control do to motifs.

    Every variant is scanned once, whatever the number of rows that it is in.
    """
    drivers = [_driver(row) for row in rows]
    controls = [_control(row) for row in rows]
    distinct = list(dict.fromkeys(v for v in (*drivers, *controls) if v is not None))
    windows = [allele_window(variant, reference, flank(motifs)) for variant in distinct]
    found = dict(zip(distinct, motif_changes(windows, motifs), strict=True))
    for row, driver, control in zip(rows, drivers, controls, strict=True):
        if driver is not None:
            row.update(_columns(found[driver]))
        if control is not None:
            row["control_motif"] = found[control].kind


def _driver(row: Row) -> Variant | None:
    if row.get("position") is None:
        return None
    return row["contig"], row["position"], row["ref"], row["alt"]


def _control(row: Row) -> Variant | None:
    return (row["contig"], *row["control"]) if row.get("control") else None


def allele_window(variant: Variant, reference: Reference, reach: int) -> AlleleWindow:
    """A variant (contig, 0-based position, REF, ALT) with `reach` bases of the reference on either side."""
    contig, position, ref, alt = variant
    end = position + len(ref)
    codes = reference.fetch(Interval(contig, position - reach, end + reach))
    return AlleleWindow(codes[:reach], encode(ref), encode(alt), np.asarray(codes[-reach:]))


def _columns(change: MotifChange) -> Row:
    found = asdict(change)
    return {
        "motif": found["kind"],
        "motif_id": found["matrix_id"],
        "motif_name": found["name"],
        "motif_ref_score": found["ref_score"],
        "motif_alt_score": found["alt_score"],
    }
