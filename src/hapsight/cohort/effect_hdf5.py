"""Effects of variants in HDF5, Borzoi's ``sed.h5`` and Enformer's and Basenji's ``sad.h5``; their tracks."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.tables import require_file
from hapsight.errors import InputError, Listed, MissingExtraError

if TYPE_CHECKING:
    import h5py

__all__ = ["MOST_TRACKS", "places_of_tracks", "read_score_hdf5"]

MOST_TRACKS: Final = 64
"""Tracks of a file that are taken where none are asked for by name: each has statistics of its own."""

_WHAT: Final = "effects"
_STATS: Final = {"sed": ("logSED", "SED"), "sad": ("SAD",)}
_COLUMNS: Final = (
    *("si", "gene", "snp", "chr", "pos", "ref_allele", "ref", "alt_allele", "alt"),
    *("target_ids", "target_labels"),
)
_ROWS: Final = 4096
"""Rows of a matrix that are read at a time."""
_SECONDS: Final = 600
"""That another process may take to read an HDF5 file through."""
_UNPACKED: Final = 200
"""Times that what is read may be longer than the file, as of text."""
_TRY: Final = """
import json, os, sys, h5py
path, most, names, of_genes, others = map(json.loads, sys.argv[1:])
most = max(2**28, most * os.path.getsize(path))
def tried(file, name):
    if file.get(name, getclass=True, getlink=True) not in (None, h5py.HardLink):
        raise ValueError(f"{name} is a link to elsewhere")
    data = file.get(name)
    if not isinstance(data, h5py.Dataset):
        return False
    if data.external or data.is_virtual:
        raise ValueError(f"{name} points to another file")
    if data.nbytes > most:
        raise ValueError(f"{name} unpacks to {data.nbytes:,} bytes, more than {most:,}")
    for start in range(0, len(data) if data.shape else 0, 4096):
        data[start : start + 4096]
    return len(data.shape) == 2
with h5py.File(path, "r") as file:
    for name in names:
        tried(file, name)
    any(tried(file, name) for name in (of_genes if "si" in file and "gene" in file else others))
