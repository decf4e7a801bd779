"""What a run holds, as an object: polars tables by name, and what other libraries take."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.people import read_sample_sheet
from hapsight.errors import ConfigError, MissingExtraError, StoreError, in_shell, plural
from hapsight.explain.tables import DRIVER_SUMMARY, DRIVER_VARIANTS, DRIVERS, RELIABILITY
from hapsight.files import file_name, file_state
from hapsight.report.run_folder import read_record, read_table
from hapsight.run.config import load_config
from hapsight.run.store import UnitKey, UnitStore
from hapsight.tables import (
    ACROSS_GENES,
    AGREEMENT,
    BASELINES,
    CIS_INDEPENDENT,
    CIS_QTL,
    DIRECTION,
    DIRECTION_FACTORS,
    DIRECTION_GENES,
    DIRECTION_STRATA,
    DROPPED,
    HERITABILITY,
    PER_GENE,
    PER_PERSON,
    SUMMARY,
)

if TYPE_CHECKING:
    import anndata
    import xarray

__all__ = ["Run", "read_run"]

Float = NDArray[np.float64]
Read = TypeVar("Read")

_MADE_BY: Final = {
    "evaluation": ("run",),
    "dropped": ("run",),
    "eqtl": ("eqtl",),
    "explain": ("explain", "drivers"),
}
_FACTS: Final = ("gene_name", "contig", "tss", "strand")


class _Table:
    """A table of a run, read when it is first asked for, and again where its file has changed since."""

    def __init__(self, file: str, columns: Mapping[str, Any], says: str) -> None:
        self.file, self.columns = file, columns
        self.__doc__ = f"{says} (``{file}.parquet``; columns: ``docs/formats.md``)."

    @overload
    def __get__(self, run: None, owner: type[Run]) -> Self: ...

    @overload
    def __get__(self, run: Run, owner: type[Run]) -> pl.DataFrame: ...

    def __get__(self, run: Run | None, owner: type[Run]) -> Self | pl.DataFrame:
        return self if run is None else run._as_it_is(f"{self.file}.parquet", self._read)

    def _read(self, path: Path) -> pl.DataFrame:
        if not path.exists():
            raise _no_table(path, self._made_by(path.parents[self.file.count("/")]))
        return read_table(path, self.columns)

    def _made_by(self, folder: Path) -> str:
        commands, config = _MADE_BY[self.file.partition("/")[0]], in_shell(folder / "config.toml")
        return f"run {' and '.join(f'`hapsight {one} {config}`' for one in commands)} first"


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run folder: its record, and its tables as polars frames; a table that is not there is an error."""

    folder: Path
    _kept: dict[str, tuple[object, Any]] = field(default_factory=dict, init=False)

    per_gene = _Table("evaluation/per_gene", PER_GENE, "R and its tests, by gene and model")
    per_person = _Table("evaluation/per_person", PER_PERSON, "R over genes, by person and model")
    across_genes = _Table("evaluation/across_genes", ACROSS_GENES, "Reference prediction, mean expression")
    summary = _Table("evaluation/summary", SUMMARY, "What leads the report, by model")
    baselines = _Table("evaluation/baselines", BASELINES, "Linear methods, by split")
    direction_genes = _Table("evaluation/direction_genes", DIRECTION_GENES, "R beside the top eQTL")
    direction = _Table("evaluation/direction", DIRECTION, "Agreement of sign, and of size")
    direction_strata = _Table("evaluation/direction_strata", DIRECTION_STRATA, "Right signs by stratum")
    direction_factors = _Table("evaluation/direction_factors", DIRECTION_FACTORS, "What explains R")
    agreement = _Table("evaluation/agreement", AGREEMENT, "Do two models fail in the same genes")
    dropped = _Table("dropped", DROPPED, "Who and what was left out")
    cis_qtl = _Table("eqtl/cis_qtl", CIS_QTL, "The strongest eQTL of each gene")
    cis_independent = _Table("eqtl/cis_independent", CIS_INDEPENDENT, "Independent signals")
    heritability = _Table("eqtl/heritability", HERITABILITY, "Cis-heritability of each gene")
    drivers = _Table("explain/drivers", DRIVERS, "What drives each prediction")
    driver_variants = _Table("explain/driver_variants", DRIVER_VARIANTS, "Every driver")
    driver_summary = _Table("explain/driver_summary", DRIVER_SUMMARY, "Drivers, counted")
    reliability = _Table("explain/reliability", RELIABILITY, "How probable a right sign is")

    @property
    def record(self) -> dict[str, Any]:
        """``run.json`` as it is now: versions, inputs with digests, models, stages."""
        return self._as_it_is("run.json", lambda _: read_record(self.folder))

    def _as_it_is(self, file: str, read: Callable[[Path], Read]) -> Read:
        """What a file of the run holds, read again where it has changed since."""
        path = self.folder / file
        state, kept = file_state(path), self._kept.get(file)
        if kept is None or kept[0] != state:
            kept = self._kept[file] = state, read(path)
        found: Read = kept[1]
        return found

    def __repr__(self) -> str:
        tables, models = plural(len(self.tables), "table"), plural(len(self.record["models"]), "model")
        return f"Run({str(self.folder)!r}: {tables}, {models})"

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that the run has; each is an attribute."""
        known = {name: table for name, table in vars(type(self)).items() if isinstance(table, _Table)}
        return tuple(
            name for name, table in known.items() if (self.folder / f"{table.file}.parquet").exists()
        )

    def table(self, file: str) -> pl.DataFrame:
        """Any other table of the run by its file without suffix, such as ``"informed/per_gene"``.

        Raises
        ------
        StoreError
            The run has no such table, or it cannot be read.
        """
        path = self.folder / f"{file}.parquet"
        if not path.resolve().is_relative_to(self.folder.resolve()) or not path.exists():
            raise _no_table(path, "docs/formats.md says which command writes it")
        return read_table(path)

    def predictions(self, model: str | None = None, read_out: str | None = None) -> pl.DataFrame:
        """Raw values of a model: a row per gene, track, person and haplotype (1, 2).

        The reference's rows come first, with an empty ``sample_id``.

        Parameters
        ----------
        model, read_out
            As the tables call them; needed where the run has several.

        Raises
        ------
        ConfigError
            No such model, or several.
        IncompleteError
            Some genes are not done.
        """
        return self._values(self._entry("models", model, read_out))

    def held_out(self, method: str = "elastic_net", read_out: str | None = None) -> pl.DataFrame:
        """Held-out predictions of a linear method: ``gene_id, sample_id, fold, observed, predicted``.

        Raises
        ------
        ConfigError, IncompleteError
            As `predictions`.
        """
        return self._held_out(self._entry("baselines", method, read_out))

    def effects(self, model: str | None = None, read_out: str | None = None) -> pl.DataFrame:
        """What each variant does to a model's prediction: a row per gene, track and variant.

        Raises
        ------
        ConfigError
            No such model, or several.
        StoreError
            `hapsight explain` was not run.
        """
        entry = self._entry("models", model, read_out)
        return self.table(f"explain/{file_name(entry['name'], entry['read_out'])}/effects")

    def to_xarray(self, model: str | None = None, read_out: str | None = None) -> xarray.Dataset:
        """`value` (gene, sample, haplotype, track) and `reference` (gene, track) of a model; float32.

        Raises
        ------
        MissingExtraError
            xarray is not installed.
        ConfigError, IncompleteError
            As `predictions`.
        """
        library, entry = _extra("xarray"), self._entry("models", model, read_out)
        values = self._values(entry)
        genes, tracks = (values[name].unique(maintain_order=True).to_list() for name in ("gene_id", "track"))
        first = values.filter(pl.col("gene_id") == genes[0], pl.col("track") == tracks[0])
        samples = first["sample_id"][1::2].to_list()
        whole = values["value"].to_numpy().reshape(len(genes), len(tracks), 1 + 2 * len(samples))
        people = whole[:, :, 1:].reshape(len(genes), len(tracks), len(samples), 2).transpose(0, 2, 3, 1)
        coords = {"gene": genes, "sample": samples, "haplotype": [1, 2], "track": tracks}
        arrays = {"value": (tuple(coords), people), "reference": (("gene", "track"), whole[:, :, 0])}
        found: xarray.Dataset = library.Dataset(
            arrays, coords, {"model": entry["name"], "read_out": entry["read_out"]}
        )
        return found

    def to_anndata(self) -> anndata.AnnData:
        """People x genes: a layer of predictions for each model, track and linear baseline; X is the first.

        A person's value is the mean of both haplotypes; of a baseline it is held out. `obs` has the
        populations (of the sample sheet in the configuration, where that is still there), `var` the genes.

        Raises
        ------
        MissingExtraError
            anndata is not installed.
        IncompleteError
            Some genes are not done.
        """
        library, pandas = _extra("anndata"), import_module("pandas")
        layers = dict(self._layers())
        name, first = next(iter(layers.items()))
        people, genes = first.select("sample_id"), first.columns[1:]
        samples = people["sample_id"].to_list()
        arrays = {
            layer: people.join(table, on="sample_id", how="left", maintain_order="left")
            .select(genes)
            .to_numpy()
            for layer, table in layers.items()
        }
        found: anndata.AnnData = library.AnnData(
            arrays[name],
            obs=_frame(pandas, {"population": self._populations(samples)}, samples),
            var=_frame(pandas, self._facts(genes), genes),
            layers=arrays,
            uns={"X": name, "hapsight": self.record.get("hapsight")},
        )
        return found

    def _layers(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """(N, 1 + G) people's values of each model and track, and of each linear method, by its name."""
        models, linear = self.record["models"], [b for b in self.record.get("baselines", []) if "units" in b]
        count = Counter(entry["name"] for entry in (*models, *linear))
        for entry in models:
            values = self._values(entry).filter(pl.col("haplotype") > 0)
            values = values.with_columns(pl.col("value").cast(pl.Float64))
            parts = values.partition_by("track", as_dict=True, maintain_order=True)
            for (track,), own in parts.items():
                table = own.pivot("gene_id", index="sample_id", values="value", aggregate_function="mean")
                yield _layer(entry, count, track if len(parts) > 1 else ""), table
        for entry in linear:
            table = self._held_out(entry).pivot("gene_id", index="sample_id", values="predicted")
            yield _layer(entry, count), table

    def _populations(self, samples: Sequence[str]) -> list[str | None]:
        sheet = load_config(self.folder / "config.toml").cohort.samples
        known = read_sample_sheet(sheet).population_of() if sheet is not None and sheet.exists() else {}
        return [known.get(sample) for sample in samples]

    def _facts(self, genes: Sequence[str]) -> dict[str, list[Any]]:
        """Of each gene, what `per_gene` says of it."""
        known = {row["gene_id"]: row for row in self.per_gene.iter_rows(named=True)}
        return {name: [known[gene][name] for gene in genes] for name in _FACTS}

    def _entry(self, kind: str, model: str | None, read_out: str | None) -> dict[str, Any]:
        """What the record says of the one that is meant."""
        all_: list[dict[str, Any]] = self.record.get(kind, [])
        found = [one for one in all_ if model in (None, one["name"]) and read_out in (None, one["read_out"])]
        if len(found) == 1:
            return found[0]
        raise ConfigError(
            f"The run has {'no such model' if not found else 'several such models'}.",
            where=self.folder,
            expected="one of: " + "; ".join(f"{one['name']} (read_out {one['read_out']!r})" for one in all_),
            got=f"model {model!r}, read_out {read_out!r}",
        )

    def _values(self, entry: Mapping[str, Any]) -> pl.DataFrame:
        return self._units(
            f"predictions/{file_name(entry['name'], entry['read_out'])}", "predict", entry, "values"
        )

    def _held_out(self, entry: Mapping[str, Any]) -> pl.DataFrame:
        held_out = [entry.get("split")] if entry.get("split") in ("population", "super_population") else []
        folder = [entry["name"], *held_out]
        return self._units(f"baseline/{file_name(*folder)}", "baseline", entry, "predictions")

    def _units(self, folder: str, command: str, entry: Mapping[str, Any], table: str) -> pl.DataFrame:
        """A table of the units that the last configuration has; others may lie beside them."""
        if "units" not in entry:
            raise _no_table(self.folder / folder, "evaluate the run again with this version of hapsight")
        store = UnitStore(self.folder / folder, command)
        sealed = store.sealed()
        return store.read([UnitKey(unit, sealed.get(unit, "")) for unit in entry["units"]], table)


