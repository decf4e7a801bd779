"""Weights of other people's variants on this cohort's variants: the same place, the same alleles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.nouns import Variants
from hapsight.errors import InputError

__all__ = ["OUTCOMES", "Aligned", "Place", "WeightRow", "align_weights", "outcome_of", "place_of"]

OUTCOMES: Final = (
    *("same", "swapped", "flipped", "flipped_swapped"),
    *("ambiguous", "other_alleles", "other_build", "absent"),
)
"""What becomes of a weight; the first four are used. *Flipped*: the other strand. *Ambiguous*: known by its
rsID only, or in a table that is partly of the other strand, with alleles that are each other's complement, so
that strand and exchange cannot be told apart. *Other build*: its place is of another build, and its rsID was
not found."""

_USED: Final = OUTCOMES[:4]
_SWAPPED: Final = ("swapped", "flipped_swapped")
_OTHER_STRAND: Final = 0.05
"""Share of a gene's weights whose strand is certain that may be of the other one by accident."""
_COMPLEMENT: Final = str.maketrans("ACGT", "TGCA")
_VAR_ID: Final = re.compile(
    r"(?:chr)?([^_:]+)[_:](\d+)[_:]([ACGTN]+)[_:]([ACGTN]+)(?:[_:]\w+)?", re.IGNORECASE
)


class Place(NamedTuple):
    """Where a varID lies: the contig without ``chr``, and the 0-based position."""

    contig: str
    position: int


