"""The planted grammar: what a haplotype's motifs say about a gene, the same for all genes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.tables import numbers, read_table, require_unique
from hapsight.dna import Codes
from hapsight.errors import ConfigError

__all__ = ["DEFAULT_MOTIFS", "Grammar", "Instances", "Motif", "read_motifs"]

Float = NDArray[np.float64]
Int = NDArray[np.intp]

_IUPAC: Final = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
_BIT: Final = np.array([1, 2, 4, 8, 0], dtype=np.uint8)
"""A bit for each base code; none for N, which matches nothing."""
_DENSE: Final = 3
"""Motif positions that are compared everywhere; the rest only where these match."""
_BLOCK_BASES: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Motif:
    """A consensus sequence and what one instance of it does.

    Attributes
    ----------
    consensus
        IUPAC letters; an instance matches every one of them, on either strand.
    effect
        Of an instance at the TSS, in log10 of expression; negative for a repressor.

    Raises
    ------
    ConfigError
        A letter that is none of IUPAC's, fewer than 4 letters, or an effect that is no finite number.
    """

    name: str
    consensus: str
    effect: float

    def __post_init__(self) -> None:
        if len(self.consensus) < 4 or set(self.consensus) - set(_IUPAC):
            raise ConfigError(
                "A motif's consensus is not valid.",
                where=f"motif {self.name}",
                expected=f"4 or more of the letters {''.join(_IUPAC)}",
                got=repr(self.consensus),
            )
        if not np.isfinite(self.effect):
            raise ConfigError("A motif's effect is not finite.", where=f"motif {self.name}", got=self.effect)

    @property
    def pattern(self) -> NDArray[np.uint8]:
        """(W,) the bases that each place allows, a bit for each of A, C, G, T."""
        bits = [sum(1 << "ACGT".index(base) for base in _IUPAC[letter]) for letter in self.consensus]
        return np.array(bits, dtype=np.uint8)

    @property
    def patterns(self) -> tuple[NDArray[np.uint8], ...]:
        """The pattern and its reverse complement; one where they are equal."""
        forward = self.pattern
        complement = np.array([int(f"{bits:04b}"[::-1], 2) for bits in forward.tolist()], dtype=np.uint8)
        reverse = np.ascontiguousarray(complement[::-1])
        return (forward,) if np.array_equal(forward, reverse) else (forward, reverse)


DEFAULT_MOTIFS: Final = (
    Motif("activator1", "CCATCTTGG", 0.30),
    Motif("activator2", "TGACTCAT", 0.20),
    Motif("activator3", "GGAAGTGC", 0.15),
    Motif("repressor1", "ATTTGCATA", -0.30),
    Motif("repressor2", "CAGGTGTC", -0.20),
    Motif("repressor3", "CACGTGAY", -0.15),
)
"""Six made-up elements, eight or nine bases long: by chance one instance in about 4 kb, of all together."""


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """Motif instances in D sequences, ordered by sequence, place and motif.

    Attributes
    ----------
    row, motif
        (I,) which sequence, and which motif of the grammar.
    centre
        (I,) distance of the instance's middle from the TSS, bases; half-integral for even lengths.
    """

    row: Int
    motif: Int
    centre: Float


@dataclass(frozen=True, slots=True)
class Grammar:
    """Effect of a haplotype: the sum over motif instances within reach of the TSS, fading with distance.

    An instance whose middle lies d bases from the TSS contributes ``effect * exp(-|d| / decay)``. Two
    instances with middles at most `pair_distance` apart add `pair_bonus` times the mean of their
    contributions (epistasis).

    Attributes
    ----------
    reach
        Bases on either side of the TSS that count.

    Raises
    ------
    ConfigError
        No motif, two of one name, or a reach or decay that is not positive.
    """

    motifs: tuple[Motif, ...] = DEFAULT_MOTIFS
    reach: int = 4_000
    decay: float = 2_000.0
    pair_bonus: float = 0.0
    pair_distance: int = 60

    def __post_init__(self) -> None:
        if not self.motifs or len({motif.name for motif in self.motifs}) < len(self.motifs):
            names = ", ".join(motif.name for motif in self.motifs)
            raise ConfigError("A grammar needs motifs, each of its own name.", got=names or "no motif")
        for name, least in (("reach", self.widest), ("decay", 1), ("pair_distance", 0)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"The grammar's {name} is too small.",
                    expected=f"{least} or more",
                    got=getattr(self, name),
                )

    @property
    def widest(self) -> int:
        """Length of the longest motif."""
        return max(len(motif.consensus) for motif in self.motifs)

    def instances(self, codes: Codes) -> Instances:
        """Every motif instance in (D, L) codes, the TSS in the middle (L odd)."""
        bits, middle = _BIT[codes], (codes.shape[1] - 1) / 2
        rows, motifs, centres = [], [], []
        for number, motif in enumerate(self.motifs):
            row, start = _placements(bits, motif.patterns)
            rows.append(row)
            motifs.append(np.full(len(row), number, dtype=np.intp))
            centres.append(start + (len(motif.consensus) - 1) / 2 - middle)
        row, which, centre = np.concatenate(rows), np.concatenate(motifs), np.concatenate(centres)
        order = np.lexsort((which, centre, row))
        return Instances(row[order], which[order], centre[order])

    def scores(self, codes: Codes) -> Float:
        """(D,) effect of each sequence (D, L), log10 of expression."""
        return np.concatenate([self._scores(block) for block in _blocks(codes)])

    def counts(self, codes: Codes) -> NDArray[np.int64]:
        """(D, M) instances of each motif in each sequence (D, L)."""
        found, size = self.instances(codes), len(self.motifs)
        flat = np.bincount(found.row * size + found.motif, minlength=len(codes) * size)
        return flat.reshape(len(codes), size).astype(np.int64)

    def _scores(self, codes: Codes) -> Float:
        found = self.instances(codes)
        effects = np.array([motif.effect for motif in self.motifs])
        single = effects[found.motif] * np.exp(-np.abs(found.centre) / self.decay)
        rows, values = [found.row], [single]
        if self.pair_bonus:
            for first, second in self._pairs(found):
                rows.append(found.row[first])
                values.append(self.pair_bonus * (single[first] + single[second]) / 2)
        total = np.bincount(np.concatenate(rows), np.concatenate(values), minlength=len(codes))
        return np.asarray(total, dtype=np.float64)

    def _pairs(self, found: Instances) -> Iterator[tuple[Int, Int]]:
        """Pairs of instances that are near enough: neighbours first, then next but one, and so on."""
        for lag in range(1, len(found.row)):
            near = (found.row[lag:] == found.row[:-lag]) & (
                found.centre[lag:] - found.centre[:-lag] <= self.pair_distance
            )
            first = np.flatnonzero(near)
            if not len(first):
                return
            yield first, first + lag


def read_motifs(path: Path) -> tuple[Motif, ...]:
    """Read motifs from a table with columns ``name, consensus, effect``.

    Raises
    ------
    ConfigError
        A column is missing, or a motif is not valid.
    InputError
        The file is missing or damaged, an effect is no number, or a name comes twice.
    """
    table = read_table(path, "motif")
    absent = [name for name in ("name", "consensus", "effect") if name not in table.columns]
    if absent:
        raise ConfigError(
            "The motif file lacks a column.",
            where=path,
            expected="name, consensus, effect",
            got=", ".join(table.columns),
        )
    names = [str(name) for name in table["name"]]
    require_unique(names, "motif", path)
    effects = numbers(table.select("effect"), names, path)[:, 0]
    consensus = [str(letters).upper() for letters in table["consensus"]]
    return tuple(
        Motif(name, letters, effect)
        for name, letters, effect in zip(names, consensus, effects.tolist(), strict=True)
    )


def _placements(bits: NDArray[np.uint8], patterns: tuple[NDArray[np.uint8], ...]) -> tuple[Int, Int]:
    """Row and first base of every placement that matches a pattern; once where it matches both strands."""
    places = bits.shape[1] - len(patterns[0]) + 1
    found = []
    for pattern in patterns:
        hit = (bits[:, :places] & pattern[0]) != 0
        for offset in range(1, _DENSE):
            hit &= (bits[:, offset : offset + places] & pattern[offset]) != 0
        row, start = np.nonzero(hit)
        for offset in range(_DENSE, len(pattern)):
            keep = (bits[row, start + offset] & pattern[offset]) != 0
            row, start = row[keep], start[keep]
        found.append(row * places + start)
    flat = np.unique(np.concatenate(found))
    return flat // places, flat % places


def _blocks(codes: Codes) -> Iterator[Codes]:
    """`codes` (D, L) a few rows at a time, for the sake of memory."""
    rows = max(1, _BLOCK_BASES // codes.shape[1])
    for first in range(0, max(len(codes), 1), rows):
        yield codes[first : first + rows]
