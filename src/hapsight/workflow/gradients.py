"""Gradients on disk: what a little more of each base of a model's window would do to its prediction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hapsight.cohort.nouns import Gene
from hapsight.dna import N_CODE, reverse_complement
from hapsight.predict.store import content_key
from hapsight.workflow.arrays import (
    array_labels,
    has_array,
    plain_track,
    save_array,
    track_names,
    track_path,
    write_track,
)
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import ModelRun

if TYPE_CHECKING:
    from hapsight.predict.values import Valuer

__all__ = ["has_gradients", "save_gradients"]


def has_gradients(opened: Opened, run: ModelRun, gene: Gene) -> bool:
    """Whether a gene's array is there, as this configuration makes it."""
    return has_array(_path(opened, run, gene), _key(opened, run, gene))


def save_gradients(opened: Opened, run: ModelRun, gene: Gene, valuer: Valuer) -> None:
    """Save (n, 4, T) gradients on the reference, float32, and gradient times input as tracks for browsers.

    Bases are those of the forward strand. One pass forward and one back (per track, strand and shift) give
    every place, so they are of the whole window, and of the bases that shifts add to it. The array is renamed
    into place last, so where it is, the tracks are.

    Raises
    ------
    ConfigError
        The model gives no gradients.
    MissingExtraError
        zarr is not installed, or bigWig is asked for and pyBigWig is not.
    """
    from hapsight.explain.gradients import gradient_times_input, input_gradient
    from hapsight.explain.ism import ism_window

    window, path, reference = ism_window(gene, valuer), _path(opened, run, gene), opened.cohort.reference
    codes = reference.fetch(window.interval)[None]  # (1, L)
    found = input_gradient(valuer, reverse_complement(codes) if window.reverse else codes)  # (1, T, 4, L)
    forward = found[..., ::-1, ::-1] if window.reverse else found
    worth = np.where(codes == N_CODE, np.nan, gradient_times_input(forward, codes)[0])  # (T, L)
    names = track_names(run)
    for name, values in zip(names, worth, strict=True):
        stem = path.with_name(f"{gene.gene_id}.{plain_track(name)}")
        shown = track_path(stem, opened.config.explain.tracks)
        if shown is not None:
            write_track(shown, window.interval, values, reference.contigs[gene.contig])
    labels = array_labels(gene, window.interval, run, names, _key(opened, run, gene))
    save_array(path, forward[0].transpose(2, 1, 0).astype(np.float32), labels)


def _path(opened: Opened, run: ModelRun, gene: Gene) -> Path:
    folder = opened.folder.explain(run.label, run.read_out.name).folder
    return folder / "gradients" / f"{gene.gene_id}.zarr"


def _key(opened: Opened, run: ModelRun, gene: Gene) -> str:
    """Digest of all that an array and its tracks depend on."""
    own = {"predict": run.unit_key(opened, [gene]), "tracks": opened.config.explain.tracks}
    return content_key({"stage": "gradients", **own})
