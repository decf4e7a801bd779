"""Homologs: genes of which a model reads nearly the same sequence, wherever they lie.

Blocks of a chromosome keep neighbours apart, but not the copies of a duplicated gene. Windows are compared
by the k-mers that they share, on both strands; repeats do not speak for homology.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from hapsight.cohort.nouns import Interval
from hapsight.dna import Codes
from hapsight.train.splits import Split

__all__ = [
    "CONTAINED",
    "HOMOLOGS",
    "Homologs",
    "K",
    "across_split",
    "canonical_kmers",
    "find_homologs",
    "leave_out_homologs",
]

K: Final = 21
CONTAINED: Final = 0.1
"""Share of the k-mers of the window with fewer, from which on two windows are homologs."""

_PERIODS: Final = range(1, 7)
_WINDOWS: Final = 20
"""Windows that may share a k-mer without its being a repeat; of many windows, a hundredth."""
_MOST: Final = 20_000_000
"""Bases of all windows together up to which every k-mer is looked at; beyond, an even sample of them."""
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_TOP: Final = 1 << 32


HOMOLOGS: Final = {
    "first": pl.String,
    "second": pl.String,
    "shared": pl.Int64,
    "contained": pl.Float64,
}
"""``train/homologs.pairs.parquet``: one row per pair, `Homologs`."""


class Homologs(NamedTuple):
    """Two genes whose windows share sequence.

    Attributes
    ----------
    shared
        K-mers that both windows have.
    contained
        Their share of the k-mers of the window that has fewer.
    """

    first: str
    second: str
    shared: int
    contained: float


def canonical_kmers(codes: Codes, k: int = K) -> NDArray[np.uint64]:
    """Sorted distinct k-mers of a sequence, each as the smaller of itself and its reverse complement.

    Those with an N are left out, and those that repeat a unit of 1 to 6 bases from end to end.

    Parameters
    ----------
    codes
        A, C, G, T, N = 0..4.
    k
        13 to 31; odd, so that no k-mer is its own reverse complement.
    """
    count = len(codes) - k + 1
    if count < 1:
        return np.empty(0, np.uint64)
    forward, backward = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    two = np.uint64(2)
    for place in range(k):
        base = codes[place : place + count].astype(np.uint64)
        forward = (forward << two) | (base & np.uint64(3))
        backward |= (np.uint64(3) - (base & np.uint64(3))) << np.uint64(2 * place)
    found = np.minimum(forward, backward)
    usable = _all_in_a_row(codes < 4, k)
    for period in _PERIODS:
        usable &= ~_all_in_a_row(codes[period:] == codes[:-period], k - period)[:count]
    return np.unique(found[usable])


def _all_in_a_row(true: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Whether so many of (L,) from each place on are true."""
    total = np.concatenate([[0], np.cumsum(true)])
    return np.asarray(total[length:] - total[:-length] == length)


def find_homologs(
    windows: Iterable[tuple[str, Interval, Codes]], bases: int, least: float = CONTAINED
) -> list[Homologs]:
    """All pairs of genes whose windows share sequence and do not overlap, the most alike first.

    Parameters
    ----------
    windows
        Gene, place and bases of each; gone through once, and not kept.
    bases
        Of all windows together: of more than 20 million, an even sample of the k-mers is compared, chosen by
        a hash, the same in all windows.
    least
        `Homologs.contained` from which on a pair is named.
    """
    share = min(1.0, _MOST / max(bases, 1))
    names, places, kmers = [], [], []
    for name, place, codes in windows:
        names.append(name)
        places.append(place)
        kmers.append(_sample(canonical_kmers(codes), share))
    return sorted(_pairs(names, places, kmers, least), key=lambda pair: (-pair.contained, pair[:2]))


def _sample(kmers: NDArray[np.uint64], share: float) -> NDArray[np.uint64]:
    if share >= 1.0:
        return kmers
    return kmers[(kmers * _MIX) >> np.uint64(32) < np.uint64(int(share * _TOP))]


def _pairs(
    names: Sequence[str], places: Sequence[Interval], kmers: Sequence[NDArray[np.uint64]], least: float
) -> Iterator[Homologs]:
    """By a product of the sparse matrix of windows and k-mers with itself."""
    if len(names) < 2:
        return
    sizes = np.array([len(own) for own in kmers])
    _, column, times = np.unique(np.concatenate(kmers), return_inverse=True, return_counts=True)
    row = np.repeat(np.arange(len(names)), sizes)
    most = max(_WINDOWS, len(names) // 100)
    kept = (times[column] > 1) & (times[column] <= most)
    spoken = np.bincount(row[times[column] <= most], minlength=len(names))
    shape = len(names), len(times)
    matrix = sparse.csr_matrix((np.ones(int(kept.sum()), np.int64), (row[kept], column[kept])), shape)
    shared = sparse.triu(matrix @ matrix.T, k=1).tocoo()
    for one, other, count in zip(shared.row.tolist(), shared.col.tolist(), shared.data.tolist(), strict=True):
        contained = count / min(spoken[one], spoken[other])
        if contained >= least and not _overlap(places[one], places[other]):
            yield Homologs(names[one], names[other], count, float(contained))


def _overlap(one: Interval, other: Interval) -> bool:
    return one.contig == other.contig and one.start < other.end and other.start < one.end


def across_split(found: Iterable[Homologs], split: Split) -> list[Homologs]:
    """The pairs of which one gene is trained on and the other is not; the seen one first."""
    seen, unseen = set(split.seen_genes), set(split.unseen_genes)
    pairs = []
    for pair in found:
        if pair.first in seen and pair.second in unseen:
            pairs.append(pair)
        elif pair.second in seen and pair.first in unseen:
            pairs.append(pair._replace(first=pair.second, second=pair.first))
    return pairs


def leave_out_homologs(found: Iterable[Homologs], split: Split) -> Split:
    """The split without training on genes that have a homolog among the unseen ones: they are on no side.

    Raises
    ------
    ConfigError
        No gene is left to train on.
    """
    leaving = {pair.first for pair in across_split(found, split)}
    return replace(
        split,
        seen_genes=tuple(name for name in split.seen_genes if name not in leaving),
        guard_genes=(*split.guard_genes, *(name for name in split.seen_genes if name in leaving)),
    )
