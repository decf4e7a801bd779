"""Saturation mutagenesis on disk: what every base around a gene's TSS, or its main driver, is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval
from hapsight.predict.store import content_key
from hapsight.workflow.arrays import (
    array_labels,
    has_array,
    open_array,
    save_array,
    track_names,
    track_path,
    write_track,
)
from hapsight.workflow.centres import Centre, tss_centre
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import ModelRun

if TYPE_CHECKING:
    from hapsight.predict.values import Valuer

__all__ = [
    "Saturation",
    "has_saturation",
    "save_saturation",
    "stored_around_tss",
    "stored_saturation",
    "stretch_around",
    "strongest",
]

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


def has_saturation(opened: Opened, run: ModelRun, gene: Gene, centre: Centre) -> bool:
    """Whether the array of a gene and centre is there, as this configuration makes it."""
    return has_array(_path(opened, run, gene, centre), _key(opened, run, gene, centre))


def stored_saturation(opened: Opened, run: ModelRun, gene: Gene, centre: Centre) -> Saturation | None:
    """A gene's saturation mutagenesis; None where it is not asked for, or not there yet.

    Raises
    ------
    MissingExtraError
        zarr is not installed.
    """
    if opened.config.explain.saturation is None or not has_saturation(opened, run, gene, centre):
        return None
    array = open_array(_path(opened, run, gene, centre))
    labels, start = dict(array.attrs), int(array.attrs["start"])
    stretch = Interval(str(labels["contig"]), start, start + array.shape[0])
    return Saturation(stretch, np.asarray(array[:], np.float64), tuple(map(str, labels["tracks"])))


def stored_around_tss(opened: Opened, run: ModelRun, gene: Gene) -> Saturation | None:
    """The same around the TSS; None where the configuration wants it around drivers."""
    if opened.config.explain.saturation_around != "tss":
        return None
    return stored_saturation(opened, run, gene, tss_centre(run, gene))


def save_saturation(
    opened: Opened, run: ModelRun, gene: Gene, valuer: Valuer, centres: Sequence[Centre]
) -> None:
    """Compute the effect of every base in the stretch around one place, and save it for each of its centres.

    Each array is renamed into place last, so where it is, its browser tracks are.

    Parameters
    ----------
    centres
        Of one position: the TSS of all tracks, or the driver of each track that has it there.
    """
    from hapsight.explain.ism import saturation

    stretch = stretch_around(opened, gene, centres[0])
    effect = saturation(gene, stretch, valuer, opened.cohort.reference.fetch)
    names = track_names(run)
    for centre in centres:
        own = effect[..., [names.index(name) for name in centre.tracks]]
        _save(opened, run, gene, centre, Saturation(stretch, own, centre.tracks))


def _save(opened: Opened, run: ModelRun, gene: Gene, centre: Centre, found: Saturation) -> None:
    """The tracks for browsers, then the array."""
    path = _path(opened, run, gene, centre)
    for name in found.tracks:
        shown = track_path(path.with_name(centre.track_stem(gene, name)), opened.config.explain.tracks)
        if shown is not None:
            length = opened.cohort.reference.contigs[found.stretch.contig]
            write_track(shown, found.stretch, strongest(found.of(name)), length)
    key = _key(opened, run, gene, centre)
    labels = array_labels(gene, found.stretch, run, found.tracks, key) | centre.labels()
    save_array(path, found.effect, labels)


def strongest(effect: Float) -> Float:
    """(n,) of (n, 4) effects, the largest in size at each position, with its sign; NaN where unknown."""
    best = np.argmax(np.nan_to_num(np.abs(effect), nan=-1.0), axis=1)
    return np.asarray(np.take_along_axis(effect, best[:, None], axis=1)[:, 0])


def _path(opened: Opened, run: ModelRun, gene: Gene, centre: Centre) -> Path:
    """An array (n, 4, T), in Zarr format 3."""
    folder = opened.folder.explain(run.label, run.read_out.name).folder
    return folder / "saturation" / f"{centre.array_stem(gene)}.zarr"


def _key(opened: Opened, run: ModelRun, gene: Gene, centre: Centre) -> str:
    """Digest of all that an array and its tracks depend on."""
    options = opened.config.explain.model_dump(mode="json", include={"saturation", "tracks"})
    own = {"predict": run.unit_key(opened, [gene]), "options": options, "centre": asdict(centre)}
    return content_key({"stage": "saturation", **own})
