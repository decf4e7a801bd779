"""Numbers of every base of a stretch on disk: an array per gene, and tracks for genome browsers."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval
from hapsight.errors import MissingExtraError
from hapsight.files import file_name, temporary_name, write_atomically

__all__ = [
    "array_labels",
    "has_array",
    "name_beside",
    "open_array",
    "save_array",
    "track_path",
    "write_track",
]

Float = NDArray[np.float64]

_DIMENSIONS = ("position", "base", "track")

_SUFFIX = {"bedgraph": ".bedgraph", "bigwig": ".bw"}


def array_labels(
    gene: Gene, stretch: Interval, model: str, read_out: str, tracks: Sequence[str], key: str
) -> dict[str, Any]:
    """Attributes of the group of an array (n, 4, T): whose it is, where it lies, its axes, and its key."""
    return {
        "gene_id": gene.gene_id,
        "contig": stretch.contig,
        "start": stretch.start,
        "strand": gene.strand.value if gene.strand else None,
        "model": model,
        "read_out": read_out,
        "bases": "ACGT",
        "tracks": list(tracks),
        "key": key,
    }


def has_array(path: Path, key: str) -> bool:
    """Whether an array is there, and was made from the inputs of this key."""
    return _key_of(path) == key


def name_beside(folder: Path, words: tuple[str, ...], key: str) -> tuple[str, ...]:
    """What an array and its tracks are called by: `words`; with a digest of the key where these are taken."""
    if _key_of(folder / file_name(*words, suffix=".zarr")) in (None, key):
        return words
    return (*words, hashlib.sha256(key.encode()).hexdigest()[:12])


def _key_of(path: Path) -> str | None:
    """The key of an array; None where there is none that can be read."""
    try:
        return str(json.loads((path / "zarr.json").read_bytes())["attributes"]["key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def open_array(path: Path) -> tuple[Any, dict[str, Any]]:
    """The (n, 4, T) array of a store, to read, and its labels.

    Raises
    ------
    MissingExtraError
        zarr is not installed.
    """
    group = _zarr().open_group(path, mode="r")
    return next(array for _, array in group.arrays() if array.ndim == len(_DIMENSIONS)), dict(group.attrs)


def save_array(path: Path, name: str, values: NDArray[Any], labels: dict[str, Any]) -> None:
    """Write (n, 4, T) `values` as a Zarr group, format 3, that xarray opens; to a temporary folder, renamed.

    Several processes, of several hosts, may write one array: the last keeps its own, which is the same.

    Parameters
    ----------
    name
        Of the array; beside it are the coordinates of its axes: position, base, track.
    labels
        Of `array_labels`; attributes of the group.

    Raises
    ------
    MissingExtraError
        zarr is not installed.
    """
    zarr = _zarr()
    position = labels["start"] + np.arange(len(values), dtype=np.int64)
    axes = dict(
        zip(_DIMENSIONS, (position, np.array(list(labels["bases"])), np.array(labels["tracks"])), strict=True)
    )
    temporary = temporary_name(path)
    try:
        group = zarr.create_group(temporary, attributes=labels)
        for axis, found in axes.items():
            _put(group, axis, found, [axis])
        _put(group, name, values, _DIMENSIONS)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
            zarr.consolidate_metadata(temporary)
        _replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(group: Any, name: str, values: NDArray[Any], dimensions: Sequence[str]) -> None:
    """An array of numbers or of text (which Zarr has without a fixed length only), with names of its axes."""
    kind = "str" if values.dtype.kind == "U" else values.dtype
    group.create_array(name, shape=values.shape, dtype=kind, dimension_names=dimensions)[:] = values


def _replace(temporary: Path, path: Path) -> None:
    """Rename a folder; one that is in its place is first moved away, as a whole."""
    old = temporary_name(path)
    with suppress(FileNotFoundError):
        path.replace(old)
    try:
        temporary.replace(path)
    except OSError:  # another process came in between
        if not path.is_dir():
            raise
    shutil.rmtree(old, ignore_errors=True)


def track_path(stem: Path, kind: str) -> Path | None:
    """The file of a browser's track, by its name without suffix; None where `kind` is ``"none"``."""
    return stem.with_name(stem.name + _SUFFIX[kind]) if kind in _SUFFIX else None


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
    temporary = temporary_name(path)
    with pyBigWig.open(str(temporary), "w") as file:
        file.addHeader([(contig, length)])
        if len(starts):
            ends = (starts + 1).tolist()
            file.addEntries([contig] * len(starts), starts.tolist(), ends=ends, values=values.tolist())
    temporary.replace(path)


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise _missing("zarr", "Numbers of every base are saved with zarr.") from None
    return zarr


def _missing(package: str, what: str) -> MissingExtraError:
    return MissingExtraError(what, got=f"no package {package}", fix="pip install 'hapsight[explain]'")
