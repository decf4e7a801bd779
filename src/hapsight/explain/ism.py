"""In-silico mutagenesis: what each variant does to a read-out, on the reference and in people's haplotypes.

The effect of variant s is ``a_s = f(sequence with alt) - f(sequence without)``, f the read-out (Sasse 2023).
Every distinct sequence is computed once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval, Strand, Variants
from hapsight.dna import Codes, reverse_complement
from hapsight.engine.engine import Valuer
from hapsight.engine.outputs import names_its_gene
from hapsight.engine.views import window_of
from hapsight.explain.mutations import (
    REFERENCE,
    Backgrounds,
    Pairs,
    haplotype_sequences,
    pair_sequences,
    read_near,
    substitutions,
)
from hapsight.sequence.haplotypes import FetchReference, ReadVariants, Window

__all__ = [
    "BackgroundEffects",
    "Distinct",
    "GeneIsm",
    "Toggled",
    "background_effects",
    "gene_ism",
    "ism_window",
    "pair_effects",
    "saturation",
    "saturation_stretch",
]

Float = NDArray[np.float64]

_BYTES = 256 * 2**20
"""Bases of the sequences that are built, and run, together."""


@dataclass(slots=True, eq=False)
class Distinct:
    """Values of the distinct sequences of a window, told apart by their bytes.

    Attributes
    ----------
    flop
        Floating-point operations that they took.
    """

    valuer: Valuer
    window: Window
    flop: float = 0.0
    _row: dict[bytes, int] = field(default_factory=dict)
    _values: list[Float] = field(default_factory=list)

    def rows(self, codes: Codes) -> NDArray[np.intp]:
        """(R,) which distinct one each of (R, L) sequences is, forward strand; new ones are computed."""
        digests = [hashlib.blake2b(row, digest_size=16).digest() for row in codes]
        new: dict[bytes, int] = {}
        for r, digest in enumerate(digests):
            if digest not in self._row:
                new.setdefault(digest, r)
        if new:
            first = codes[list(new.values())]
            oriented = reverse_complement(first) if self.window.reverse else first
            values, flop = self.valuer(oriented)
            self._row.update({digest: len(self._row) + k for k, digest in enumerate(new)})
            self._values.append(values)
            self.flop += flop
        return np.array([self._row[digest] for digest in digests], dtype=np.intp)

    def __len__(self) -> int:
        return len(self._row)

    @property
    def values(self) -> Float:
        """(S, T) of all distinct sequences so far."""
        return np.concatenate([np.empty((0, len(self.valuer.read_out.tracks))), *self._values])

    @property
    def digests(self) -> list[str]:
        """The first 8 bytes of BLAKE2b (16 bytes) of each one's codes on the forward strand, as digits."""
        return [digest.hex()[:16] for digest in self._row]


@dataclass(frozen=True, slots=True, eq=False)
class GeneIsm:
    """Effects of a gene's V variants on T tracks; N people.

    Attributes
    ----------
    variants
        Those that overlap the window.
    reference
        (T,) value of the reference sequence.
    effect
        (V, T) on the reference background.
    effect_mean, effect_sd
        (V, T) over the distinct backgrounds of people's haplotypes, each counted once; NaN without any.
    share_opposite
        (V, T) of these backgrounds, the share in which the effect has the other sign than on the reference.
    n_backgrounds
        (V,) distinct backgrounds.
    predicted
        (N, 2, T) value of each person's two haplotypes.
    asked, distinct, flop
        Sequences that all pairs are made of, distinct ones that were computed, floating-point operations.
    """

    gene_id: str
    variants: Variants
    reference: Float
    effect: Float
    effect_mean: Float
    effect_sd: Float
    share_opposite: Float
    n_backgrounds: NDArray[np.int64]
    predicted: Float
    asked: int
    distinct: int
    flop: float


@names_its_gene
def gene_ism(
    gene: Gene,
    valuer: Valuer,
    read_variants: ReadVariants,
    fetch_reference: FetchReference,
    backgrounds: int | None = None,
) -> GeneIsm:
    """Toggle every variant of a gene's window, on the reference and in people's haplotypes.

    Parameters
    ----------
    backgrounds
        In how many of people's distinct haplotypes, the commonest first; all where ``None``.
    """
    distinct = Distinct(valuer, ism_window(gene, valuer))
    found = Toggled.of(gene, distinct, read_variants, fetch_reference, backgrounds)
    return found.effects(distinct.values, len(distinct), distinct.flop)