class WeightRow(NamedTuple):
    """One weight, per copy of ``eff_allele``.

    Attributes
    ----------
    place
        Where the variant lies; else ``var_id`` may say it.
    other_build
        Its place is not known in this build.
    """

    rsid: str
    var_id: str
    ref_allele: str
    eff_allele: str
    weight: float
    place: Place | None = None
    other_build: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Weights of one gene on the V variants of the cohort.

    Attributes
    ----------
    weights
        (V,) per copy of ALT.
    intercept
        What the exchanged alleles add: prediction = intercept + weights @ linear dosage. Of everyone alike,
        or (N,) where some people have one copy.
    counts
        Weights by `OUTCOMES`.
    used_weight
        Share of the sum of absolute weights that is used; 1 where that sum is 0.
    used
        (V,) which variants carry a weight.
    """

    weights: NDArray[np.float64]
    intercept: float | NDArray[np.float64]
    counts: Mapping[str, int]
    used_weight: float
    used: NDArray[np.bool_]

    @property
    def share_used(self) -> float | None:
        """Share of the weights that is used; None without any."""
        return self.n_used / sum(self.counts.values()) if any(self.counts.values()) else None

    @property
    def n_used(self) -> int:
        """Weights that are used."""
        return sum(self.counts[name] for name in _USED)

    def require_one_each(self, what: str, where: object) -> None:
        """Refuse two weights on one variant, such as one for either allele.

        Raises
        ------
        InputError
            There are such.
        """
        on = int(self.used.sum())
        if self.n_used > on:
            raise InputError(
                f"Two {what} fall on one variant.",
                where=where,
                expected=f"{on} {what}, one for each variant",
                got=f"{self.n_used} {what}",
                fix="keep one row per variant (and gene)",
            )


def place_of(var_id: str) -> Place | None:
    """Place of a varID ``chr22_1000_A_G_b38``, with or without ``chr`` and build; None for other forms.

    Examples
    --------
    >>> place_of("chr22_1000_A_G_b38")
    Place(contig='22', position=999)
    """
    found = _VAR_ID.fullmatch(var_id)
    return Place(found[1], int(found[2]) - 1) if found else None


def outcome_of(ref: str, alt: str, row: WeightRow, placed: bool) -> str:
    """How a weight's alleles fit a variant's; one of `OUTCOMES` but ``"absent"``.

    Parameters
    ----------
    placed
        Whether the varID named the place. Its alleles are then those of the reference's forward strand;
        an rsID alone leaves the strand open.
    """
    theirs = (row.ref_allele, row.eff_allele)
    ambiguous = ref == alt.translate(_COMPLEMENT)
    if theirs == (ref, alt):
        return "same"
    if theirs == (alt, ref):
        return "ambiguous" if ambiguous and not placed else "swapped"
    flipped = tuple(allele.translate(_COMPLEMENT) for allele in theirs)
    if len(ref) == len(alt) == 1 and flipped == (ref, alt):
        return "flipped"
    if len(ref) == len(alt) == 1 and flipped == (alt, ref):
        return "flipped_swapped"
    return "other_alleles"


def align_weights(rows: Sequence[WeightRow], variants: Variants) -> Aligned:
    """Put weights on the variants of the cohort: by the place that the varID names, else by the rsID.

    Of several variants at a place or of one name (split records), the one whose alleles fit is taken. The
    weight of an exchanged pair of alleles is turned: ``w (c - g)`` for a dosage g of ALT among c copies,
    which are 2, or 1 of a man's chrX where linear methods see it so.
    """
    found = _without_doubtful([*map(_Finder(variants), rows)], variants)
    weights, counts = np.zeros(len(variants)), Counter(dict.fromkeys(OUTCOMES, 0))
    used, kept = np.zeros(len(variants), np.bool_), 0.0
    intercept: float | NDArray[np.float64] = 0.0
    for row, (outcome, index) in zip(rows, found, strict=True):
        counts[outcome] += 1
        if outcome in _USED:
            turned = outcome in _SWAPPED
            weights[index] += -row.weight if turned else row.weight
            intercept = intercept + row.weight * _copies(variants, index) if turned else intercept
            kept += abs(row.weight)
            used[index] = True
    total = sum(abs(row.weight) for row in rows)
    return Aligned(weights, intercept, dict(counts), kept / total if total else 1.0, used)


def _without_doubtful(found: list[tuple[str, int]], variants: Variants) -> list[tuple[str, int]]:
    """What became of a gene's weights, those of A/T and C/G as ambiguous where their strand is not known.

    Where other weights are of the other strand, a place does not say that these are of the forward one.
    """
    if not any(outcome.startswith("flipped") for outcome, _ in found):
        return found
    own = [outcome in _USED and _is_own_complement(variants, v) for outcome, v in found]
    certain = [
        outcome
        for (outcome, v), both in zip(found, own, strict=True)
        if outcome in _USED and not both and len(variants.ref[v]) == len(variants.alt[v]) == 1
    ]
    if sum(outcome.startswith("flipped") for outcome in certain) <= _OTHER_STRAND * len(certain):
        return found
    return [("ambiguous", -1) if both else one for one, both in zip(found, own, strict=True)]


def _is_own_complement(variants: Variants, v: int) -> bool:
    return variants.ref[v] == variants.alt[v].translate(_COMPLEMENT)


def _copies(variants: Variants, index: int) -> float | NDArray[np.float64]:
    """Copies of a variant that a person can carry as linear methods count them: of all alike, or (N,)."""
    one = variants.one_copy
    return np.where(one.people, 1.0, 2.0) if one and one.dosage == 1 and one.rows[index] else 2.0


class _Finder:
    """Finds the variant that a weight belongs to."""

    def __init__(self, variants: Variants) -> None:
        self._variants = variants
        self._contig = plain_contig(variants.contig)
        self._by_place = _index(variants.position.tolist())
        self._by_name = _index(variants.variant_id)

    def __call__(self, row: WeightRow) -> tuple[str, int]:
        """What becomes of the weight, and the index of its variant (-1 where it is absent)."""
        place = row.place or place_of(row.var_id)
        here = place is not None and place.contig == self._contig
        near = self._by_place.get(place.position, []) if place is not None and here else []
        found = self._best(row, near, placed=True)
        if found[0] in _USED:
            return found
        named = self._by_name.get(row.rsid, []) if row.rsid else []
        if named or not row.other_build:
            return self._best(row, named, placed=False) if named else found
        return "other_build", -1

    def _best(self, row: WeightRow, near: Sequence[int], placed: bool) -> tuple[str, int]:
        ref, alt = self._variants.ref, self._variants.alt
        for v in near:  # what is nearly always so, and the best that there is
            if ref[v] == row.ref_allele and alt[v] == row.eff_allele:
                return "same", v
        found = [(outcome_of(ref[v], alt[v], row, placed), v) for v in near]
        return min(found, key=lambda one: OUTCOMES.index(one[0]), default=("absent", -1))


def _index(names: Iterable[object]) -> dict[object, list[int]]:
    found: dict[object, list[int]] = {}
    for index, name in enumerate(names):
        found.setdefault(name, []).append(index)
    return found
