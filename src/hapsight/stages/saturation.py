"""Saturation mutagenesis on disk: what every base around a gene's TSS, or its main driver, is worth.

What the stretches of saturation mutagenesis are counted from: a gene's TSS, or its main driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval
from hapsight.cohort.reference import Reference
from hapsight.errors import IncompleteError
from hapsight.explain.tables import DRIVERS
from hapsight.files import file_name
from hapsight.run.arms import rows_with
from hapsight.run.arrays import (
    array_labels,
    has_array,
    name_beside,
    open_array,
    save_array,
    track_path,
    write_track,
)
from hapsight.run.models import ModelCard
from hapsight.run.opened import Opened
from hapsight.run.store import content_key
from hapsight.stages.predict import ModelRun
from hapsight.stages.valued_units import ValuerSource

if TYPE_CHECKING:
    from hapsight.engine.engine import Valuer

__all__ = [
    "Centre",
    "Saturation",
    "SaturationUnit",
    "centres",
    "has_saturation",
    "main_drivers",
    "saturation_unit",
    "stored_around_tss",
    "stored_saturation",
    "stretch_around",
    "strongest",
    "tss_centre",
]

_FORM: Final = "sasse2023"
"""The published form of a driver that is meant where only one can be, as on gene pages."""


@dataclass(frozen=True, slots=True)
class Centre:
    """A place on a gene's contig, and the tracks that look at the bases around it.

    Attributes
    ----------
    position
        0-based; of a driver, the position of its record.
    variant
        A driver as ``(variant_id, ref, alt)``; None for the TSS.
    """

    around: Literal["tss", "driver"]
    position: int
    tracks: tuple[str, ...]
    variant: tuple[str, str, str] | None = None

    def words(self, gene: Gene) -> tuple[str, ...]:
        """What the array of a gene is called by: tracks share the TSS, each has its driver."""
        return (gene.gene_id,) if self.around == "tss" else (gene.gene_id, self.tracks[0], "driver")

    def track_stem(self, words: tuple[str, ...], track: str) -> str:
        """What a track for browsers is called, without suffix, beside an array that is called by `words`."""
        gene_id, *others = words
        return file_name(gene_id, *((track, *others) if self.around == "tss" else others))

    def labels(self) -> dict[str, Any]:
        """Attributes of the array."""
        found: dict[str, Any] = {"around": self.around, "centre": self.position}
        if self.variant is not None:
            found |= dict(zip(("variant_id", "ref", "alt"), self.variant, strict=True))
        return found


def tss_centre(run: ModelCard, gene: Gene) -> Centre:
    """A gene's TSS, one for all tracks."""
    return Centre("tss", gene.tss, run.track_names)


def centres(opened: Opened, run: ModelCard, track: str) -> dict[str, Centre]:
    """What is configured for each gene of the cohort, by ``gene_id``; genes without a driver are not there.

    Raises
    ------
    IncompleteError
        Drivers are wanted and were not looked for.
    """
    if opened.config.explain.saturation_around == "tss":
        return {gene.gene_id: tss_centre(run, gene) for gene in opened.cohort.genes}
    found = main_drivers(opened, run, track).drop_nulls("position")
    return {row["gene_id"]: _driver(row, track) for row in found.iter_rows(named=True)}


def main_drivers(opened: Opened, run: ModelCard, track: str) -> pl.DataFrame:
    """One row per explained gene with the main driver of a model and track; null where it has none.

    Raises
    ------
    IncompleteError
        Drivers were not looked for.
    """
    opened.require_current("drivers")
    path = opened.folder.path / "explain" / "drivers.parquet"
    labels = run.labels(opened.config.protocol, track) | {"form": _FORM}
    if path.exists():
        table = pl.read_parquet(path, columns=list(DRIVERS))
        own = rows_with(table, labels)
        if not own.is_empty():
            return own
    raise IncompleteError(
        "Saturation mutagenesis is wanted around drivers, which are not known yet.",
        where=path,
        expected=f"rows of {labels['model']}, read-out {labels['read_out']}",
        got="none" if path.exists() else "no such table",
        fix="run `hapsight drivers` with this configuration, then `hapsight explain` again: effects are kept",
    )


def _driver(row: dict[str, Any], track: str) -> Centre:
    return Centre("driver", row["position"], (track,), (row["variant_id"], row["ref"], row["alt"]))


Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Saturation:
    """A gene's saturation mutagenesis as it was saved.

    Attributes
    ----------
    effect
        (n, 4, T) of A, C, G, T of the forward strand at the n positions of `stretch`; NaN where it is N.
    tracks
        Names of the T tracks.
    """

    stretch: Interval
    effect: Float
    tracks: tuple[str, ...]

    def of(self, track: str) -> Float:
        """(n, 4) effects on one track."""
        return self.effect[..., self.tracks.index(track)]


def stretch_around(opened: Opened, gene: Gene, centre: Centre) -> Interval:
    """The configured stretch, counted from a centre in the direction of transcription."""
    from hapsight.explain.ism import saturation_stretch

    assert opened.config.explain.saturation is not None
    return saturation_stretch(gene, *opened.config.explain.saturation, centre.position)


def has_saturation(opened: Opened, run: ModelCard, gene: Gene, centre: Centre) -> bool:
    """Whether the array of a gene and centre is there, as this configuration makes it."""
    return has_array(_path(opened, run, gene, centre), _key(opened, run, gene, centre))


