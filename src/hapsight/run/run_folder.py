"""The folder of a run: its lock, its configuration, and the record of what was done.

Peak memory of this process and of its largest worker.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import platform
import resource
import sys
import time
import tomllib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any, Final

import polars as pl

import hapsight
from hapsight.cohort.tables import write_table
from hapsight.errors import HapsightError, StoreError, quoted
from hapsight.files import KnownDigest, file_name, locked, open_own, sweep, write_atomically
from hapsight.models.own import PREFIX
from hapsight.report.run_folder import require_record
from hapsight.run.config import Config, to_toml
from hapsight.run.store import UnitStore

__all__ = [
    "OWN",
    "RunFolder",
    "peak_mb",
    "processor_seconds",
    "reset_peak",
    "versions",
]

_CLEAR = Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Start counting this process's peak anew, where the system can (Linux)."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return


def peak_mb() -> tuple[int, int]:
    """Peak resident memory in MB: of this process since `reset_peak`, and of its largest worker.

    Workers that have not ended count where the system tells of them (Linux).
    """
    unit = 1 if sys.platform == "darwin" else 1024
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    living = [_peak_of(child.pid) or 0 for child in multiprocessing.active_children()]
    own = _peak_of("self") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return own // 2**20, max([ended, *living]) // 2**20


def _peak_of(process: int | str | None) -> int | None:
    """Bytes that a process had at most; ``None`` where the system does not say."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024
    except (OSError, StopIteration):
        return None


OWN: Final = frozenset(
    {"run.json", "check.json", "config.toml", "report.html", "dropped.parquet", "run.log"}
    | {
        "baseline",
        "crew",
        "decoded",
        "eqtl",
        "evaluation",
        "explain",
        "informed",
        "models",
        "predictions",
        "priors",
        "report",
    }
    | {"train", "validate"}
)
"""What hapsight writes in a run folder; whatever else lies there is another's, and is left alone."""

_LOG: Final = logging.getLogger("hapsight.run")

_STAGE: Final[ContextVar[str]] = ContextVar("stage", default="")
"""The stage that is at work; empty between stages."""


@contextmanager
def _logged(file: int) -> Iterator[None]:
    """Write to an open file, which is closed in the end, what hapsight logs and how the block ends."""
    logger = logging.getLogger("hapsight")
    level, shown = logger.level, logger.hasHandlers()
    with os.fdopen(file, "a", encoding="utf-8") as text:
        handler = logging.StreamHandler(text)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers = [handler] if shown or logging.lastResort is None else [handler, logging.lastResort]
        for one in handlers:
            logger.addHandler(one)
        logger.setLevel(min(level or logging.WARNING, logging.INFO))
        try:
            _LOG.info("hapsight %s, process %d", hapsight.__version__, os.getpid())
            yield
        except BaseException as error:
            _LOG.info("ends with %s: %s", type(error).__name__, quoted(error))
            raise
        finally:
            for one in handlers:
                logger.removeHandler(one)
            logger.setLevel(level)


