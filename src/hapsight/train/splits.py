"""Whom and what is learnt from: {seen, unseen genes} x {seen, unseen people}, and nothing on two sides.

Genes are held out by blocks of the chromosome, because neighbours share sequence; a seen gene whose window
reaches into that of an unseen one is left out (the guard).

Blocks keep neighbours apart, but not the copies of a duplicated gene, its homologs: genes of which a model
reads nearly the same sequence, wherever they lie. Windows are compared by the k-mers that they share, on
both strands; repeats do not speak for homology.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval
from hapsight.dna import Codes
from hapsight.errors import ConfigError, plural
from hapsight.seeds import stream

__all__ = [
    "CONTAINED",
    "HOMOLOGS",
    "GeneRule",
    "Homologs",
    "K",
    "PeopleRule",
    "Split",
    "across_split",
    "canonical_kmers",
    "find_homologs",
    "leave_out_homologs",
    "make_split",
    "require_windows_apart",
]

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Split:
    """Names of people and genes on each side.

    Attributes
    ----------
    train_people, valid_people, test_people
        Whom weights are fitted to; who decides when to stop; who is never looked at.
    seen_genes, unseen_genes
        What is trained on, and what is not.
    guard_genes
        Genes on no side: not trained on, because their windows reach into what is held out.

    Raises
    ------
    ConfigError
        A person or a gene is on two sides, or a side that is needed is empty.
    """

    train_people: tuple[str, ...]
    valid_people: tuple[str, ...]
    test_people: tuple[str, ...]
    seen_genes: tuple[str, ...]
    unseen_genes: tuple[str, ...]
    guard_genes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        people = {"training": self.train_people, "validation": self.valid_people, "test": self.test_people}
        genes = {"seen": self.seen_genes, "unseen": self.unseen_genes, "guard": self.guard_genes}
        _require_apart("people", people)
        _require_apart("genes", genes)
        for name, side in (*people.items(), ("seen genes", self.seen_genes)):
            if not side:
                raise ConfigError(
                    f"A split has nobody or nothing on the side: {name}.",
                    expected="at least one name",
                    got="none",
                    fix="change the shares under [train], or use more people and genes",
                )


@dataclass(frozen=True, slots=True)
class PeopleRule:
    """How people are dealt.

    Attributes
    ----------
    test_share
        Share of people that are never looked at; of no account where there is a `population`.
    valid_share
        Share of the others that decide when to stop.
    population
        The population that is never looked at, instead of people at random.
    most
        Train on so many people only; fewer are always among those that more would be.
    """

    test_share: float = 0.2
    valid_share: float = 0.1
    population: str | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class GeneRule:
    """How genes are dealt.

    Attributes
    ----------
    unseen_share
        Least share of genes that are not trained on, blocks drawn at random until it is reached.
    block
        Bases of a block of a chromosome.
    held_out
        Stretches that no window of a seen gene may touch; their genes are unseen.
    """

    unseen_share: float = 0.2
    block: int = 2_000_000
    held_out: tuple[Interval, ...] = ()


def make_split(
    samples: Sequence[str],
    populations: Sequence[str | None],
    genes: Sequence[Gene],
    windows: Mapping[str, Interval],
    people_rule: PeopleRule,
    gene_rule: GeneRule,
    seed: int,
) -> Split:
    """Deal people and genes; the same for the same names and seed.

    Parameters
    ----------
    populations
        Of each person.
    windows
        Gene -> what a model reads of it (of several models, the widest).

    Raises
    ------
    ConfigError
        No such population, too few people, or nothing left on a side.
    """
    train, valid, test = _deal_people(samples, populations, people_rule, stream(seed, "split of people"))
    seen, unseen, guard = _deal_genes(genes, windows, gene_rule, seed)
    if not seen:
        raise _nothing_to_train_on(genes, windows, gene_rule, seed)
    split = Split(train, valid, test, seen, unseen, guard)
    require_windows_apart(split, windows)
    return split


def _deal_genes(
    genes: Sequence[Gene], windows: Mapping[str, Interval], rule: GeneRule, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Seen and unseen genes, and those on no side."""
    unseen = _unseen_genes(genes, rule, stream(seed, "split of genes"))
    forbidden = _Unions([*rule.held_out, *(windows[name] for name in unseen)])
    others = [gene.gene_id for gene in genes if gene.gene_id not in unseen]
    seen = tuple(name for name in others if not forbidden.touch(windows[name]))
    guard = tuple(name for name in others if forbidden.touch(windows[name]))
    return seen, tuple(gene.gene_id for gene in genes if gene.gene_id in unseen), guard


