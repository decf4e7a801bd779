"""Expression of a gene: its genetic values, confounders and noise, on a positive scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.simulate.design import Design

__all__ = ["SimulatedExpression", "draw_confounders", "draw_expression"]

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