def stored_saturation(opened: Opened, run: ModelCard, gene: Gene, centre: Centre) -> Saturation | None:
    """A gene's saturation mutagenesis; None where it is not asked for, or not there yet.

    Raises
    ------
    MissingExtraError
        zarr is not installed.
    """
    if opened.config.explain.saturation is None or not has_saturation(opened, run, gene, centre):
        return None
    array, labels = open_array(_path(opened, run, gene, centre))
    start = int(labels["start"])
    stretch = Interval(str(labels["contig"]), start, start + array.shape[0])
    return Saturation(stretch, np.asarray(array[:], np.float64), tuple(map(str, labels["tracks"])))


def stored_around_tss(opened: Opened, run: ModelCard, gene: Gene) -> Saturation | None:
    """The same around the TSS; None where the configuration wants it around drivers."""
    if opened.config.explain.saturation_around != "tss":
        return None
    return stored_saturation(opened, run, gene, tss_centre(run, gene))


@dataclass(frozen=True, slots=True, eq=False)
class _Array:
    """Where the array of one centre goes, and its attributes; the key is one of them."""

    centre: Centre
    path: Path
    words: tuple[str, ...]
    labels: dict[str, Any]

    def done(self) -> bool:
        return has_array(self.path, self.labels["key"])


@dataclass(frozen=True, slots=True, eq=False)
class SaturationUnit:
    """All that a process needs to exchange every base of a stretch, for each centre of its place.

    Attributes
    ----------
    tracks
        Of the read-out, in its order.
    shown
        What files for browsers are wanted: that of ``[explain] tracks``.
    """

    gene: Gene
    stretch: Interval
    reference: Reference
    values: ValuerSource
    tracks: tuple[str, ...]
    shown: str
    arrays: tuple[_Array, ...]

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"saturation of {self.gene.gene_id}"

    def done(self) -> bool:
        """Whether all arrays are there."""
        return all(array.done() for array in self.arrays)

    def save(self, valuer: Valuer) -> None:
        """Compute the effect of every base, once, and save it for each centre.

        Each array is renamed into place last, so where it is, its browser tracks are.

        Raises
        ------
        MissingExtraError
            zarr is not installed, or bigWig is asked for and pyBigWig is not.
        """
        from hapsight.explain.ism import saturation

        effect = saturation(self.gene, self.stretch, valuer, self.reference.fetch)
        for array in self.arrays:
            names = array.centre.tracks
            own = effect[..., [self.tracks.index(name) for name in names]]
            self._save(array, Saturation(self.stretch, own, names))

    def _save(self, array: _Array, found: Saturation) -> None:
        """The tracks for browsers, then the array."""
        for name in found.tracks:
            stem = array.path.with_name(array.centre.track_stem(array.words, name))
            shown = track_path(stem, self.shown)
            if shown is not None:
                length = self.reference.contigs[found.stretch.contig]
                write_track(shown, found.stretch, strongest(found.of(name)), length)
        save_array(array.path, "effect", found.effect, array.labels)


def saturation_unit(opened: Opened, run: ModelRun, gene: Gene, centres: Sequence[Centre]) -> SaturationUnit:
    """The work of a gene around one place.

    Parameters
    ----------
    centres
        Of one position: the TSS of all tracks, or the driver of each track that has it there.
    """
    stretch = stretch_around(opened, gene, centres[0])
    return SaturationUnit(
        gene=gene,
        stretch=stretch,
        reference=opened.cohort.reference,
        values=ValuerSource.of(opened, run),
        tracks=run.track_names,
        shown=opened.config.explain.tracks,
        arrays=tuple(_array(opened, run, gene, stretch, centre) for centre in centres),
    )


def _array(opened: Opened, run: ModelCard, gene: Gene, stretch: Interval, centre: Centre) -> _Array:
    key = _key(opened, run, gene, centre)
    labels = array_labels(gene, stretch, run.label, run.read_out.name, centre.tracks, key)
    words = _words(opened, run, gene, centre)
    return _Array(centre, _path(opened, run, gene, centre), words, labels | centre.labels())


def strongest(effect: Float) -> Float:
    """(n,) of (n, 4) effects, the largest in size at each position, with its sign; NaN where unknown."""
    best = np.argmax(np.nan_to_num(np.abs(effect), nan=-1.0), axis=1)
    return np.asarray(np.take_along_axis(effect, best[:, None], axis=1)[:, 0])


def _path(opened: Opened, run: ModelCard, gene: Gene, centre: Centre) -> Path:
    """A Zarr group, format 3, of an array (n, 4, T) and its coordinates."""
    return _folder(opened, run) / file_name(*_words(opened, run, gene, centre), suffix=".zarr")


def _folder(opened: Opened, run: ModelCard) -> Path:
    return opened.folder.explain(run.label, run.read_out.name).folder / "saturation"


def _words(opened: Opened, run: ModelCard, gene: Gene, centre: Centre) -> tuple[str, ...]:
    key = _key(opened, run, gene, centre)
    return name_beside(_folder(opened, run), centre.words(gene), key)


def _key(opened: Opened, run: ModelCard, gene: Gene, centre: Centre) -> str:
    """Digest of all that an array and its tracks depend on."""
    options = opened.config.explain.model_dump(mode="json", include={"saturation", "tracks"})
    own = {
        "predict": run.gene_keys(opened, [gene])[gene.gene_id],
        "options": options,
        "centre": asdict(centre),
    }
    return content_key("saturation", own)
