"""The card that a run keeps of each model, for stages that need no more of it than that.

The units of work of a model: blocks of genes, with all that a process needs to run the model on them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pydantic import TypeAdapter

import hapsight
from hapsight.cohort.genotype_source import Genotypes, people_across_sets
from hapsight.cohort.nouns import Gene, Interval
from hapsight.cohort.reference import Reference
from hapsight.engine.cost import Cost
from hapsight.engine.views import Sequences, margin, seen_interval, window_of
from hapsight.errors import WeightsError
from hapsight.files import file_name, write_atomically
from hapsight.models.catalogue import EFFECTS
from hapsight.models.protocol import ModelWindow, Precision, ReadOut, SequenceModel, Track
from hapsight.run.blocks import (
    Block,
    KeyedBlock,
    VariantReader,
    blocks_of_size,
    even_blocks,
    keyed_blocks,
    model_target,
)
from hapsight.run.config import Config, ModelConfig
from hapsight.run.opened import POLICY_KEYS, Opened, dropped_table, gene_keys
from hapsight.run.store import StoredUnit, UnitStore

if TYPE_CHECKING:
    from hapsight.engine.outputs import GenePrediction

__all__ = [
    "ModelCard",
    "ModelSource",
    "PredictUnit",
    "asked_of",
    "model_here",
    "predict_elsewhere",
    "predict_with",
    "read_card",
    "write_card",
]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """How any process loads a model.

    Attributes
    ----------
    options
        Of the model, as JSON.
    """

    name: str
    weights: str | None
    options: str
    device: str
    precision: Precision
    compiled: bool

    def load(self, loaded: SequenceModel | None = None) -> tuple[SequenceModel, str]:
        """Load the model onto the device; with its fingerprint, which is of the weights as they were read.

        Parameters
        ----------
        loaded
            The model as it was loaded onto another device and used in float32, if it was.
        """
        from hapsight.engine.arithmetic import in_arithmetic
        from hapsight.models.registry import fingerprint_as_loaded, load_model, resolve_device

        if loaded is None:
            model = load_model(self.name, self.weights, self.device, **json.loads(self.options))
        else:
            model = loaded.to(resolve_device(self.device))
        fingerprint = fingerprint_as_loaded(self.name, model)
        in_arithmetic(model, self.device, self.precision, compiled=self.compiled)
        return model, fingerprint


@dataclass(frozen=True, slots=True, eq=False)
class PredictUnit(StoredUnit):
    """All that a process needs to run a model on a block of genes.

    Attributes
    ----------
    fingerprint
        Of the model whose values these are to be.
    budget
        Bytes for embeddings and batches; None: as much as the device usually has.
    """

    name: str
    key: str
    fingerprint: str
    store: UnitStore
    genes: tuple[Gene, ...]
    genotypes: Genotypes
    reference: Reference
    source: ModelSource
    read_out: ReadOut
    batch_size: int
    budget: int | None


def predict_elsewhere(unit: PredictUnit) -> str:
    """Run the model on a block of genes in a process that may not have it yet; returns the unit's name.

    Raises
    ------
    WeightsError
        What is loaded here is another model.
    """
    return predict_with(model_here(unit.source, unit.fingerprint), unit)


def model_here(source: ModelSource, fingerprint: str) -> SequenceModel:
    """The model of this process, loaded if it is another than the last, or its weights have changed since.

    Raises
    ------
    WeightsError
        What is loaded here is another model than that of the `fingerprint`.
    """
    model, found = _kept(source)
    if found != fingerprint:
        _kept.cache_clear()
        model, found = _kept(source)
    if found != fingerprint:
        raise WeightsError(
            "A worker has other weights, or another version, of the model.",
            where=source.name,
            expected=fingerprint,
            got=found,
            fix="install the same weights and packages on all hosts, and start the workers anew",
        )
    return model


@lru_cache(maxsize=1)
def _kept(source: ModelSource) -> tuple[SequenceModel, str]:
    """The model that this process used last, or the one that it needs now."""
    return source.load()


def _note_phase_sets(unit: PredictUnit, reader: VariantReader, windows: Sequence[Interval]) -> None:
    """Name the genes of whose window some people's haplotypes are not known."""
    if unit.genotypes.has_phase_sets:
        split = people_across_sets(unit.genotypes, map(reader, windows))
        for gene, people in zip(unit.genes, split, strict=True):
            if people:
                name = f"{gene.gene_id}: {people} people"
                reader.dropped.add("genotype", "window spans two phase sets of a person", name)


