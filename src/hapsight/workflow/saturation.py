"""Saturation mutagenesis on disk: an array per gene, and a track for genome browsers."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval
from hapsight.cohort.reference import Reference
from hapsight.config import ExplainConfig
from hapsight.errors import MissingExtraError
from hapsight.predict.store import write_atomically
from hapsight.workflow.predict import ModelRun

if TYPE_CHECKING:
    from hapsight.predict.values import Valuer

__all__ = [
    "Saturation",
    "array_path",
    "has_saturation",
    "plain_track",
    "read_saturation",
    "save_saturation",
    "strongest",
    "write_track",
]

Float = NDArray[np.float64]

_SUFFIX = {"bedgraph": ".bedgraph", "bigwig": ".bw"}


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


def array_path(folder: Path, gene: Gene) -> Path:
    """A gene's array (n, 4, T), in Zarr format 3."""
    return folder / "saturation" / f"{gene.gene_id}.zarr"


def has_saturation(folder: Path, gene: Gene, key: str) -> bool:
    """Whether a gene's array is there, and was made from the inputs of this key."""
    try:
        found = json.loads((array_path(folder, gene) / "zarr.json").read_bytes())
        return bool(found["attributes"]["key"] == key)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_saturation(folder: Path, gene: Gene, key: str) -> Saturation | None:
    """A gene's saturation mutagenesis; None where there is none that was made from the inputs of this key.

    Raises
    ------
    MissingExtraError
        zarr is not installed.
    """
    if not has_saturation(folder, gene, key):
        return None
    array = _zarr().open_array(array_path(folder, gene), mode="r")
    labels, start = dict(array.attrs), int(array.attrs["start"])
    stretch = Interval(str(labels["contig"]), start, start + array.shape[0])
    return Saturation(stretch, np.asarray(array[:], np.float64), tuple(map(str, labels["tracks"])))


def save_saturation(
    folder: Path,
    gene: Gene,
    key: str,
    run: ModelRun,
    valuer: Valuer,
    reference: Reference,
    options: ExplainConfig,
) -> None:
    """Compute and save the effect of every base in the configured stretch around a gene's TSS.

    The array is renamed into place last, so where it is, the tracks are.
    """
    from hapsight.explain.ism import saturation, saturation_stretch

    assert options.saturation is not None
    stretch = saturation_stretch(gene, *options.saturation)
    effect = saturation(gene, stretch, valuer, reference.fetch)
    names = [run.model.tracks[index].name for index in run.read_out.tracks]
    labels: dict[str, Any] = {
        "gene_id": gene.gene_id,
        "contig": stretch.contig,
        "start": stretch.start,
        "strand": gene.strand.value if gene.strand else None,
        "model": run.label,
        "read_out": run.read_out.name,
        "bases": "ACGT",
        "tracks": names,
        "key": key,
    }
    suffix = _SUFFIX.get(options.tracks)
    for t, name in enumerate(names if suffix else ()):
        path = folder / "saturation" / f"{gene.gene_id}.{plain_track(name)}{suffix}"
        write_track(path, stretch, strongest(effect[..., t]), reference.contigs[stretch.contig])
    _save_array(array_path(folder, gene), effect, labels)


def plain_track(name: str) -> str:
    """A track's name as part of a file's."""
    return "".join(c if c.isalnum() else "-" for c in name)


def strongest(effect: Float) -> Float:
    """(n,) of (n, 4) effects, the largest in size at each position, with its sign; NaN where unknown."""
    best = np.argmax(np.nan_to_num(np.abs(effect), nan=-1.0), axis=1)
    return np.asarray(np.take_along_axis(effect, best[:, None], axis=1)[:, 0])


def write_track(path: Path, stretch: Interval, values: Float, contig_length: int) -> None:
    """Write (n,) values, one per base, as bigWig (``.bw``) or bedGraph; NaN leaves a gap.

    Raises
    ------
    MissingExtraError
        bigWig is asked for and pyBigWig is not installed.
    """
    starts = np.arange(stretch.start, stretch.end)
    shown = ~np.isnan(values) & (starts >= 0) & (starts < contig_length)
    starts, values = starts[shown], values[shown]
    if path.suffix == ".bw":
        _write_bigwig(path, stretch.contig, contig_length, starts, values)
        return
    rows = zip(starts.tolist(), values.tolist(), strict=True)
    lines = [f"{stretch.contig}\t{start}\t{start + 1}\t{value:.6g}\n" for start, value in rows]
    write_atomically(path, "".join(lines).encode())


def _write_bigwig(path: Path, contig: str, length: int, starts: NDArray[np.int64], values: Float) -> None:
    try:
        import pyBigWig
    except ImportError:
        raise _missing("pyBigWig", "bigWig files need pyBigWig.") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with pyBigWig.open(str(temporary), "w") as file:
        file.addHeader([(contig, length)])
        if len(starts):
            ends = (starts + 1).tolist()
            file.addEntries([contig] * len(starts), starts.tolist(), ends=ends, values=values.tolist())
    temporary.replace(path)


def _save_array(path: Path, values: Float, labels: dict[str, Any]) -> None:
    """Write a Zarr array to a temporary folder and rename it."""
    zarr = _zarr()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    array = zarr.create_array(temporary, shape=values.shape, dtype=values.dtype, attributes=labels)
    array[:] = values
    shutil.rmtree(path, ignore_errors=True)
    temporary.replace(path)


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise _missing("zarr", "Saturation mutagenesis is saved with zarr.") from None
    return zarr


def _missing(package: str, what: str) -> MissingExtraError:
    return MissingExtraError(what, got=f"no package {package}", fix="pip install 'hapsight[explain]'")
