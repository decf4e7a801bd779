"""What the validations share: labels of a model, estimates as rows, and the files that are written.

Columns of the tables of ``hapsight validate``; their meaning is in ``docs/formats.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from hapsight.cohort.nouns import Dropped
from hapsight.cohort.tables import csv_text, write_table
from hapsight.files import write_atomically
from hapsight.run.models import ModelCard
from hapsight.run.opened import Opened
from hapsight.stats.ranks import Estimate
from hapsight.tables import VALIDATION

__all__ = [
    "CRISPRI_EFFECTS",
    "EQTL_EFFECTS",
    "MODALITY_EFFECTS",
    "MPRA_EFFECTS",
    "QTL_EFFECTS",
    "Validated",
    "estimate_row",
    "track_labels",
    "validation_files",
    "write_validation",
]

_RUN: Final = {"model": pl.String, "read_out": pl.String, "track": pl.String}
_PLACE: Final = {"contig": pl.String, "position": pl.Int64, "ref": pl.String, "alt": pl.String}

MPRA_EFFECTS: Final = {
    "element": pl.String,
    "gene_id": pl.String,
    "anchor": pl.String,
    **_RUN,
    **_PLACE,
    "tss_distance": pl.Int64,
    "barcodes": pl.Int64,
    "coefficient": pl.Float64,
    "pval": pl.Float64,
    "effect": pl.Float64,
}
"""``mpra.parquet``: one row per model, track and measured variant."""

CRISPRI_EFFECTS: Final = {
    "pair": pl.String,
    "gene_id": pl.String,
    "gene_name": pl.String,
    **_RUN,
    "contig": pl.String,
    "start": pl.Int64,
    "end": pl.Int64,
    "distance": pl.Int64,
    "regulated": pl.Boolean,
    "reference": pl.Float64,
    "deletion": pl.Float64,
    "shuffle": pl.Float64,
    "shuffle_sd": pl.Float64,
    "mask": pl.Float64,
}
"""``crispri.parquet``: one row per model, track and pair that fits the model's window."""

EQTL_EFFECTS: Final = {
    "gene_id": pl.String,
    "variant_id": pl.String,
    "eqtl": pl.Boolean,
    **_RUN,
    **_PLACE,
    "distance": pl.Int64,
    "maf": pl.Float64,
    "pip": pl.Float64,
    "slope": pl.Float64,
    "effect": pl.Float64,
}
"""``eqtl.parquet``: one row per model, track and eQTL or matched control (whose `slope` is null)."""

QTL_EFFECTS: Final = {
    "qtl_id": pl.String,
    "qtl": pl.Boolean,
    **_RUN,
    **_PLACE,
    "held_out": pl.String,
    "tss_distance": pl.Int64,
    "maf": pl.Float64,
    "slope": pl.Float64,
    "reference": pl.Float64,
    "effect": pl.Float64,
}
"""``qtl.parquet``: one row per model, track and QTL or matched control (whose `slope` is null)."""

MODALITY_EFFECTS: Final = {
    "qtl_id": pl.String,
    "gene_id": pl.String,
    "first": pl.Boolean,
    **_RUN,
    **_PLACE,
    "held_out": pl.String,
    "distance": pl.Int64,
    "accessibility": pl.Float64,
    "slope": pl.Float64,
    "pval_nominal": pl.Float64,
    "effect": pl.Float64,
    "gene_effect": pl.Float64,
}
"""``modality.parquet``: one row per model, track, and pair of a QTL and a gene whose eQTL it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """A validation that is done.

    Attributes
    ----------
    effects
        One row per model, track and thing that was measured.
    summary
        As `hapsight.tables.VALIDATION`.
    dropped
        What was left out, and why.
    options
        What was chosen; JSON.
    """

    effects: pl.DataFrame
    summary: pl.DataFrame
    dropped: Dropped
    options: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        effects: pl.DataFrame,
        rows: list[dict[str, Any]],
        dropped: Dropped,
        options: Mapping[str, Any],
    ) -> Validated:
        """From rows of the summary."""
        return cls(effects, pl.DataFrame(rows, schema=VALIDATION), dropped, options)


def track_labels(run: ModelCard) -> list[dict[str, str]]:
    """What each of the T tracks of a read-out is called in rows."""
    return [{"model": run.label, "read_out": run.read_out.name, "track": name} for name in run.track_names]


def estimate_row(
    labels: Mapping[str, str],
    what: str,
    predictor: str,
    quantity: str,
    found: Estimate,
    stratum: str = "all",
    missing: str = "too few, or one side does not vary",
) -> dict[str, Any]:
    """One row of the summary; `missing` says why where there is no number."""
    return {
        **labels,
        "what": what,
        "predictor": predictor,
        "quantity": quantity,
        "stratum": stratum,
        "value": found.value,
        "n": found.n,
        "n_positive": found.n_positive,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "status": "ok" if found.value is not None else missing,
    }


def write_validation(opened: Opened, found: Validated, assay: str, folder: Path) -> list[Path]:
    """Write ``<assay>.parquet`` and ``.tsv``, the same of ``<assay>_summary``, and ``<assay>.json``."""
    for name, table in ((assay, found.effects), (f"{assay}_summary", found.summary)):
        write_table(folder / f"{name}.parquet", table)
        write_atomically(folder / f"{name}.tsv", csv_text(table, "\t").encode())
    record = {
        "assay": assay,
        **opened.key_parts("reference", "genes"),
        "seed": opened.config.seed,
        "options": dict(found.options),
        "dropped": found.dropped.rows(),
        "summary": found.summary.to_dicts(),
    }
    write_atomically(folder / f"{assay}.json", json.dumps(record, indent=1).encode())
    return validation_files(folder, assay)


def validation_files(folder: Path, assay: str) -> list[Path]:
    """What `write_validation` writes."""
    names = [f"{name}.{kind}" for name in (assay, f"{assay}_summary") for kind in ("parquet", "tsv")]
    return [folder / name for name in (*names, f"{assay}.json")]