@dataclass(frozen=True, slots=True, eq=False)
class Toggled:
    """The sequences of a window that are to be compared, as rows among distinct ones."""

    gene_id: str
    carried: Backgrounds
    people: NDArray[np.intp]
    pairs: Pairs
    rows: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        gene: Gene,
        distinct: Distinct,
        read_variants: ReadVariants,
        fetch_reference: FetchReference,
        backgrounds: int | None,
    ) -> Toggled:
        """Build them; `distinct` has them afterwards."""
        window = ism_window(gene, distinct.valuer)
        carried = Backgrounds.of_people(window, read_near(window, read_variants))
        columns = carried.columns.shape[1]
        people = _haplotype_rows(carried, distinct, fetch_reference)
        last = columns if backgrounds is None else min(columns, 1 + backgrounds)
        pairs = carried.pairs(carried.inside, np.arange(last))
        return cls(
            gene.gene_id, carried, people, pairs, _pair_rows(carried, pairs, distinct, fetch_reference)
        )

    def effects(self, values: Float, distinct: int, flop: float) -> GeneIsm:
        """From (S, T) values of the distinct sequences."""
        inside, rows, pairs = self.carried.inside, self.rows, self.pairs
        change = values[rows[:, 1]] - values[rows[:, 0]]  # (P, T)
        alone = pairs.background == REFERENCE
        personal = np.searchsorted(inside, pairs.variant[~alone])
        found = _Spread.of(len(inside), personal, rows[~alone], change[~alone])
        return GeneIsm(
            gene_id=self.gene_id,
            variants=self.carried.variants.take(inside),
            reference=values[self.people[REFERENCE]],
            effect=change[alone],
            effect_mean=found.mean,
            effect_sd=found.sd,
            share_opposite=found.share_opposite(change[alone]),
            n_backgrounds=found.count,
            predicted=values[self.people[self.carried.index]],
            asked=2 * len(pairs),
            distinct=distinct,
            flop=flop,
        )


def ism_window(gene: Gene, valuer: Valuer) -> Window:
    """The window that sequences for `valuer` have: the model's, wider where the read-out shifts it."""
    return window_of(gene, valuer.model.window, valuer.beyond)


def pair_effects(
    carried: Backgrounds, pairs: Pairs, valuer: Valuer, fetch_reference: FetchReference
) -> tuple[Float, Float]:
    """(P, T) values without the variant, and (P, T) the effects of having it."""
    distinct = Distinct(valuer, carried.window)
    rows = _pair_rows(carried, pairs, distinct, fetch_reference)
    values = distinct.values
    return values[rows[:, 0]], values[rows[:, 1]] - values[rows[:, 0]]


@dataclass(frozen=True, slots=True, eq=False)
class BackgroundEffects:
    """Effects of V variants in the distinct backgrounds that people have: B rows, a variant's together.

    Two haplotypes are one background of a variant where both their sequences, without it and with it, are
    the same: whether they carry the variant themselves makes no difference.

    Attributes
    ----------
    reference
        (V, T) on the reference.
    variant
        (B,) which of the variants.
    digest
        B texts: `Distinct.digests` of the sequence without the variant, a point, and of that with it.
    haplotypes, people
        (B,) how many haplotypes are this background, and people who have one; the most frequent first.
    without, effect
        (B, T) value without the variant, and what it adds.
    n_backgrounds
        (V,) distinct backgrounds, those that nobody is counted in included.
    distinct
        Sequences that were computed.
    """

    reference: Float
    variant: NDArray[np.intp]
    digest: list[str]
    haplotypes: NDArray[np.int64]
    people: NDArray[np.int64]
    without: Float
    effect: Float
    n_backgrounds: NDArray[np.int64]
    distinct: int


def background_effects(
    carried: Backgrounds,
    chosen: NDArray[np.intp],
    valuer: Valuer,
    fetch_reference: FetchReference,
    copies: NDArray[np.int64],
    counted: NDArray[np.bool_] | np.bool_ = np.True_,
) -> BackgroundEffects:
    """Toggle V chosen variants on the reference and in every haplotype that has room for them.

    Parameters
    ----------
    copies
        (N,) 2, or 1 where a person's two columns are one haplotype.
    counted
        (V, 1 + D) which backgrounds' haplotypes count for which variant.
    """
    pairs = carried.pairs(chosen, np.arange(carried.columns.shape[1]))
    distinct = Distinct(valuer, carried.window)
    rows = _pair_rows(carried, pairs, distinct, fetch_reference)
    values, digests = distinct.values, distinct.digests
    change = values[rows[:, 1]] - values[rows[:, 0]]
    place = np.empty(len(carried.variants), np.intp)
    place[chosen] = np.arange(len(chosen))
    alone = pairs.background == REFERENCE
    reference = np.empty((len(chosen), values.shape[1]))
    reference[place[pairs.variant[alone]]] = change[alone]
    variant, background = place[pairs.variant[~alone]], pairs.background[~alone]
    rows, change = rows[~alone], change[~alone]
    keys, once, group = np.unique(
        np.column_stack([variant, rows]), axis=0, return_index=True, return_inverse=True
    )
    group_of = np.full((len(chosen), carried.columns.shape[1]), -1, np.intp)
    group_of[variant, background] = group.reshape(-1)
    haplotypes, people = _carriers(np.where(counted, group_of, -1), carried.index, copies, len(keys))
    kept = np.flatnonzero(people)
    kept = kept[np.lexsort((-haplotypes[kept], keys[kept, 0]))]
    return BackgroundEffects(
        reference=reference,
        variant=keys[kept, 0],
        digest=[f"{digests[without]}.{digests[present]}" for _, without, present in keys[kept].tolist()],
        haplotypes=haplotypes[kept],
        people=people[kept],
        without=values[keys[kept, 1]],
        effect=change[once[kept]],
        n_backgrounds=np.bincount(keys[:, 0], minlength=len(chosen)),
        distinct=len(distinct),
    )


