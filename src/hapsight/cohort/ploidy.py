"""Who has one copy of a place: of chrX outside the pseudo-autosomal regions (PAR), and of chrY."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.contigs import plain_contig
from hapsight.errors import InputError

__all__ = ["BUILDS", "Build", "OneCopy", "Ploidy", "Sex", "build_of", "parse_sex", "parse_sexes"]

Mask = NDArray[np.bool_]


class Sex(StrEnum):
    """Which sex chromosomes a person has: XX or XY."""

    FEMALE = "female"
    MALE = "male"


_MALE: Final = frozenset({"1", "1.0", "m", "male", "man", "xy"})
_FEMALE: Final = frozenset({"2", "2.0", "f", "female", "woman", "xx"})
_UNKNOWN: Final = frozenset({"", "0", "0.0", "-9", ".", "na", "n/a", "nan", "none", "null", "u", "unknown"})


class Build(NamedTuple):
    """A genome build: how long its chrX is, and the PARs of it, 0-based and half-open."""

    name: str
    length: int
    par: tuple[tuple[int, int], ...]


BUILDS: Final = (
    Build("GRCh37", 155_270_560, ((0, 2_699_520), (154_931_043, 155_270_560))),
    Build("GRCh38", 156_040_895, ((0, 2_781_479), (155_701_382, 156_040_895))),
)
"""From the Genome Reference Consortium; the borders are those of ``plink2 --split-par``."""


def build_of(length: int) -> Build | None:
    """The build whose chrX is so long; ``None`` where it is none of `BUILDS`."""
    return next((build for build in BUILDS if build.length == length), None)


def parse_sex(text: str | None, where: object) -> Sex | None:
    """A person's sex as files have it; ``None`` where they say that it is not known.

    Raises
    ------
    InputError
        It is none of the words that the field uses.

    Examples
    --------
    >>> parse_sex("M", "samples.tsv"), parse_sex("2", "a.psam"), parse_sex("NA", "a.psam")
    (<Sex.MALE: 'male'>, <Sex.FEMALE: 'female'>, None)
    """
    word = (text or "").strip().lower()
    if word in _UNKNOWN:
        return None
    if word in _MALE or word in _FEMALE:
        return Sex.MALE if word in _MALE else Sex.FEMALE
    raise InputError(
        "A sex is none that is known.",
        where=where,
        expected="male, M, XY or 1; female, F, XX or 2; NA, 0 or nothing where it is not known",
        got=text,
    )


def parse_sexes(people: Iterable[tuple[str, str | None]], where: object) -> dict[str, Sex]:
    """Sex of each person of whom it is known.

    Raises
    ------
    InputError
        As `parse_sex`; names the person.
    """
    parsed = ((name, parse_sex(text, f"{where}, {name}")) for name, text in people)
    return {name: sex for name, sex in parsed if sex is not None}


@dataclass(frozen=True, slots=True, eq=False)
class OneCopy:
    """Variants of which some people have one copy, not two: V variants, N people.

    Both columns of such a person's alleles hold the one that is there, so their mean is that haplotype's
    value, and their sum twice it.

    Attributes
    ----------
    rows
        (V,) variants of which these people have one copy.
    people
        (N,) these people.
    dosage
        Of such a person with ALT in linear methods: 2, as a homozygous woman, or 1.
    """

    rows: Mask
    people: Mask
    dosage: Literal[1, 2] = 2

    def mask(self) -> Mask:
        """(V, N) who has one copy of what."""
        return self.rows[:, None] & self.people

    def coded(self, alleles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(V, N) dosages for linear methods from sums of the two columns, which are 0 or 2 of one copy."""
        return np.where(self.mask(), alleles // 2, alleles) if self.dosage == 1 else alleles

    def counts(self, dosage: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(V,) ALT alleles and all alleles, each copy counted once, from dosages (V, N) as `coded`."""
        twice = dosage[:, self.people].sum(axis=1, dtype=np.float64) * (self.dosage - 1) / 2
        alt = dosage.sum(axis=1, dtype=np.float64) - self.rows * twice
        return alt, 2 * len(self.people) - self.rows * int(self.people.sum())

    def af(self, dosage: NDArray[Any]) -> NDArray[np.float64]:
        """(V,) frequency of ALT among all copies, from dosages (V, N) as `coded`."""
        alt, total = self.counts(dosage)
        return alt / total

    def take(self, rows: NDArray[Any] | slice) -> Self:
        """Of these variants: a mask (V,), their numbers, or a run of them."""
        return type(self)(self.rows[rows], self.people, self.dosage)

    def compress(self, people: Mask) -> Self:
        """Of these people: a mask (N,)."""
        return type(self)(self.rows, self.people[people], self.dosage)


@dataclass(frozen=True, slots=True)
class Ploidy:
    """What is known of people's sex chromosomes; where it is not, calls are taken as they are written.

    Attributes
    ----------
    men, women
        People whose sex is known.
    par
        Pseudo-autosomal regions of chrX, 0-based and half-open; ``None`` where they are not known.
    dosage
        Of a man's ALT on chrX in linear methods (see `OneCopy`).
    """

    men: frozenset[str] = frozenset()
    women: frozenset[str] = frozenset()
    par: tuple[tuple[int, int], ...] | None = None
    dosage: Literal[1, 2] = 2

    def one_copy(self, contig: str, position: NDArray[np.int64], samples: Sequence[str]) -> OneCopy | None:
        """Who has one copy of which of these places (V,); ``None`` where everybody has two of all."""
        plain = plain_contig(contig).upper()
        if plain not in {"X", "Y"}:
            return None
        rows = self.is_outside_par(position) if plain == "X" else np.ones(len(position), np.bool_)
        men = np.array([name in self.men for name in samples], np.bool_)
        return OneCopy(rows, men, self.dosage) if rows.any() and men.any() else None

    def is_outside_par(self, position: NDArray[np.int64]) -> Mask:
        """(V,) places of chrX that are known to be of one copy in men."""
        outside = np.full(len(position), self.par is not None, np.bool_)
        for start, end in self.par or ():
            outside &= (position < start) | (position >= end)
        return outside

    def depends_on_sex(self, contig: str, position: int) -> bool:
        """Whether a place is known to be one that men have one copy of, women another number."""
        plain = plain_contig(contig).upper()
        return plain == "Y" or (plain == "X" and bool(self.is_outside_par(np.array([position]))[0]))

    def needed(self, contig: str, person: str) -> str | None:
        """What is to be known before a person's call with one allele can be read; ``None``: nothing more."""
        plain = plain_contig(contig).upper()
        if plain in {"X", "Y"} and person not in self.men | self.women:
            return "the person's sex (column sex of the sample sheet: male or female)"
        if plain == "X" and self.par is None:
            return "the pseudo-autosomal regions of this chrX (par under [cohort])"
        return None

    def of(self, sexes: Mapping[str, Sex], samples: Sequence[str], length: int | None) -> Self:
        """With the sexes of these people, and the PARs of the build whose chrX is so long, if not given."""
        build = None if length is None else build_of(length)
        par = self.par if self.par is not None or build is None else build.par
        men, women = (
            frozenset(name for name in samples if sexes.get(name) is sex) for sex in (Sex.MALE, Sex.FEMALE)
        )
        return type(self)(men, women, par, self.dosage)
