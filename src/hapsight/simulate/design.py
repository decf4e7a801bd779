"""What to simulate.

Expression of a gene: its genetic values, confounders and noise, on a positive scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import ConfigError
from hapsight.simulate.grammar import Grammar

__all__ = ["Design", "Heritability", "SimulatedExpression", "draw_confounders", "draw_expression"]


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