def _carriers(
    group_of: NDArray[np.intp], index: NDArray[np.intp], copies: NDArray[np.int64], groups: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Haplotypes and people of each group, from (V, 1 + D) each background's group; -1 is none."""
    first, second = group_of[:, index[:, 0]], group_of[:, index[:, 1]]  # (V, N)

    def count(found: NDArray[np.intp]) -> NDArray[np.int64]:
        return np.bincount(found[found >= 0], minlength=groups)

    ones = count(first)
    return ones + count(second[:, copies == 2]), ones + count(np.where(second == first, -1, second))


def _pair_rows(
    carried: Backgrounds, pairs: Pairs, distinct: Distinct, fetch_reference: FetchReference
) -> NDArray[np.intp]:
    """(P, 2) distinct sequences without and with each variant; built a part at a time."""
    rows = [np.empty((0, 2), np.intp)]
    for part in pairs.parts(max(1, _BYTES // carried.window.length)):
        found = pair_sequences(carried, part, fetch_reference)
        rows.append(distinct.rows(found.distinct)[found.index])
    return np.concatenate(rows)


def _haplotype_rows(
    carried: Backgrounds, distinct: Distinct, fetch_reference: FetchReference
) -> NDArray[np.intp]:
    """(1 + D,) distinct sequence of every background, the reference first."""
    found = haplotype_sequences(carried, fetch_reference)
    return distinct.rows(found.distinct)[found.index[:, 0]]


def saturation_stretch(gene: Gene, first: int, last: int, centre: int | None = None) -> Interval:
    """The stretch ``[first, last)`` bases from a gene's TSS, in the direction of transcription.

    Parameters
    ----------
    centre
        Position that it is counted from instead of the TSS.

    Examples
    --------
    >>> str(saturation_stretch(Gene("g", "chr1", 100, Strand.MINUS), -2, 1))
    'chr1:101-103'
    """
    place = gene.tss if centre is None else centre
    if gene.strand is Strand.MINUS:
        return Interval(gene.contig, place - last + 1, place - first + 1)
    return Interval(gene.contig, place + first, place + last)


@names_its_gene
def saturation(gene: Gene, stretch: Interval, valuer: Valuer, fetch_reference: FetchReference) -> Float:
    """Effects (n, 4, T) of every base (A, C, G, T of the forward strand) at n positions of the reference.

    The reference's own base has effect 0; where the reference is N, all are NaN.

    Raises
    ------
    ConfigError
        The stretch reaches out of the model's window.
    """
    window = ism_window(gene, valuer)
    codes = fetch_reference(window.interval)
    changed = substitutions(window, stretch, codes)
    distinct = Distinct(valuer, window)
    (reference,) = distinct.rows(codes[None])
    rows = [np.empty(0, np.intp)]
    rows += [distinct.rows(made) for made in changed.parts(max(1, _BYTES // window.length))]
    values = distinct.values
    effect = np.zeros((len(stretch), 4, values.shape[1]))
    effect[changed.place, changed.base] = values[np.concatenate(rows)] - values[reference]
    effect[changed.unknown] = np.nan
    return effect


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    """Effects over backgrounds: (V,) how many, (V, T) mean and standard deviation, and every one."""

    count: NDArray[np.int64]
    mean: Float
    sd: Float
    variant: NDArray[np.intp]
    change: Float

    @classmethod
    def of(cls, n: int, variant: NDArray[np.intp], rows: NDArray[np.intp], change: Float) -> _Spread:
        """From pairs: their variant, their (P, 2) sequences, and (P, T) effects; equal pairs count once."""
        _, once = np.unique(np.column_stack([variant, rows]), axis=0, return_index=True)
        variant, change = variant[once], change[once]
        count = np.bincount(variant, minlength=n).astype(np.int64)
        with np.errstate(invalid="ignore"):
            mean = _summed(n, variant, change) / count[:, None]
            sd = np.sqrt(_summed(n, variant, (change - mean[variant]) ** 2) / count[:, None])
        return cls(count, mean, sd, variant, change)

    def share_opposite(self, effect: Float) -> Float:
        """(V, T) share of the backgrounds in which the sign is not that of (V, T) `effect`."""
        opposite = (np.sign(self.change) * np.sign(effect[self.variant]) < 0).astype(np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(_summed(len(effect), self.variant, opposite) / self.count[:, None])


def _summed(n: int, variant: NDArray[np.intp], values: Float) -> Float:
    """(n, T) sums of (P, T) values by variant."""
    total = np.zeros((n, values.shape[1]))
    np.add.at(total, variant, values)
    return total