def predict_with(model: SequenceModel, unit: PredictUnit) -> str:
    """Run a loaded model on a block of genes and store its values; returns the unit's name."""
    from hapsight.engine.engine import predict_genes

    windows = [window_of(gene, model.window, margin(unit.read_out)).interval for gene in unit.genes]
    reader = VariantReader(unit.genotypes, unit.reference, windows)
    found = predict_genes(
        Sequences(model, unit.read_out, reader, unit.reference.fetch),
        unit.genes,
        batch_size=unit.batch_size,
        device=unit.source.device,
        budget=unit.budget,
    )
    tracks = [model.tracks[index].name for index in unit.read_out.tracks]
    for prediction in found:
        reader.dropped.merge(prediction.dropped)
    _note_phase_sets(unit, reader, windows)
    tables = {
        "values": pl.concat([_values(prediction, tracks) for prediction in found]),
        "genes": pl.DataFrame(
            {
                "gene_id": [p.gene_id for p in found],
                "n_variants": [p.n_variants for p in found],
                "n_distinct": [len(p.distinct) for p in found],
                "gflop": [p.flop / 1e9 for p in found],
            }
        ),
        "dropped": dropped_table(reader.dropped),
    }
    unit.store.write(unit.name, unit.key, tables)
    return unit.name


def _values(found: GenePrediction, tracks: Sequence[str]) -> pl.DataFrame:
    """One row per track, person and haplotype; the reference first, with an empty ``sample_id``."""
    n = len(found.samples)
    distinct = np.concatenate([[-1], found.index.ravel()]).astype(np.int32)
    values = np.concatenate([found.reference[None], found.distinct[found.index.ravel()]])  # (1 + 2N, T)
    values = values.astype(np.float32)
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "gene_id": [found.gene_id] * (1 + 2 * n),
                    "track": [track] * (1 + 2 * n),
                    "sample_id": ["", *np.repeat(found.samples, 2)],
                    "haplotype": np.concatenate([[0], np.tile([1, 2], n)]).astype(np.int8),
                    "distinct": distinct,
                    "value": values[:, t],
                }
            )
            for t, track in enumerate(tracks)
        ]
    )


