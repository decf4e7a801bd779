"""Motifs that a variant makes or breaks: JASPAR's matrices, scanned over both alleles.

With about 900 matrices, two strands and every placement over the variant, hits by chance are common: of
2,000 random single-base changes in human chromosome 22, 85 % change a motif at p < 1e-4, 23 % at 1e-5, and
5 % at 1e-6. A share of drivers with a motif means something only beside the same share of other variants,
such as those of the same windows that do not drive.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hapsight.dna import N_CODE, Codes
from hapsight.errors import ConfigError, InputError, MissingExtraError

__all__ = [
    "RELEASE",
    "THRESHOLD",
    "AlleleWindow",
    "Motif",
    "MotifChange",
    "flank",
    "load_jaspar",
    "motif_changes",
    "motif_differences",
    "scores",
]

Float = NDArray[np.float64]

RELEASE: Final = "JASPAR2024"
THRESHOLD: Final = 1e-5
"""p of a hit on a random sequence of equally frequent bases."""

_EPS: Final = 1e-4
"""Added to every probability before its logarithm, as memelite does."""
_BIN: Final = 0.01
"""Bits: scores are rounded to this, column by column, before p is computed. At memelite's 0.1 a motif of 10
columns with one mismatch passes for a perfect one."""
_SAME: Final = 1e-6
"""Scores that differ by less are equal, bits."""

Kind = Literal["gain", "loss", "change", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class Motif:
    """A transcription factor's matrix.

    Attributes
    ----------
    probability
        (4, W) of A, C, G, T; columns sum to 1.
    tf_class
        Structural class of the factor, or of both factors of a dimer, as JASPAR has it; empty where it has
        none.
    """

    matrix_id: str
    name: str
    probability: Float
    tf_class: str = ""

    @property
    def log_odds(self) -> Float:
        """(4, W) bits over equally frequent bases."""
        return np.asarray(np.log2(self.probability + _EPS) + 2.0)


@dataclass(frozen=True, slots=True, eq=False)
class AlleleWindow:
    """A variant between its neighbours: codes of what lies left, both alleles, and what lies right.

    Neighbours have at least `flank` bases, so that every placement over the variant is whole; beyond a
    contig's end they are N.
    """

    left: Codes
    ref: Codes
    alt: Codes
    right: Codes

    def sequence(self, allele: Codes) -> Codes:
        """The window with `ref` or `alt`."""
        return np.concatenate([self.left, allele, self.right])


@dataclass(frozen=True, slots=True)
class MotifChange:
    """What a variant does to the motifs that lie over it.

    Attributes
    ----------
    kind
        Of the motif whose score changes most: ``gain`` (a hit with the alternative allele only), ``loss``
        (with the reference only), ``change`` (with both, of other scores); ``none``: no motif hits, or none
        changes.
    matrix_id, name
        That motif; None for ``none``.
    ref_score, alt_score
        Its best score over the variant with either allele, bits.
    n_gained, n_lost
        Motifs that hit with the alternative allele only, and with the reference only.
    """

    kind: Kind
    matrix_id: str | None = None
    name: str | None = None
    ref_score: float | None = None
    alt_score: float | None = None
    n_gained: int = 0
    n_lost: int = 0


def flank(motifs: Sequence[Motif]) -> int:
    """Bases on either side of a variant that a placement over it can reach."""
    return max(int(motif.probability.shape[1]) for motif in motifs) - 1


def load_jaspar(
    release: str = RELEASE, tax_group: str = "vertebrates", collection: str = "CORE"
) -> tuple[Motif, ...]:
    """Read the matrices of a JASPAR release as pyjaspar ships it (data: CC BY 4.0); nothing is downloaded.

    Raises
    ------
    MissingExtraError
        pyjaspar or memelite is not installed.
    ConfigError
        There is no such release, or no matrix of this group and collection.
    """
    _require_extra()
    import pyjaspar

    if release not in pyjaspar.jaspar_releases:
        known = ", ".join(sorted(pyjaspar.jaspar_releases))
        raise ConfigError("There is no such release of JASPAR.", expected=known, got=release)
    database = pyjaspar.jaspardb(release=release)
    with closing(database.conn), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = database.fetch_motifs(collection=collection, tax_group=[tax_group])
    if not found:
        raise ConfigError(
            "JASPAR has no matrix of this group and collection.", got=f"{tax_group}, {collection}, {release}"
        )
    return tuple(
        Motif(m.matrix_id, m.name, _probability(m.counts), " + ".join(sorted(set(m.tf_class)))) for m in found
    )


def motif_differences(
    windows: Sequence[AlleleWindow], motifs: Sequence[Motif], threshold: float = THRESHOLD
) -> list[dict[int, float]]:
    """Every motif that `motif_changes` chooses from, for each of V variants: index -> bits gained with ALT.

    A motif that hits neither allele, or both with the same score, is not in it. Errors as there.
    """
    _require_reach(windows, flank(motifs))
    if not windows:
        return []
    hits = _hits([*((w, w.ref) for w in windows), *((w, w.alt) for w in windows)], motifs, threshold)
    ref, alt = hits[: len(windows)], hits[len(windows) :]
    return [
        {index: after - before for index, (before, after) in _changed(_best(w, motifs, r | a)).items()}
        for w, r, a in zip(windows, ref, alt, strict=True)
    ]


def motif_changes(
    windows: Sequence[AlleleWindow], motifs: Sequence[Motif], threshold: float = THRESHOLD
) -> list[MotifChange]:
    """What each of V variants does to the motifs over it.

    A motif hits an allele where the p of its score in some placement over the allele, on either strand, is
    below `threshold` (FIMO's statistic, by memelite). A placement over an N is not scored, and a motif that
    has no other placement over an allele is not looked at.

    Raises
    ------
    MissingExtraError
        memelite is not installed.
    InputError
        A window's neighbours are shorter than the motifs reach.
    """
    _require_reach(windows, flank(motifs))
    if not windows:
        return []
    hits = _hits([*((w, w.ref) for w in windows), *((w, w.alt) for w in windows)], motifs, threshold)
    ref, alt = hits[: len(windows)], hits[len(windows) :]
    return [_change(w, motifs, r, a) for w, r, a in zip(windows, ref, alt, strict=True)]


def scores(sequence: Codes, motif: Motif, start: int, end: int) -> Float:
    """Score of every placement that overlaps ``[start, end)``, both strands, in bits.

    Returns
    -------
    (2, P) forward and reverse; -inf of a placement over an N, which is not scored.
    """
    width = motif.probability.shape[1]
    first, last = max(0, start - width + 1), min(end - 1, len(sequence) - width)
    windows = np.lib.stride_tricks.sliding_window_view(sequence, width)[first : last + 1]
    unknown = np.full(width, -np.inf)
    table = np.vstack([motif.log_odds, unknown])
    reverse = np.vstack([motif.log_odds[::-1, ::-1], unknown])
    columns = np.arange(width)
    return np.stack([strand[windows, columns].sum(axis=1) for strand in (table, reverse)])


def _require_extra() -> None:
    missing = [name for name in ("memelite", "pyjaspar") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            "Motifs need packages that are not installed.",
            expected="memelite, pyjaspar",
            got=f"missing: {', '.join(missing)}",
            fix="pip install 'hapsight[motifs]'",
        )


def _require_reach(windows: Sequence[AlleleWindow], reach: int) -> None:
    shortest = min((min(len(w.left), len(w.right)) for w in windows), default=reach)
    if shortest < reach:
        raise InputError(
            "A variant's neighbours are shorter than the motifs reach.",
            expected=f"{reach} bases on either side",
            got=shortest,
        )


def _probability(counts: Any) -> Float:
    table = np.array([counts[base] for base in "ACGT"], np.float64)
    return np.asarray(table / table.sum(axis=0))


def _hits(
    carried: Sequence[tuple[AlleleWindow, Codes]], motifs: Sequence[Motif], threshold: float
) -> list[set[int]]:
    """Which motifs hit the allele that each window carries."""
    _require_extra()
    from memelite import fimo

    sequences = [window.sequence(allele) for window, allele in carried]
    one_hot = np.zeros((len(sequences), 4, max(map(len, sequences))), np.int8)
    for row, sequence in zip(one_hot, sequences, strict=True):
        row[:, : len(sequence)] = sequence == np.arange(4)[:, None]
    named = {str(index): _in_whole_bins(motif) for index, motif in enumerate(motifs)}
    found: list[set[int]] = [set() for _ in sequences]
    unknown = [np.append(0, np.cumsum(sequence == N_CODE)) for sequence in sequences]
    for index, table in enumerate(fimo(named, one_hot, bin_size=_BIN, eps=_EPS, threshold=threshold)):
        for number, start, end in zip(table["sequence_name"], table["start"], table["end"], strict=True):
            window, allele = carried[int(number)]
            left, before = len(window.left), unknown[int(number)]
            if start < left + len(allele) and end > left and before[start] == before[end]:
                found[int(number)].add(index)
    return found


def _in_whole_bins(motif: Motif) -> Float:
    """(4, L) probabilities with scores of whole bins, and a quarter more.

    memelite rounds each column for its table of p, but cuts off a hit's sum. So given, both are the same bin;
    else many a motif's word with a mismatch or two has the p of a better one, and its best word a p of 0.
    """
    bins = np.round(motif.log_odds / _BIN)
    bins[:, 0] += 0.25
    return np.asarray(2.0 ** (bins * _BIN) / 4 - _EPS)


def _change(window: AlleleWindow, motifs: Sequence[Motif], ref: set[int], alt: set[int]) -> MotifChange:
    best = _best(window, motifs, ref | alt)
    gained, lost = (len(best.keys() & only) for only in (alt - ref, ref - alt))
    changed = _changed(best)
    if not changed:
        return MotifChange("none", n_gained=gained, n_lost=lost)
    index = max(changed, key=lambda one: abs(changed[one][1] - changed[one][0]))
    kind: Kind = "change" if index in ref & alt else "gain" if index in alt else "loss"
    motif = motifs[index]
    return MotifChange(kind, motif.matrix_id, motif.name, *changed[index], gained, lost)


def _best(window: AlleleWindow, motifs: Sequence[Motif], hits: set[int]) -> dict[int, tuple[float, float]]:
    """Best scores of motifs over either allele, REF first, where both alleles have a placement without N."""
    left, found = len(window.left), {}
    for index in sorted(hits):
        before, after = (
            float(scores(window.sequence(allele), motifs[index], left, left + len(allele)).max())
            for allele in (window.ref, window.alt)
        )
        if np.isfinite([before, after]).all():
            found[index] = before, after
    return found


def _changed(best: dict[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    """Those that differ between the alleles."""
    return {index: pair for index, pair in best.items() if abs(pair[1] - pair[0]) > _SAME}
