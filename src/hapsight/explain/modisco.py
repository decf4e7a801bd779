"""Sequences and attributions as TF-MoDISco's command line reads them; the program itself is not needed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hapsight.disk import write_atomically
from hapsight.dna import Codes
from hapsight.errors import InputError

__all__ = ["hypothetical", "write_modisco"]


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
