"""Units of work that ask a model for values of any sequences, wherever they are done.

Gradients are one kind: what a little more of each base of a model's window would do to its prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hapsight.cohort.nouns import Gene
from hapsight.cohort.reference import Reference
from hapsight.dna import N_CODE, reverse_complement
from hapsight.files import file_name
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.run.arrays import array_labels, has_array, name_beside, save_array, track_path, write_track
from hapsight.run.crew import UnitOfWork, compute, crew_of
from hapsight.run.executor import Here
from hapsight.run.models import ModelSource, model_here
from hapsight.run.opened import Opened, Progress
from hapsight.run.store import content_key
from hapsight.stages.predict import ModelRun, guard_precision

if TYPE_CHECKING:
    from hapsight.engine.engine import Valuer

__all__ = ["GradientUnit", "ValuedUnit", "ValuerSource", "compute_values", "gradient_unit", "valuer_of"]


@dataclass(frozen=True, slots=True)
class ValuerSource:
    """How any process gets what gives a model's values.

    Attributes
    ----------
    fingerprint
        Of the model whose values these are to be.
    budget
        Bytes for embeddings.
    """

    source: ModelSource
    fingerprint: str
    read_out: ReadOut
    batch_size: int
    budget: int | None

    @classmethod
    def of(cls, opened: Opened, run: ModelRun) -> ValuerSource:
        """As the configuration wants a model run, if that keeps differences between people."""
        guard_precision(opened, run)
        config = opened.config.predict
        return cls(
            run.source,
            run.fingerprint,
            run.read_out,
            config.batch_size,
            config.budget,
        )

    def valuer(self, model: SequenceModel, device: str) -> Valuer:
        """With a model that is loaded onto a device."""
        from hapsight.engine.engine import Valuer

        return Valuer(model.local(), self.read_out, device, self.batch_size, self.budget)

    def load(self) -> Valuer:
        """In a process that may not have the model yet.

        Raises
        ------
        WeightsError
            What is loaded here is another model.
        """
        return self.valuer(model_here(self.source, self.fingerprint), self.source.device)


def valuer_of(opened: Opened, run: ModelRun) -> Valuer:
    """What gives a model's values here, as the configuration wants it run."""
    return ValuerSource.of(opened, run).valuer(run.model, run.device)


class ValuedUnit(UnitOfWork, Protocol):
    """A unit that needs a model's values."""

    @property
    def values(self) -> ValuerSource:
        """How any process gets them."""

    def save(self, valuer: Valuer) -> None:
        """Do the work and store what comes of it."""


def compute_values(
    opened: Opened, run: ModelRun, label: str, units: Sequence[ValuedUnit], progress: Progress
) -> int:
    """Have a model's units done that are not yet done; returns how many these were.

    Raises
    ------
    IncompleteError
        Some were set aside, after all others were finished.
    """
    if not units:
        return 0
    crew = crew_of(opened, models=True)
    work = partial(_save_with, valuer_of(opened, run)) if isinstance(crew, Here) else _save_elsewhere
    return compute(crew, label, work, units, progress)


def _save_with(valuer: Valuer, unit: ValuedUnit) -> str:
    unit.save(valuer)
    return unit.name


def _save_elsewhere(unit: ValuedUnit) -> str:
    unit.save(unit.values.load())
    return unit.name


@dataclass(frozen=True, slots=True, eq=False)
class GradientUnit:
    """All that a process needs to save the gradients of a gene.

    Attributes
    ----------
    model
        What tables call it.
    tracks
        Of the read-out, in its order.
    shown
        What files for browsers are wanted: that of ``[explain] tracks``.
    path, words
        Of the array, and what it is called by.
    """

    gene: Gene
    reference: Reference
    values: ValuerSource
    model: str
    tracks: tuple[str, ...]
    shown: str
    path: Path
    words: tuple[str, ...]
    key: str

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"gradients of {self.gene.gene_id}"

    def done(self) -> bool:
        """Whether the array is there."""
        return has_array(self.path, self.key)

    def save(self, valuer: Valuer) -> None:
        """Save (n, 4, T) gradients on the reference, float32, and gradient times input as browser tracks.

        Bases are those of the forward strand. One pass forward and one back (per track, strand and shift)
        give every place, so they are of the whole window, and of the bases that shifts add to it. The array
        is renamed into place last, so where it is, the tracks are.

        Raises
        ------
        ConfigError
            The model gives no gradients.
        MissingExtraError
            zarr is not installed, or bigWig is asked for and pyBigWig is not.
        """
        from hapsight.engine.outputs import at_gene
        from hapsight.explain.gradients import gradient_times_input, input_gradient
        from hapsight.explain.ism import ism_window

        gene, window = self.gene, ism_window(self.gene, valuer)
        codes = self.reference.fetch(window.interval)[None]  # (1, L)
        with at_gene(gene.gene_id):
            found = input_gradient(valuer, reverse_complement(codes) if window.reverse else codes)
        forward = found[..., ::-1, ::-1] if window.reverse else found
        worth = np.where(codes == N_CODE, np.nan, gradient_times_input(forward, codes)[0])  # (T, L)
        for name, values in zip(self.tracks, worth, strict=True):
            stem = self.path.with_name(file_name(gene.gene_id, name, *self.words[1:]))
            shown = track_path(stem, self.shown)
            if shown is not None:
                write_track(shown, window.interval, values, self.reference.contigs[gene.contig])
        read_out = self.values.read_out.name
        labels = array_labels(gene, window.interval, self.model, read_out, self.tracks, self.key)
        save_array(self.path, "gradient", forward[0].transpose(2, 1, 0).astype(np.float32), labels)


def gradient_unit(opened: Opened, run: ModelRun, gene: Gene) -> GradientUnit:
    """The work of a gene."""
    folder = opened.folder.explain(run.label, run.read_out.name).folder / "gradients"
    key = _gradient_key(opened, run, gene)
    words = name_beside(folder, (gene.gene_id,), key)
    return GradientUnit(
        gene=gene,
        reference=opened.cohort.reference,
        values=ValuerSource.of(opened, run),
        model=run.label,
        tracks=run.track_names,
        shown=opened.config.explain.tracks,
        path=folder / file_name(*words, suffix=".zarr"),
        words=words,
        key=key,
    )


def _gradient_key(opened: Opened, run: ModelRun, gene: Gene) -> str:
    """Digest of all that an array and its tracks depend on."""
    own = {"predict": run.gene_keys(opened, [gene])[gene.gene_id], "tracks": opened.config.explain.tracks}
    return content_key("gradients", own)
