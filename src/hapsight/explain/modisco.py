"""Sequences and attributions as TF-MoDISco's command line reads them; the program itself is not needed.

TF-MoDISco itself, by modisco-lite, which is not a dependency: motifs that recur among attributions.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.errors import InputError, MissingExtraError
from hapsight.explain.tables import MODISCO_PATTERNS
from hapsight.files import temporary_name, write_atomically

__all__ = ["consensus", "hypothetical", "read_patterns", "require_modisco", "run_modisco", "write_modisco"]


def hypothetical(saturation: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each base would contribute at each place: effects (..., L, 4) less their mean over bases."""
    return np.asarray(saturation - saturation.mean(axis=-1, keepdims=True))


def write_modisco(folder: Path, sequences: Codes, contributions: NDArray[np.float64]) -> tuple[Path, Path]:
    """Write what ``modisco motifs -s sequences.npz -a attributions.npz`` reads.

    Each file has one array of shape (n, 4, L): one-hot sequences (int8; an N is all 0), and what each base
    would contribute there (float32).

    Parameters
    ----------
    sequences
        (n, L) codes.
    contributions
        (n, L, 4), of A, C, G, T, such as `hypothetical` makes of saturation mutagenesis.

    Returns
    -------
    Both paths.

    Raises
    ------
    InputError
        Shapes do not fit each other, or a contribution is not finite.
    """
    if contributions.shape != (*sequences.shape, 4) or sequences.ndim != 2:
        raise InputError(
            "Sequences and contributions do not fit each other.",
            expected="(n, L) and (n, L, 4)",
            got=f"{sequences.shape} and {contributions.shape}",
        )
    if not np.isfinite(contributions).all():
        raise InputError(
            "A contribution is not a finite number.", got=f"{(~np.isfinite(contributions)).sum()} such"
        )
    one_hot = (sequences[:, None, :] == np.arange(4)[:, None]).astype(np.int8)
    arrays = {
        "sequences": one_hot,
        "attributions": np.ascontiguousarray(contributions.transpose(0, 2, 1), np.float32),
    }
    paths = []
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.savez_compressed(buffer, array)
        paths.append(folder / f"{name}.npz")
        write_atomically(paths[-1], buffer.getvalue())
    return paths[0], paths[1]


Float = NDArray[np.float64]

_SIGNS = {"pos_patterns": "positive", "neg_patterns": "negative"}
_TRIM = 0.3
"""Of the largest contribution of a pattern's places: what the first and the last of its consensus have."""
_COMMON = 0.5
"""Share of seqlets from which on a base stands in the consensus."""
_COMMAND_LINE = {"target_seqlet_fdr": 0.05, "n_leiden_runs": 2, "sliding_window_size": 20, "flank_size": 5}
"""What ``modisco motifs`` chooses, where the function itself chooses otherwise."""


def require_modisco() -> None:
    """Say early that it is not there.

    Raises
    ------
    MissingExtraError
        modisco-lite is not installed.
    """
    if find_spec("modiscolite") is None:
        raise MissingExtraError(
            "TF-MoDISco is run by modisco-lite.",
            got="no package modiscolite",
            fix="pip install 'hapsight[modisco]' (MIT; it brings igraph and leidenalg, which are GPL), or "
            "run it elsewhere on the files that `hapsight modisco` writes without --run",
        )


def run_modisco(folder: Path, max_seqlets: int = 2000) -> Path:
    """Find motifs in what `hapsight.explain.modisco.write_modisco` wrote, as ``modisco motifs`` does.

    Parameters
    ----------
    folder
        With ``sequences.npz`` and ``attributions.npz``.
    max_seqlets
        Seqlets of either sign that are clustered at most.

    Returns
    -------
    ``modisco.h5`` beside them, as ``modisco report`` reads it.

    Raises
    ------
    MissingExtraError
        modisco-lite is not installed.
    """
    require_modisco()
    from modiscolite.io import save_hdf5
    from modiscolite.tfmodisco import TFMoDISco

    sequences, contributions = (_loaded(folder / f"{name}.npz") for name in ("sequences", "attributions"))
    found = TFMoDISco(sequences, contributions, max_seqlets_per_metacluster=max_seqlets, **_COMMAND_LINE)
    path = folder / "modisco.h5"
    temporary = temporary_name(path)
    save_hdf5(temporary, *found, window_size=sequences.shape[1])
    temporary.replace(path)
    return path


def _loaded(path: Path) -> NDArray[np.float32]:
    """(n, L, 4)."""
    return np.ascontiguousarray(np.load(path)["arr_0"].transpose(0, 2, 1), np.float32)


def read_patterns(path: Path) -> pl.DataFrame:
    """The patterns of a ``modisco.h5``, columns `MODISCO_PATTERNS`, in the file's order."""
    import h5py

    with h5py.File(path, "r") as file:
        rows = [
            _row(sign, number, file[group][f"pattern_{number}"])
            for group, sign in _SIGNS.items()
            for number in range(len(file.get(group, ())))
        ]
    return pl.DataFrame(rows, schema=MODISCO_PATTERNS)


def _row(sign: str, number: int, pattern: Any) -> dict[str, Any]:
    frequency, contribution = np.asarray(pattern["sequence"]), np.asarray(pattern["contrib_scores"])
    return {
        "sign": sign,
        "pattern": number,
        "n_seqlets": int(pattern["seqlets/n_seqlets"][0]),
        "length": len(frequency),
        "consensus": consensus(frequency, contribution),
        "contribution": float(contribution.sum()),
    }


def consensus(frequency: Float, contribution: Float) -> str:
    """The commonest bases of a pattern, from the first place that matters to the last.

    Parameters
    ----------
    frequency
        (L, 4) share of seqlets with A, C, G, T.
    contribution
        (L, 4) of these bases, mean over seqlets. A place matters that has 0.3 of the largest, in size.

    Returns
    -------
    N stands where no base is in half of the seqlets.

    Examples
    --------
    >>> consensus(np.eye(4), np.eye(4) * [0.1, 1.0, -2.0, 0.0])
    'CG'
    """
    size = np.abs(contribution.sum(axis=1))
    kept = np.flatnonzero(size >= _TRIM * size.max())
    places = frequency[kept[0] : kept[-1] + 1]
    return "".join("ACGT"[row.argmax()] if row.max() >= _COMMON else "N" for row in places)