def processor_seconds() -> float:
    """Processor time of this process and of its workers so far, those that live too (Linux)."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(_processor_of(child.pid) for child in multiprocessing.active_children())
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


def _processor_of(process: int | None) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_PACKAGES = ("numpy", "scipy", "polars", "numba", "cyvcf2", "pysam", "torch", "altair")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run keeps everything; see ``docs/formats.md``.

    Attributes
    ----------
    shared
        Make a new folder with the access of the umask; else with none for others than the owner.
    """

    path: Path
    shared: bool = False

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """What was done when, a line each, of all commands that worked here."""
        return self.path / "run.log"

    @property
    def decoded(self) -> Path:
        """Genotypes as they were decoded, packed; may be deleted at any time between runs."""
        return self.path / "decoded"

    def known_digests(self) -> dict[str, KnownDigest]:
        """Digests of the inputs as the record has them, by absolute path."""
        try:
            record = self.record()
        except HapsightError:  # told by whoever needs the record
            return {}
        named = {text.removeprefix(PREFIX): entry for text, entry in record.get("named", {}).items()}
        inputs = {entry["path"]: entry for entry in record.get("inputs", [])}
        return {
            os.path.abspath(path): KnownDigest(entry["sha256"], tuple(entry["state"]))
            for path, entry in (named | inputs).items()
            if isinstance(entry.get("state"), list) and isinstance(entry.get("sha256"), str)
        }

    def contents(self) -> dict[str, str]:
        """Digests of the files that the configuration last used names, by how it names them."""
        return {text: entry["sha256"] for text, entry in self.record().get("named", {}).items()}

    def predictions(self, model: str, read_out: str) -> UnitStore:
        """The units of a model's predictions, as one read-out gives them."""
        return UnitStore(self.path / "predictions" / file_name(model, read_out), "predict")

    def baseline(self, run: str) -> UnitStore:
        """The units of a baseline, by its method and split, such as ``"blup.population"``."""
        return UnitStore(self.path / "baseline" / file_name(*run.split(".")), "baseline")

    def portability(self, *run: str) -> UnitStore:
        """The units of a baseline that was trained in one population, by its method, split and population."""
        return UnitStore(self.path / "portability" / file_name(*run), "portability")

    def informed(self, *arm: str) -> UnitStore:
        """The units of an arm of the informed elastic net, by the words that name it."""
        return UnitStore(self.path / "informed" / file_name(*arm), "informed")

    def eqtl(self) -> UnitStore:
        """The units of the eQTL mapping."""
        return UnitStore(self.path / "eqtl", "eqtl")

    def explain(self, model: str, read_out: str) -> UnitStore:
        """The units of a model's variant effects, as one read-out gives them."""
        return UnitStore(self.path / "explain" / file_name(model, read_out), "explain")

    def write(self, name: str, table: pl.DataFrame) -> None:
        """Write a table, such as ``"evaluation/per_gene.parquet"``."""
        write_table(self.path / name, table)

    @property
    def _mark(self) -> Path:
        return self.path / ".lock"

    def mark(self) -> tuple[Path, str]:
        """The file that is locked, and its text, which is new in every run."""
        return self._mark, self._mark.read_text() if self._mark.exists() else ""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the lock goes with the process, however it ends.

        Raises
        ------
        StoreError
            Another process works in this folder, it cannot be locked or written to, or there are links in it.
        """
        with ExitStack() as held:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir(mode=0o777 if self.shared else 0o700, exist_ok=True)
                lock = held.enter_context(locked(self._mark))
                sweep(self.path, OWN)
                os.truncate(lock, 0)
                os.write(lock, uuid.uuid4().hex.encode())
                held.enter_context(_logged(open_own(self.log, os.O_WRONLY | os.O_APPEND)))
            except OSError as error:
                raise self._not_writable(error) from None
            yield

    def _not_writable(self, error: OSError) -> StoreError:
        if self.path.exists() and not self.path.is_dir():
            return StoreError(
                "The run folder is a file.",
                where=self.path,
                expected="a folder, there or to be made",
                fix="set another `output`, or move the file away",
            )
        return StoreError(
            "The run folder cannot be written to.",
            where=self.path,
            got=error,
            fix="make room or mend the folder, or set another `output`",
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration that the folder was last used with; empty where there is none."""
        try:
            return tomllib.loads((self.path / "config.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}

    def begin(
        self,
        config: Config,
        inputs: list[dict[str, Any]],
        cohort: dict[str, Any],
        same: bool = False,
        named: Mapping[str, KnownDigest] | None = None,
    ) -> None:
        """Save the resolved configuration and start the record; finished stages of a former run stay.

        Parameters
        ----------
        same
            Configuration and inputs are those of the former run, so that what its stages noted holds.
        named
            Digests of the files that the configuration names, by how it names them.
        """
        here = config.model_copy(update={"output": Path()})  # wherever the folder may be moved
        write_atomically(self.path / "config.toml", to_toml(here).encode())
        record = self.record()
        noted = {by: texts for by, texts in record.get("noted_by", {}).items() if same and by}
        record |= {
            "format": 1,
            "name": config.name,
            "hapsight": hapsight.__version__,
            "created": record.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
            "protocol": config.protocol,
            "seed": config.seed,
            "versions": versions(),
            "inputs": inputs,
            "named": {text: asdict(found) for text, found in (named or {}).items()},
            "cohort": cohort,
            "models": record.get("models", []),
            "stages": record.get("stages", []),
        }
        self._write_notes(record, noted)

    def record(self) -> dict[str, Any]:
        """The record as it is on disk; empty where there is none."""
        path = self.path / "run.json"
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (ValueError, RecursionError) as error:
            raise StoreError(
                "The record of the run is not JSON.", where=path, got=error, fix="delete it"
            ) from None
        require_record(found, path)
        return {"models": [], "notes": [], "stages": []} | found

    def _begun(self) -> dict[str, Any]:
        """The record of a run that was begun."""
        if record := self.record():
            return record
        raise StoreError(
            "The run folder, or its record, was taken away while the run was at work.",
            where=self.path / "run.json",
            fix="run the same command again: what of the work is still there is kept",
        )

    def note(self, text: str) -> None:
        """Add a sentence to the record that the report must show; a stage's own stay until it runs again."""
        record = self.record()
        noted = record.get("noted_by", {})
        mine = noted.get(_STAGE.get(), [])
        if text not in mine:
            self._write_notes(record, noted | {_STAGE.get(): [*mine, text]})

    def _write_notes(self, record: dict[str, Any], noted: Mapping[str, list[str]]) -> None:
        """What is noted by whom, those of the whole run first."""
        ordered = {by: noted[by] for by in sorted(noted, key=bool) if noted[by]}
        notes = list(dict.fromkeys(chain.from_iterable(ordered.values())))
        self._write_record(record | {"notes": notes, "noted_by": ordered})

    def add_model(self, entry: dict[str, Any]) -> None:
        """Record a model that was run, replacing an entry of the same name and read-out."""
        record = self._begun()
        same = (entry["name"], entry["read_out"])
        kept = [m for m in record["models"] if (m["name"], m["read_out"]) != same]
        self._write_record(record | {"models": [*kept, entry]})

    def trial(self, model: str, read_out: str) -> dict[str, Any] | None:
        """What the record says of the arithmetic that a model was run in; None: float32."""
        found = self.record().get("trials", [])
        return next((t for t in found if (t["model"], t["read_out"]) == (model, read_out)), None)

    def record_trial(self, model: str, read_out: str, trial: dict[str, Any] | None) -> None:
        """Record what a model's arithmetic was found to lose; None: it is float32."""
        if trial == (before := self.trial(model, read_out)):
            return
        record = self.record()
        kept = [t for t in record.get("trials", []) if t != before]
        if trial is not None:
            kept.append({"model": model, "read_out": read_out} | trial)
        self._write_record(record | {"trials": kept})

    def record_models(self, entries: list[dict[str, Any]]) -> None:
        """Record the models that were evaluated, and no others, in the order in which they are shown."""
        self._write_record(self.record() | {"models": entries})

    def record_baselines(self, entries: list[dict[str, Any]]) -> None:
        """Record the linear baselines that were evaluated, in the order in which they are shown."""
        self._write_record(self.record() | {"baselines": entries})

    def record_tables(self, stage: str, key: str) -> None:
        """Record by which configuration the tables of a stage were made."""
        record = self.record()
        self._write_record(record | {"tables": record.get("tables", {}) | {stage: key}})

    def record_finished(self, digest: str | None) -> None:
        """Record what a finished run was made from and wrote."""
        self._write_record(self.record() | {"finished": digest})

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage and record its wall time and peak memory; the block may set ``["detail"]``.

        A stage that only found its work done already (``["computed"]`` is 0) leaves the older entry be, but
        for ``found_done_seconds``, what finding it took.
        """
        with self.stages([name]) as (entry,):
            yield entry

    @contextmanager
    def stages(self, names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        """`stage` of several that are done together; the block sets each one's ``["share"]`` of the time."""
        reset_peak()
        for name in names:
            _LOG.info("%s: begins", name)
        start, processor = time.perf_counter(), processor_seconds()
        entries: list[dict[str, Any]] = [{"name": name, "detail": ""} for name in names]
        with ExitStack() as noting:
            for name in names:
                noting.enter_context(self._noting(name))
            yield entries
        own, worker = peak_mb()
        took, processor = time.perf_counter() - start, processor_seconds() - processor
        for entry in entries:
            share = entry.pop("share", 1.0)
            seconds, detail = round(share * took, 2), f"; {entry['detail']}" if entry["detail"] else ""
            _LOG.info("%s: %.1f s%s", entry["name"], seconds, detail)
            entry |= {"seconds": seconds, "processor_seconds": round(share * processor, 2)}
            self.add_stage(entry | {"peak_mb": own, "largest_worker_mb": worker})

    @contextmanager
    def _noting(self, stage: str) -> Iterator[None]:
        """Whatever is noted within is the stage's; what it noted before is forgotten."""
        record = self.record()
        noted = record.get("noted_by", {})
        if stage in noted:
            self._write_notes(record, {by: texts for by, texts in noted.items() if by != stage})
        token = _STAGE.set(stage)
        try:
            yield
        finally:
            _STAGE.reset(token)

    def add_stage(self, entry: Mapping[str, Any]) -> None:
        """Record a stage, as `stage` does, in place of an earlier entry of its name."""
        record = self._begun()
        before = next((s for s in record["stages"] if s["name"] == entry["name"]), None)
        if entry.get("computed") == 0 and before is not None:
            entry = before | {"found_done_seconds": entry["seconds"]}
        kept = [s for s in record["stages"] if s["name"] != entry["name"]]
        self._write_record(record | {"stages": [*kept, dict(entry)]})

    def _write_record(self, record: dict[str, Any]) -> None:
        write_atomically(self.path / "run.json", json.dumps(record, indent=1).encode())


def versions() -> dict[str, str]:
    """Of Python, the system and the packages that numbers depend on."""
    found = {"python": platform.python_version(), "system": platform.platform(), "cores": str(os.cpu_count())}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
