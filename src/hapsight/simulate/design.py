"""What to simulate: a grammar of motifs, and expression that follows from it.

The planted grammar says what a haplotype's motifs say about a gene, the same for all genes. Expression of a
gene: its genetic values, confounders and noise, on a positive scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.tables import numbers, read_table, require_unique
from hapsight.dna import Codes
from hapsight.errors import ConfigError

__all__ = [
    "DEFAULT_MOTIFS",
    "Design",
    "Grammar",
    "Heritability",
    "Instances",
    "Motif",
    "SimulatedExpression",
    "draw_confounders",
    "draw_expression",
    "read_motifs",
]

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


@dataclass(frozen=True, slots=True)
class Heritability:
    """Share of the variance that the planted grammar explains, of what confounders leave.

    Attributes
    ----------
    value
        The same for all genes, or
    shape
        the two shapes of a Beta distribution, from which each gene draws.

    Raises
    ------
    ConfigError
        A value outside [0, 1), or a shape that is not positive.
    """

    value: float = 0.3
    shape: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.value < 1 or not all(0 < one < np.inf for one in self.shape or ()):
            raise ConfigError(
                "The heritability is out of range.",
                expected="0 or more and below 1, or two positive shapes of a Beta distribution",
                got=self.value if self.shape is None else self.shape,
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``"0.3"`` or ``"beta:2,5"``.

        Raises
        ------
        ConfigError
            Neither of the two forms, or out of range.
        """
        try:
            if not text.startswith("beta:"):
                return cls(float(text))
            first, second = text.removeprefix("beta:").split(",")
            return cls(shape=(float(first), float(second)))
        except ValueError:
            raise ConfigError(
                "The heritability cannot be read.", expected="a number, or beta:2,5", got=repr(text)
            ) from None

    def draw(self, rng: np.random.Generator) -> float:
        """A gene's heritability; below 1 even where the Beta distribution rounds up to it."""
        return self.value if self.shape is None else float(min(rng.beta(*self.shape), 0.999))


@dataclass(frozen=True, slots=True)
class Design:
    """What to simulate.

    Attributes
    ----------
    people, genes
        How many.
    fewer
        Take fewer genes where the source has not so many that will do.
    planted
        Variants of each gene at which a motif is planted; 0 leaves the reference as it is.
    min_maf
        Least frequency, among the source's people, of a variant that is planted at.
    switch_rate
        Changes of the copied haplotype per base; 1e-5 copies 100 kb at a time on average.
    flank
        Genotypes are written within so many bases of a TSS.
    confounders, confounder_share
        How many covariates act on expression, and their share of its variance.
    mean, gene_sd
        Of genes' expression, log10, beside what the grammar says of the reference sequence.
    noise_sd
        Of expression, log10, where a gene has no genetic variance that would set it.

    Raises
    ------
    ConfigError
        A number out of its range.
    """

    people: int = 500
    genes: int = 200
    fewer: bool = False
    heritability: Heritability = field(default_factory=Heritability)
    grammar: Grammar = field(default_factory=Grammar)
    planted: int = 3
    min_maf: float = 0.05
    switch_rate: float = 1e-5
    flank: int = 100_000
    confounders: int = 5
    confounder_share: float = 0.2
    mean: float = 1.0
    gene_sd: float = 0.3
    noise_sd: float = 0.15
    seed: int = 1

    def __post_init__(self) -> None:
        for name, least, most in (
            ("people", 2, np.inf),
            ("genes", 1, np.inf),
            ("planted", 0, np.inf),
            ("min_maf", 0, 0.5),
            ("switch_rate", 0, 0.1),
            ("flank", self.grammar.reach, np.inf),
            ("confounders", 0, np.inf),
            ("confounder_share", 0, 0.99),
            ("gene_sd", 0, np.inf),
            ("noise_sd", 0, np.inf),
            ("seed", 0, np.inf),
        ):
            given = getattr(self, name)
            if not least <= given <= most:
                raise ConfigError(
                    f"{name} is out of range.",
                    expected=f"{least} or more" if most == np.inf else f"{least} to {most}",
                    got=given,
                    fix="flank is at least the grammar's reach" if name == "flank" else None,
                )


Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedExpression:
    """One gene in N people.

    Attributes
    ----------
    values
        (N,) expression, positive; its log10 is the sum of the parts.
    genetic
        (N,) what the grammar says of each person, log10; one value for all where nothing is heritable.
    h2_asked, h2
        Share of the variance of genetic values and noise that is genetic: as asked, and in these people.
    noise_sd
        Of the distribution that noise is drawn from, log10.
    """

    values: Float
    genetic: Float
    h2_asked: float
    h2: float
    noise_sd: float


def draw_confounders(design: Design, rng: np.random.Generator) -> Float:
    """(N, C) standard normal covariates."""
    return rng.standard_normal((design.people, design.confounders))


def draw_expression(
    score: Float, reference: float, confounders: Float, design: Design, rng: np.random.Generator
) -> SimulatedExpression:
    """Draw one gene's expression.

    ``log10 y = offset + genetic + confounders + noise``. The variance of noise follows from the genetic
    variance and the heritability, so that a motif does the same in every gene. Where the heritability drawn
    is 0, everyone has the reference's genetic value.

    Parameters
    ----------
    score
        (N,) what the grammar says of each person: the mean of the two haplotypes.
    reference
        What it says of the reference sequence.
    """
    h2 = design.heritability.draw(rng)
    genetic = score if h2 > 0 else np.full_like(score, reference)
    spread = float(np.var(genetic)) if np.ptp(genetic) > 0 else 0.0
    noise_sd = float(np.sqrt(spread * (1 - h2) / h2)) if spread > 0 else design.noise_sd
    noise = noise_sd * rng.standard_normal(len(score))
    confounding = _confounding(confounders, design.confounder_share, spread + noise_sd**2, rng)
    offset = design.mean + design.gene_sd * rng.standard_normal()
    total = float(np.var(genetic + noise))
    realised = spread / total if total > 0 else 0.0
    values = np.power(10.0, offset + genetic + confounding + noise)
    return SimulatedExpression(values, genetic, h2, realised, noise_sd)


def _confounding(confounders: Float, share: float, rest: float, rng: np.random.Generator) -> Float:
    """(N,) a random sum of confounders that has `share` of the variance beside a variance of `rest`."""
    effect = confounders @ rng.standard_normal(confounders.shape[1])
    sd = float(np.std(effect))
    return effect * (np.sqrt(rest * share / (1 - share)) / sd) if sd > 0 else np.zeros(len(confounders))