"""
"""What another process runs: reads the columns, and of the scores those that `_matrix` takes."""


def read_score_hdf5(path: Path, value: str | None, tracks: Sequence[str]) -> pl.DataFrame:
    """Rows of a file of scores, one for each variant (and gene, where it has genes) and chosen target.

    Parameters
    ----------
    value
        The dataset; else ``logSED`` or ``SED`` where there are genes, and ``SAD`` where there are not.
    tracks
        Identifiers or labels of targets; all where empty.

    Raises
    ------
    InputError
        It is no such file, or has too many targets of which none are chosen.
    MissingExtraError
        h5py is not installed.
    """
    require_file(path, _WHAT)
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "h5py is not installed, and effects in HDF5 need it.", fix="pip install 'hapsight[models]'"
        ) from error
    _require_readable(path, value)
    try:
        with h5py.File(path, "r") as file:
            return _scores(file, path, value, tracks)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise _no_scores(path, error) from error


def _stats(value: str | None, of_genes: bool) -> tuple[str, ...]:
    """The scores that will do, the best first."""
    return (value,) if value else _STATS["sed" if of_genes else "sad"]


def _require_readable(path: Path, value: str | None) -> None:
    """Let another process read the file first, since a damaged one may end a process, or keep it for ever."""
    given = (str(path), _UNPACKED, _COLUMNS, _stats(value, True), _stats(value, False))
    command = [sys.executable, "-c", _TRY, *map(json.dumps, given)]
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise _no_scores(path, f"not read through in {_SECONDS} seconds") from None
    if tried.returncode:
        said = tried.stderr.strip().splitlines()
        raise _no_scores(path, said[-1] if said else f"its reader ended with {tried.returncode}")


def _no_scores(path: Path, got: object) -> InputError:
    return InputError(
        "The file of effects is no HDF5 of variant scores that can be read.",
        where=path,
        expected="snp, chr, pos, ref_allele (or ref), alt_allele (or alt), target_ids, target_labels, and "
        "SAD, or si, gene and SED",
        got=got,
    )


def _scores(file: h5py.File, path: Path, value: str | None, tracks: Sequence[str]) -> pl.DataFrame:
    of_genes = "si" in file and "gene" in file
    scores = _matrix(file, path, value, of_genes)
    ids, labels = _texts(file, "target_ids"), _texts(file, "target_labels")
    chosen = places_of_tracks(path, (ids, labels), tracks)
    names = _distinct_names(ids, labels)
    variants = pl.DataFrame(
        {
            "rsid": _texts(file, "snp") if "snp" in file else None,
            "chrom": _texts(file, "chr"),
            "pos": np.asarray(file["pos"], np.int64),
            "ref": _texts(file, "ref_allele" if "ref_allele" in file else "ref"),
            "alt": _texts(file, "alt_allele" if "alt_allele" in file else "alt"),
        }
    )
    if of_genes:
        place = np.asarray(file["si"], np.int64)
        if len(place) and not (place.min() >= 0 and place.max() < len(variants)):
            raise ValueError(f"si names variants up to {place.max()} of {len(variants)}")
        variants = variants[place].with_columns(gene_id=pl.Series(_texts(file, "gene"), dtype=pl.String))
    values = _columns(scores, chosen)
    if len(values) != len(variants):
        raise ValueError(f"{len(values)} rows of scores for {len(variants)} variants")
    tables = [
        variants.with_columns(track=pl.lit(names[i]), effect=pl.Series(values[:, t]))
        for t, i in enumerate(chosen)
    ]
    return pl.concat(tables)


def _matrix(file: h5py.File, path: Path, value: str | None, of_genes: bool) -> h5py.Dataset:
    """The scores that are wanted, rows x targets."""
    import h5py

    links = {name: file.get(name, getclass=True, getlink=True) for name in file}
    own = [name for name, link in links.items() if link is h5py.HardLink]
    there = [name for name in own if len(getattr(file[name], "shape", ())) == 2]
    stats = _stats(value, of_genes)
    name = next((name for name in stats if name in there), None)
    if name is None:
        raise InputError(
            "The file of effects lacks the scores that are wanted.",
            where=path,
            expected=" or ".join(stats),
            got=", ".join(there) or f"no matrix among {', '.join(list(file)[:10])}",
            fix=f"set value = {there[0]!r} under [[models]]" if there else None,
        )
    return file[name]


def _columns(scores: h5py.Dataset, chosen: Sequence[int]) -> NDArray[np.float64]:
    """(R, T) float64 of the chosen targets."""
    blocks = [
        scores[start : start + _ROWS][:, list(chosen)].astype(np.float64)
        for start in range(0, scores.shape[0], _ROWS)
    ]
    return np.concatenate(blocks) if blocks else np.empty((0, len(chosen)))


def _texts(file: h5py.File, name: str) -> list[str]:
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for value in np.asarray(file[name]).tolist()
    ]


def _distinct_names(ids: Sequence[str], labels: Sequence[str]) -> list[str]:
    """What each target is called: its label, with the identifier where others have that label too."""
    times = Counter(labels)
    pairs = list(zip(ids, labels, strict=True))
    named = [label if times[label] == 1 else f"{label} ({identifier})" for identifier, label in pairs]
    again = Counter(named)
    return [name if again[name] == 1 else f"{name} #{i}" for i, name in enumerate(named)]


def places_of_tracks(path: Path, names: Sequence[Sequence[str]], wanted: Sequence[str]) -> list[int]:
    """Which of a file's tracks are wanted, each known by several names (its identifier and its label).

    Raises
    ------
    InputError
        There is no such track; or there are more than `MOST_TRACKS`, and none are chosen.
    """
    count = len(names[0])
    if not wanted and count > MOST_TRACKS:
        raise InputError(
            f"The file has {count:,} tracks, each of which would have statistics of its own.",
            where=path,
            expected=f"tracks by name, or a file of up to {MOST_TRACKS}",
            got=Listed(", ".join(names[-1][:5]) + " ..."),
            fix=f"choose some under [[models]], such as tracks = [{names[0][0]!r}]",
        )
    if not wanted:
        return list(range(count))
    lower = [[name.lower() for name in kind] for kind in names]
    found: list[int] = []
    for name in wanted:
        here = [i for i in range(count) if any(kind[i] == name.lower() for kind in lower)]
        if not here:
            raise _no_track(path, name, [name for kind in names for name in kind])
        found += [i for i in here if i not in found]
    return found


def _no_track(path: Path, name: str, names: Sequence[str]) -> InputError:
    close = difflib.get_close_matches(name, names, 3, 0.4) or list(dict.fromkeys(names))[:5]
    return InputError(
        "The effects have no such track.", where=path, expected=Listed(", ".join(close)), got=repr(name)
    )
