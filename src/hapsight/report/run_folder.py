"""Read a run folder (docs/formats.md, version 1) into tables whose columns and types are certain."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hapsight.cohort.tables import BAD_PARQUET
from hapsight.errors import StoreError
from hapsight.report.disclosure import Disclosure
from hapsight.tables import ACROSS_GENES, DROPPED, PER_GENE, PER_PERSON, SUMMARY

__all__ = [
    "FORMAT",
    "TABLES",
    "Arm",
    "RunFolder",
    "read_record",
    "read_run",
    "read_table",
    "require_record",
    "require_run",
]

FORMAT: Final = 1

TABLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "evaluation/per_gene.parquet": PER_GENE,
    "evaluation/per_person.parquet": PER_PERSON,
    "evaluation/across_genes.parquet": ACROSS_GENES,
    "evaluation/summary.parquet": SUMMARY,
    "dropped.parquet": DROPPED,
}
"""The columns the report reads, by file; a file may have more."""

_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Amount = Annotated[float, Field(ge=0, le=1e15)]


class _Entry(BaseModel):
    """A part of ``run.json`` or ``check.json``; it may hold more than is known here."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Model(_Entry):
    name: str
    read_out: str
    window: str | None = None
    fingerprint: str | None = None
    asked: _Count | None = None
    distinct: _Count | None = None


class _Baseline(_Entry):
    name: str
    read_out: str


class _Stage(_Entry):
    name: str
    seconds: _Amount | None = None
    peak_mb: _Amount | None = None
    largest_worker_mb: _Amount | None = None
    detail: str | None = None


class _Input(_Entry):
    role: str
    path: str
    bytes: _Count | None = None
    sha256: str | None = None


class _Cohort(_Entry):
    people: _Count | None = None
    genes: _Count | None = None
    populations: dict[str, _Count] | None = None
    phenotype: str | None = None


class _Named(_Entry):
    sha256: str
    state: list[int] | None = None


class _Record(_Entry):
    name: str | None = None
    hapsight: str | None = None
    created: str | None = None
    protocol: str | None = None
    seed: int | None = None
    versions: dict[str, str] | None = None
    inputs: list[_Input] = []
    named: dict[str, _Named] = {}
    cohort: _Cohort = _Cohort()
    models: list[_Model] = []
    baselines: list[_Baseline] = []
    stages: list[_Stage] = []
    notes: list[str] = []
    noted_by: dict[str, list[str]] = {}
    trials: list[_Trial] = []


class _Trial(_Entry):
    model: str
    read_out: str
    acceptable: bool
    said: str


class _Check(_Entry):
    name: str
    status: str
    message: str
    details: Any = None
    model: str = ""
    asks: str = ""