def _frame(pandas: Any, columns: Mapping[str, Sequence[Any]], names: Sequence[str]) -> Any:
    """A table whose texts are plain objects: anndata 0.12.6 refuses to write the text type of pandas 3."""
    index = pandas.Index(names, dtype=object)
    kinds = {
        name: object if any(isinstance(one, str) for one in of) else None for name, of in columns.items()
    }
    series = {name: pandas.Series(of, index=index, dtype=kinds[name]) for name, of in columns.items()}
    return pandas.DataFrame(series, index=index)


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Open a run folder; tables are read when they are asked for, without torch.

    Raises
    ------
    StoreError
        It is not a run (no ``run.json``), or one of another format.

    Examples
    --------
    >>> run = hs.read_run("demo-run")  # doctest: +SKIP
    >>> run.tables, run.per_gene.filter(pl.col("qval") < 0.05)  # doctest: +SKIP
    >>> run.predictions("mini/chr22")  # doctest: +SKIP
    """
    run = Run(Path(folder).expanduser())
    run.record  # noqa: B018 - an error now, where it is no run
    return run


def _layer(entry: Mapping[str, Any], count: Counter[str], track: str = "") -> str:
    """What tells a layer from the others: the name, with read-out and track where there are several."""
    words = (entry["name"], entry["read_out"] if count[entry["name"]] > 1 else "", track)
    return " ".join(word for word in words if word)


def _no_table(path: Path, fix: str) -> StoreError:
    return StoreError("The run has no such table.", where=path, fix=fix)


def _extra(name: str) -> Any:
    """A library of the extra ``notebook``.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtraError(f"{name} is not installed.", fix="pip install 'hapsight[notebook]'") from None