def _nothing_to_train_on(
    genes: Sequence[Gene], windows: Mapping[str, Interval], rule: GeneRule, seed: int
) -> ConfigError:
    """Says so, with the largest block of half the size, or a quarter and so on, that leaves some."""
    halves = itertools.takewhile(lambda block: block >= 1000, (rule.block >> n for n in itertools.count(1)))
    will_do = (n for n in halves if _deal_genes(genes, windows, replace(rule, block=n), seed)[0])
    block = next(will_do, None)
    widest = max(len(window) for window in windows.values())
    return ConfigError(
        "No gene is left to train on: all lie in blocks that are held out, or read sequence of these.",
        where="block under [train]",
        expected="genes in several blocks, and some whose windows reach into none that is held out",
        got=f"blocks of {rule.block:,} bases, windows of up to {widest:,}, {plural(len(genes), 'gene')}",
        fix="take genes over a longer stretch, or a model that reads less"
        if block is None
        else f"set block = {block} under [train]",
    )


def require_windows_apart(split: Split, windows: Mapping[str, Interval]) -> None:
    """Refuse a split in which what is read of a seen gene overlaps what is read of an unseen one.

    Raises
    ------
    ConfigError
        Names the genes.
    """
    unseen = _Unions(windows[name] for name in split.unseen_genes)
    both = [name for name in split.seen_genes if unseen.touch(windows[name])]
    if both:
        raise ConfigError(
            "Windows of genes that are trained on overlap windows of genes that are not.",
            expected="no base on both sides",
            got=f"{plural(len(both), 'gene')}: {_shown(both)}",
            fix="leave these genes out of training, as the guard of `make_split` does",
        )


def _deal_people(
    samples: Sequence[str],
    populations: Sequence[str | None],
    rule: PeopleRule,
    rng: np.random.Generator,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Training, validation and test people."""
    drawn = [samples[i] for i in rng.permutation(len(samples))]
    if rule.population is None:
        n_test = max(1, round(rule.test_share * len(drawn)))
        test, rest = drawn[:n_test], drawn[n_test:]
    else:
        population = dict(zip(samples, populations, strict=True))
        if rule.population not in population.values():
            known = ", ".join(sorted({name for name in populations if name}))
            raise ConfigError(
                "There is no such population to hold out.",
                expected=known or "a sample sheet with populations",
                got=rule.population,
            )
        test = [name for name in drawn if population[name] == rule.population]
        rest = [name for name in drawn if population[name] != rule.population]
    n_valid = max(1, round(rule.valid_share * len(rest)))
    valid, train = rest[:n_valid], rest[n_valid:]
    if rule.most is not None and rule.most > len(train):
        raise ConfigError(
            "There are fewer people to train on than asked for.",
            expected=f"at most {len(train)}, after {len(test)} test and {len(valid)} validation people",
            got=rule.most,
        )
    return tuple(train[: rule.most]), tuple(valid), tuple(test)


def _unseen_genes(genes: Sequence[Gene], rule: GeneRule, rng: np.random.Generator) -> set[str]:
    """Genes of held-out stretches, and of blocks drawn until their share is reached."""
    blocks: dict[tuple[str, int], list[str]] = {}
    held_out = _Unions(rule.held_out)
    unseen: set[str] = set()
    for gene in genes:
        blocks.setdefault((gene.contig, gene.tss // rule.block), []).append(gene.gene_id)
        if held_out.touch(Interval(gene.contig, gene.tss, gene.tss + 1)):
            unseen.add(gene.gene_id)
    keys = sorted(blocks)
    for index in rng.permutation(len(keys)):
        if len(unseen) >= rule.unseen_share * len(genes):
            break
        unseen.update(blocks[keys[index]])
    return unseen


class _Unions:
    """Intervals put together where they overlap, to ask quickly whether another touches one."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._starts: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}
        for interval in sorted(intervals, key=lambda i: (i.contig, i.start)):
            starts, ends = (side.setdefault(interval.contig, []) for side in (self._starts, self._ends))
            if ends and interval.start <= ends[-1]:
                ends[-1] = max(ends[-1], interval.end)
            else:
                starts.append(interval.start)
                ends.append(interval.end)

    def touch(self, interval: Interval) -> bool:
        """Whether they share a base with `interval`."""
        before = bisect_right(self._starts.get(interval.contig, []), interval.end - 1) - 1
        return before >= 0 and self._ends[interval.contig][before] > interval.start


def _require_apart(what: str, sides: Mapping[str, Sequence[str]]) -> None:
    for (one, names), (other, others) in itertools.combinations(sides.items(), 2):
        both = sorted(set(names) & set(others))
        if both:
            raise ConfigError(
                f"A split has the same {what} on two sides, so that what is learnt leaks into the test.",
                where=f"{one} and {other} {what}",
                expected="no name on both sides",
                got=f"{len(both)}: {_shown(both)}",
                fix="take these names off one of the sides",
            )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")


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
    matrix = scipy.sparse.csr_matrix((np.ones(int(kept.sum()), np.int64), (row[kept], column[kept])), shape)
    shared = scipy.sparse.triu(matrix @ matrix.T, k=1).tocoo()
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
