"""What the validations share: labels of a model, estimates as rows, and the files that are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from hapsight.cohort.nouns import Dropped
from hapsight.cohort.parquet import write_table
from hapsight.disk import write_atomically
from hapsight.evaluate.direction import Share
from hapsight.evaluate.ranks import Estimate
from hapsight.spreadsheets import csv_text
from hapsight.validate_tables import VALIDATION
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import ModelRun

__all__ = ["Validated", "estimate_row", "share_estimate", "track_labels", "write_validation"]


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """A validation that is done.

    Attributes
    ----------
    effects
        One row per model, track and thing that was measured.
    summary
        As `hapsight.validate_tables.VALIDATION`.
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


def track_labels(run: ModelRun) -> list[dict[str, str]]:
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


def share_estimate(share: Share) -> Estimate:
    """A share as an estimate of the same things."""
    return Estimate(share.n, share.value, share.ci_low, share.ci_high)


def write_validation(opened: Opened, found: Validated, assay: str, folder: Path) -> list[Path]:
    """Write ``<assay>.parquet`` and ``.tsv``, the same of ``<assay>_summary``, and ``<assay>.json``."""
    written = []
    for name, table in ((assay, found.effects), (f"{assay}_summary", found.summary)):
        write_table(folder / f"{name}.parquet", table)
        write_atomically(folder / f"{name}.tsv", csv_text(table, "\t").encode())
        written += [folder / f"{name}.parquet", folder / f"{name}.tsv"]
    record = {
        "assay": assay,
        **opened.key_parts("reference", "genes"),
        "seed": opened.config.seed,
        "options": dict(found.options),
        "dropped": found.dropped.rows(),
        "summary": found.summary.to_dicts(),
    }
    write_atomically(folder / f"{assay}.json", json.dumps(record, indent=1).encode())
    return [*written, folder / f"{assay}.json"]