@dataclass(frozen=True, eq=False)
class ModelCard:
    """A model of a run and how it is read.

    Attributes
    ----------
    label
        What the model is called in tables: its name, or what the configuration calls it.
    name
        Its own, with weights.
    tracks
        Of the read-out, in its order.
    seen
        Bases ``[first, last)`` of the window that the read-out depends on.
    cost, toggled
        Of its values, and of the form that toggles variants.
    fingerprint
        Of its weights as they were loaded, whatever the model says.
    device
        Where the process that had it loaded had it.
    source
        How other processes load it, and where these have it.
    asked
        What the configuration said of it.
    levels
        Whether values of different genes can be compared: not where a value is only what variants change.
    own
        By ``gene_id``: digest of what beside its place is a gene's own, of a table of effects its rows.
    """

    label: str
    name: str
    read_out: ReadOut
    tracks: tuple[Track, ...]
    window: ModelWindow
    seen: tuple[int, int]
    cost: Cost
    toggled: Cost
    fingerprint: str
    device: str
    source: ModelSource
    asked: dict[str, Any]
    levels: bool = field(default=True, kw_only=True)
    own: dict[str, str] = field(default_factory=dict, kw_only=True)

    def card(self) -> ModelCard:
        """What travels of it: no network, and nothing of single genes."""
        facts = {one.name: getattr(self, one.name) for one in fields(ModelCard)}
        return ModelCard(**facts | {"own": {}})

    @property
    def of_effects(self) -> bool:
        """Whether it is a table of effects, which no sequence can be given to."""
        return self.source.name == EFFECTS

    @property
    def track_names(self) -> tuple[str, ...]:
        """Names of the tracks, in the read-out's order."""
        return tuple(track.name for track in self.tracks)

    def labels(self, protocol: str, track: str) -> dict[str, str]:
        """The labels of a track's numbers; a read-out of several tracks has a name for each."""
        name = self.read_out.name if len(self.tracks) == 1 else f"{self.read_out.name}:{track}"
        return {"model": self.label, "read_out": name, "protocol": protocol}

    def reads(self, gene: Gene) -> Interval:
        """The window around a gene."""
        return window_of(gene, self.window).interval

    def sees(self, gene: Gene) -> Interval:
        """What of the genome the value of a gene depends on."""
        return seen_interval(gene, self.window, self.seen)

    def gene_keys(self, opened: Opened, genes: Sequence[Gene]) -> dict[str, str]:
        """By ``gene_id``: digest of all that the predictions of the gene depend on."""
        return gene_keys(
            "predict",
            genes,
            {
                "fingerprint": self.fingerprint,
                "read_out": asdict(self.read_out),
                "window": None if self.of_effects else asdict(self.window),  # these have one for each gene
                "device": self.source.device,
                "arithmetic": opened.config.predict.model_dump(
                    mode="json", include={"batch_size", "budget_gb", "precision", "compiled"}
                ),
                "policy": opened.config.cohort.model_dump(mode="json", include=POLICY_KEYS),
                **opened.key_parts("genotypes", "reference"),
            },
            self.own,
        )

    def units(self, opened: Opened) -> list[KeyedBlock]:
        """Name, key and genes of every unit."""
        keys = self.gene_keys(opened, opened.cohort.genes)
        return keyed_blocks(self.store(opened), self._blocks(opened), keys)

    def store(self, opened: Opened) -> UnitStore:
        """Where the units are."""
        return opened.folder.predictions(self.label, self.read_out.name)

    def _blocks(self, opened: Opened) -> list[Block]:
        """As many genes as are asked for, else of about equal predicted work."""
        cohort, size = opened.cohort, opened.config.predict.genes_per_unit
        if size is not None:
            return blocks_of_size(cohort.genes, size)
        return even_blocks(
            cohort.genes, lambda gene: self.predicted_flop(opened, gene), model_target(self.source.device)
        )

    def predicted_flop(self, opened: Opened, gene: Gene) -> float:
        """About how many floating-point operations a gene's predictions take."""
        variants = opened.cohort.genotypes.expected_records(self.reads(gene))
        return self.cost.predicted(variants, len(opened.cohort.samples))

    def entry(self, opened: Opened, units: Sequence[KeyedBlock]) -> dict[str, Any]:
        """What the record says of the model, whose `units` are done.

        Raises
        ------
        IncompleteError
            Some are not.
        """
        genes = self.store(opened).read(units, "genes")
        window = self.window
        return {
            "name": self.label,
            "model": self.name,
            "read_out": self.read_out.name,
            "fingerprint": self.fingerprint,
            "window": f"{window.upstream:,} bp before and {window.downstream:,} bp from the TSS on",
            "device": self.device,
            "asked": 2 * len(opened.cohort.samples) * len(genes),
            "distinct": int(genes["n_distinct"].sum()),
            "units": [unit.name for unit in units],
        }


def asked_of(config: Config, wanted: ModelConfig) -> dict[str, Any]:
    """All that decides which model an entry of the configuration is; JSON."""
    return {
        "hapsight": hapsight.__version__,
        "model": wanted.model_dump(mode="json", warnings=False),
        "arithmetic": config.predict.model_dump(mode="json", include={"device", "precision", "compiled"}),
    }


def write_card(opened: Opened, card: ModelCard) -> None:
    """Keep a model's card in the run folder; its file is left alone where it says the same."""
    facts = {one.name: getattr(card, one.name) for one in fields(ModelCard)}
    data = json.dumps(asdict(ModelCard(**facts)), indent=1).encode()
    path = opened.folder.path / "models" / file_name(card.label, card.read_out.name, suffix=".json")
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)


def read_card(opened: Opened, wanted: ModelConfig) -> ModelCard | None:
    """The card of an entry of the configuration; None without one that can be read and is of that entry."""
    asked, cards = asked_of(opened.config, wanted), TypeAdapter(ModelCard)
    for path in sorted((opened.folder.path / "models").glob("*.json")):
        try:
            card = cards.validate_json(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if card.asked == asked:
            return card
    return None