_OF_REPLICATES = ("replicates_same_sign", "log_replicates_z", "log_element_effect", "log_activity")
_UNTESTED: Final = "not tested: "
_NEW: Final = frozenset({"effective_people", "sd_expression", *_OF_REPLICATES})
"""Columns that earlier runs do not have; they are null there."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One model with one read-out: what every number of a report belongs to.

    Attributes
    ----------
    label
        The model's name, with the read-out where the model has more than one.
    is_baseline
        True where the model was trained on the cohort (it is not among the sequence models of ``run.json``).
    """

    model: str
    read_out: str
    label: str
    is_baseline: bool

    def of(self, table: pl.DataFrame) -> pl.DataFrame:
        """Take the rows of `table` that belong to this arm."""
        return table.filter((pl.col("model") == self.model) & (pl.col("read_out") == self.read_out))


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Everything the report needs of a run.

    Attributes
    ----------
    record
        ``run.json``.
    checks
        ``check.json``; None where the run has none.
    config
        The text of ``config.toml``; None where the run has none.
    arms
        The sequence models in the order of ``run.json``, then the baselines: `elastic_net`, and the others
        as configured.
    missing
        Tables that the run does not have; they are read as empty.
    disclosure
        The rule that published tables pass; None where single people are asked for, or nothing is published.
    unrounded
        `per_gene` before it passed the rule.
    made, beside_eqtls
        What `hapsight.report.published` has published so far, by name, and what that was made of.
    """

    folder: Path
    record: dict[str, Any]
    checks: list[dict[str, Any]] | None
    config: str | None
    per_gene: pl.DataFrame
    per_person: pl.DataFrame
    across_genes: pl.DataFrame
    summary: pl.DataFrame
    dropped: pl.DataFrame
    arms: tuple[Arm, ...]
    missing: tuple[str, ...]
    disclosure: Disclosure | None = None
    unrounded: pl.DataFrame | None = None
    made: dict[str, pl.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)
    beside_eqtls: dict[str, pl.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def counted(self) -> pl.DataFrame:
        """`per_gene` in full digits, for what only counts genes or takes means over them.

        Without the genes whose R is withheld: what is counted with them and shown without tells of them.
        """
        if self.unrounded is None:
            return self.per_gene
        return self.unrounded if self.disclosure is None else self.disclosure.without_hanging(self.unrounded)

    @property
    def models(self) -> tuple[Arm, ...]:
        """The arms that are sequence models."""
        return tuple(arm for arm in self.arms if not arm.is_baseline)

    @property
    def silent(self) -> tuple[str, ...]:
        """Models that ``run.json`` names but that have no row in any table of results."""
        seen = {arm.model for arm in self.arms}
        return tuple(str(m["name"]) for m in self.record.get("models", []) if m["name"] not in seen)

    @property
    def imprecise(self) -> tuple[str, ...]:
        """What is to be said of models that were run in an arithmetic that loses differences."""
        trials = self.record.get("trials") or []
        return tuple(trial["said"] for trial in trials if not trial["acceptable"])

    @property
    def input_checks(self) -> list[dict[str, Any]]:
        """The checks of files, people and variants."""
        return [check for check in self.checks or [] if not check.get("model")]

    @property
    def read_outs(self) -> dict[str, list[dict[str, Any]]]:
        """The checks of how a model or a table is read, by what tables call it."""
        found: dict[str, list[dict[str, Any]]] = {}
        for check in self.checks or []:
            if check.get("model"):
                found.setdefault(check["model"], []).append(check)
        return found

    @property
    def misread(self) -> list[dict[str, Any]]:
        """Those of them that were made and warn."""
        return [check for check in self._warnings if not check["message"].startswith(_UNTESTED)]

    @property
    def unread(self) -> list[tuple[str, str, str]]:
        """Those that could not be made: model, what was to be tested, and why not."""
        found: dict[tuple[str, str], list[str]] = {}
        for check in self._warnings:
            if check["message"].startswith(_UNTESTED):
                why = check["message"].removeprefix(_UNTESTED)
                found.setdefault((check["model"], why), []).append(check["asks"])
        return [(model, ", ".join(asks), why) for (model, why), asks in found.items()]

    @property
    def _warnings(self) -> list[dict[str, Any]]:
        return [check for rows in self.read_outs.values() for check in rows if check["status"] != "pass"]

    @property
    def baseline(self) -> Arm | None:
        """The baseline the models are shown beside; None where none ran."""
        return next((arm for arm in self.arms if arm.is_baseline), None)


def read_run(folder: Path) -> RunFolder:
    """Read a run folder.

    Parameters
    ----------
    folder
        A run as docs/formats.md describes it. ``run.json`` must be there; other files may be missing.

    Raises
    ------
    StoreError
        ``run.json`` is missing or of another format version, or a file is damaged or lacks columns.
    """
    record = read_record(folder)
    tables = {name: read_table(folder / name, columns) for name, columns in TABLES.items()}
    per_gene, per_person, across_genes, summary, dropped = tables.values()
    checks = _read_json(folder / "check.json") if (folder / "check.json").exists() else None
    if checks is not None:
        _require(TypeAdapter(list[_Check]), checks, folder / "check.json")
    config = folder / "config.toml"
    return RunFolder(
        folder=folder,
        record=record,
        checks=checks,
        config=config.read_text(encoding="utf-8") if config.exists() else None,
        per_gene=per_gene,
        per_person=per_person,
        across_genes=across_genes,
        summary=summary,
        dropped=dropped,
        arms=_arms(record, (per_gene, across_genes, summary)),
        missing=tuple(name for name in TABLES if not (folder / name).exists()),
    )


def require_run(folder: Path) -> None:
    """Refuse a folder that is not a run, before anything is written there.

    Raises
    ------
    StoreError
        It has no ``run.json``.
    """
    if not (folder / "run.json").exists():
        raise StoreError(
            "This folder is not a run: it has no run.json.",
            where=folder,
            fix="give the folder that `hapsight run` wrote, or finish the run first",
        )


def read_record(folder: Path) -> dict[str, Any]:
    """``run.json`` of a run folder.

    Raises
    ------
    StoreError
        It is missing, damaged, or of another format version.
    """
    require_run(folder)
    path = folder / "run.json"
    record: dict[str, Any] = _read_json(path)
    found = record.get("format") if isinstance(record, dict) else None
    if found != FORMAT:
        raise StoreError(
            "This run has a format that this hapsight does not know.",
            where=path,
            expected=f'"format": {FORMAT}',
            got=f'"format": {json.dumps(found)}',
            fix="make the report with the hapsight version that made the run",
        )
    require_record(record, path)
    return record


def require_record(record: Any, path: Path) -> None:
    """Refuse what ``run.json`` cannot be: entries without their names, and values of other types.

    Raises
    ------
    StoreError
        The first of them, and what is there.
    """
    _require(TypeAdapter(_Record), record, path)


def _require(kind: TypeAdapter[Any], found: Any, path: Path) -> None:
    try:
        kind.validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ", ".join(json.dumps(part) for part in first["loc"]) or "all of it"
        raise StoreError(
            "The record of the run is damaged.",
            where=f"{path}, {place}",
            expected=first["msg"],
            got=f"{type(first['input']).__name__} {str(first['input'])[:40]}",
            fix="delete the file and run again: finished units are kept",
        ) from None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise StoreError(
            "A file of the run is not JSON.", where=path, got=error, fix="delete the file and run again"
        ) from error


def read_table(path: Path, columns: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """Read the wanted columns with the wanted types; NaN becomes null, a missing file an empty table.

    Parameters
    ----------
    columns
        Those wanted, with their types; None: all that the file has, as they are.

    Raises
    ------
    StoreError
        The file is damaged, lacks columns, or has values of another type.
    """
    if not path.exists():
        return pl.DataFrame(schema=columns)
    try:
        table = pl.read_parquet(path)
    except BAD_PARQUET as error:
        raise StoreError(
            "A table of the run cannot be read.", where=path, got=error, fix="delete the file and run again"
        ) from error
    columns = table.schema if columns is None else columns
    table = table.with_columns(
        pl.lit(None, kind).alias(name)
        for name, kind in columns.items()
        if name in _NEW and name not in table.columns
    )
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        raise StoreError(
            f"A table of the run lacks columns: {', '.join(lacking)}.",
            where=path,
            expected=", ".join(columns),
            got=", ".join(table.columns),
            fix="evaluate the run again with this version of hapsight",
        )
    try:
        table = table.select(pl.col(name).cast(kind) for name, kind in columns.items())
    except pl.exceptions.PolarsError as error:
        raise StoreError(
            "A table of the run has values of another type.",
            where=path,
            got=str(error).partition("\n")[0],
            fix="delete the file and run again",
        ) from error
    table = table.with_columns(pl.col(pl.Float64).fill_nan(None))
    return table.with_columns(pl.col(name).fill_null("") for name in ("read_out",) if name in columns)


def _arms(record: Mapping[str, Any], tables: tuple[pl.DataFrame, ...]) -> tuple[Arm, ...]:
    order = {str(model["name"]): place for place, model in enumerate(record.get("models", []))}
    trained = [(str(b["name"]), str(b["read_out"])) for b in record.get("baselines", [])]
    place = {pair: number for number, pair in enumerate(trained)}
    pairs = {pair for table in tables for pair in table.select("model", "read_out").unique().iter_rows()}
    read_outs = Counter(model for model, _ in pairs)
    arms = [
        Arm(
            model,
            read_out,
            f"{model} ({read_out})" if read_outs[model] > 1 and read_out else model,
            is_baseline=model not in order,
        )
        for model, read_out in pairs
    ]
    return tuple(
        sorted(
            arms,
            key=lambda a: (
                order.get(a.model, len(order)),
                a.model != "elastic_net",
                place.get((a.model, a.read_out), len(place)),
                a.label,
            ),
        )
    )
