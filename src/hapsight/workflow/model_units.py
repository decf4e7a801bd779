"""The units of work of a model: blocks of genes, with all that a process needs to run the model on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Gene, Interval
from hapsight.cohort.phase_sets import people_across_sets
from hapsight.cohort.reference import Reference
from hapsight.errors import WeightsError
from hapsight.models.protocol import Precision, ReadOut, SequenceModel
from hapsight.predict.store import StoredUnit, UnitStore
from hapsight.predict.windows import window_of
from hapsight.workflow.opened import dropped_table
from hapsight.workflow.variants import VariantReader

if TYPE_CHECKING:
    from hapsight.predict.engine import GenePrediction

__all__ = ["ModelSource", "PredictUnit", "model_here", "predict_elsewhere", "predict_with"]


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
        from hapsight.models.registry import fingerprint_as_loaded, load_model, resolve_device

        if loaded is None:
            model = load_model(self.name, self.weights, self.device, **json.loads(self.options))
        else:
            model = loaded.to(resolve_device(self.device))
        fingerprint = fingerprint_as_loaded(self.name, model)
        if self.precision != "float32" or self.compiled:
            from hapsight.predict.arithmetic import in_arithmetic

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
    """The model of this process, loaded if it is another than the last.

    Raises
    ------
    WeightsError
        What is loaded here is another model than that of the `fingerprint`.
    """
    model, found = _kept(source)
    if found != fingerprint:
        raise WeightsError(
            "A worker has other weights, or another version, of the model.",
            where=source.name,
            expected=fingerprint,
            got=found,
            fix="install the same weights and packages on all hosts",
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
    from hapsight.predict.engine import Sequences, predict_genes
    from hapsight.predict.views import margin

    windows = [window_of(gene, model, margin(unit.read_out)).interval for gene in unit.genes]
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
