"""Numbers of every base of a stretch on disk: an array per gene, and tracks for genome browsers."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval
from hapsight.disk import temporary_name
from hapsight.errors import MissingExtraError
from hapsight.files import file_name
from hapsight.predict.store import write_atomically

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

_SUFFIX = {"bedgraph": ".bedgraph", "bigwig": ".bw"}


def array_labels(
    gene: Gene, stretch: Interval, model: str, read_out: str, tracks: Sequence[str], key: str
) -> dict[str, Any]:
    """Attributes of an array (n, 4, T): whose it is, where it lies, what its axes are, and its key."""
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


def open_array(path: Path) -> Any:
    """A Zarr array, to read.

    Raises
    ------
    MissingExtraError
        zarr is not installed.
    """
    return _zarr().open_array(path, mode="r")


def save_array(path: Path, values: NDArray[Any], labels: dict[str, Any]) -> None:
    """Write a Zarr array, format 3, to a temporary folder and rename it.

    Several processes, of several hosts, may write one array: the last keeps its own, which is the same.

    Raises
    ------
    MissingExtraError
        zarr is not installed.
    """
    zarr = _zarr()
    temporary = temporary_name(path)
    try:
        array = zarr.create_array(temporary, shape=values.shape, dtype=values.dtype, attributes=labels)
        array[:] = values
        _replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
