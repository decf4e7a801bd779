"""DNA as small integers: A, C, G, T are 0 to 3 and everything else is 4 (N). Names of one contig."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
"""DNA codes, uint8, 0..4 for A, C, G, T, N; any shape, the last axis runs along the sequence."""

ALPHABET: Final = "ACGTN"
N_CODE: Final = 4

_LETTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_ENCODE = np.full(256, N_CODE, dtype=np.uint8)
for _code, _letter in enumerate("ACGT"):
    _ENCODE[ord(_letter)] = _ENCODE[ord(_letter.lower())] = _code
_COMPLEMENT = np.array([3, 2, 1, 0, N_CODE], dtype=np.uint8)


def encode(sequence: str | bytes) -> Codes:
    """Encode letters as codes (L,); soft-masked (lower-case) bases count, IUPAC codes become N.

    Examples
    --------
    >>> encode("acgtR").tolist()
    [0, 1, 2, 3, 4]
    """
    data = sequence.encode("ascii") if isinstance(sequence, str) else sequence
    return np.frombuffer(bytearray(data).translate(_ENCODE.tobytes()), dtype=np.uint8)


def decode(codes: Codes) -> str:
    """Letters of one sequence of codes (L,)."""
    return _LETTERS[codes].tobytes().decode("ascii")


def reverse_complement(codes: Codes) -> Codes:
    """Reverse complement along the last axis; shape kept.

    Examples
    --------
    >>> decode(reverse_complement(encode("AACGN")))
    'NCGTT'
    """
    return np.ascontiguousarray(_COMPLEMENT[codes[..., ::-1]])


def plain_contig(name: str) -> str:
    """The name without ``chr``, the mitochondrion as ``MT``; equal for names of one contig.

    Examples
    --------
    >>> plain_contig("chr22"), plain_contig("chrM"), plain_contig("X")
    ('22', 'MT', 'X')
    """
    bare = name[3:] if name[:3].lower() == "chr" else name
    return "MT" if bare.upper() in {"M", "MT"} else bare
