"""Which way a variant goes: the motifs it makes or breaks, times the signs of their regulators.

The signs come from a table of regulons, or are learned from the eQTLs of genes far away: a logistic
regression of the sign of an eQTL on the bits that each class of motifs gains with ALT. Which allele is called
ALT must not matter, so the regression has no intercept, and all its columns change sign with the alleles.

What a variant does to motifs in a few numbers: by class of motifs, or by the signs of their regulators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.explain.reliability import log_loss, ridge_logistic, stretches, within_reach
from hapsight.priors.regulons import Regulons

__all__ = [
    "PENALTIES",
    "FittedSigns",
    "SignSet",
    "choose_penalty",
    "class_columns",
    "fit_by_stretch",
    "fit_signs",
    "held_out_odds",
    "motif_signs",
    "right_signs",
    "signed_bits",
    "signed_sizes",
]

Floats = NDArray[np.float64]


def class_columns(
    differences: Sequence[dict[int, float]], classes: Sequence[str]
) -> tuple[tuple[str, ...], Floats]:
    """Bits gained with ALT by class of motifs: of each class, the motif that changes most.

    Parameters
    ----------
    differences
        Of n variants, as from `hapsight.explain.motifs.motif_differences`.
    classes
        Of each motif.

    Returns
    -------
    Names of the C classes, sorted, and (n, C) bits.
    """
    names = tuple(sorted(set(classes)))
    place = {name: column for column, name in enumerate(names)}
    table = np.zeros((len(differences), len(names)))
    for row, found in zip(table, differences, strict=True):
        for index, bits in found.items():
            column = place[classes[index]]
            if abs(bits) > abs(row[column]):
                row[column] = bits
    return names, table


def motif_signs(names: Sequence[str], regulons: Regulons, gene: int) -> Floats:
    """(M,) what a hit of each motif means for a gene: above 0, its regulator raises expression.

    A regulator's weight on this gene where the table has one, by its sign; else the regulator's own sign.
    Capitals do not matter. Of a dimer (``FOS::JUN``), the mean over those of its factors that are known; 0
    where none is.
    """
    places = {name.upper(): row for row, name in enumerate(regulons.regulators)}
    on_gene = np.sign(regulons.weight[:, gene])
    sign = np.where(on_gene != 0, on_gene, regulons.sign)
    found = np.zeros(len(names))
    for index, name in enumerate(names):
        rows = [places[factor] for factor in name.upper().split("::") if factor in places]
        if rows:
            found[index] = sign[rows].mean()
    return found


def signed_bits(differences: Mapping[int, float], signs: Floats) -> float:
    """Sum over motifs of the bits that ALT gains times the sign of the motif's regulator."""
    return float(sum(bits * signs[index] for index, bits in differences.items()))


Mask = NDArray[np.bool_]

PENALTIES: Final = (1.0, 10.0, 100.0, 1e3, 1e6)
"""Of the motifs' coefficients; the last leaves the motifs out."""

FOLDS: Final = 5
REACH: Final = 1_000_000
"""Bases from a held-out gene within which no gene is learned from."""

_FREE: Final = 1e4
"""Columns that are not to be penalised are this much larger, so their penalty is 1e8 times smaller."""


@dataclass(frozen=True, slots=True, eq=False)
class SignSet:
    """n variants whose sign is known, one for a gene.

    Attributes
    ----------
    raises
        (n,) whether ALT raises the gene's expression.
    motifs
        (n, C) bits gained with ALT, by class of motifs: see `hapsight.priors.signs`.
    free
        (n, P) other columns that change sign with the alleles, such as ISM effects; P may be 0.
    contig, position
        (n,) of the genes' TSS.
    """

    raises: Mask
    motifs: Floats
    free: Floats
    contig: tuple[str, ...]
    position: NDArray[np.int64]

    def __post_init__(self) -> None:
        sizes = {len(self.raises), len(self.motifs), len(self.free), len(self.contig), len(self.position)}
        if len(sizes) > 1 or not (np.isfinite(self.motifs).all() and np.isfinite(self.free).all()):
            raise InputError(
                "The parts of a set of signs do not fit each other, or a number is not finite.",
                expected=f"{len(self.raises)} variants in every part",
                got=f"motifs {self.motifs.shape}, others {self.free.shape}, {len(self.contig)} contigs",
            )

    def take(self, chosen: Mask) -> SignSet:
        """The variants where this mask is true."""
        contig = tuple(name for name, here in zip(self.contig, chosen, strict=True) if here)
        return SignSet(
            self.raises[chosen], self.motifs[chosen], self.free[chosen], contig, self.position[chosen]
        )


def signed_sizes(effect: Floats) -> Floats:
    """Effects (n,) on a scale on which a few large ones do not decide: ``asinh(effect / typical)``.

    Typical is the median size of those other than 0. The sign is kept.
    """
    size = np.abs(effect[effect != 0])
    scaled: Floats = np.arcsinh(effect / (np.median(size) if len(size) else 1.0))
    return scaled


@dataclass(frozen=True, slots=True, eq=False)
class FittedSigns:
    """What was learned: a coefficient of each class of motifs (C,), per bit, and of each free column (P,)."""

    motifs: Floats
    free: Floats

    def odds(self, motifs: Floats, free: Floats) -> Floats:
        """(n,) log odds that ALT raises expression, of (n, C) motifs and (n, P) free columns."""
        odds: Floats = motifs @ self.motifs + free @ self.free
        return odds


def fit_signs(given: SignSet, penalty: float) -> FittedSigns:
    """Ridge logistic regression without intercept; classes share one coefficient and depart from it.

    Every variant enters both ways round, with its alleles exchanged as well, which leaves no intercept.
    """
    changed = given.motifs[given.motifs != 0]
    scale = float(np.sqrt(np.mean(changed**2))) if len(changed) else 1.0
    motifs = given.motifs / scale
    columns = np.column_stack([motifs.sum(axis=1), motifs, _FREE * given.free])
    both_ways = np.vstack([columns, -columns])
    found = ridge_logistic(both_ways, np.concatenate([given.raises, ~given.raises]), 2.0 * penalty)[1:]
    split = motifs.shape[1] + 1
    return FittedSigns((found[0] + found[1:split]) / scale, _FREE * found[split:])


def choose_penalty(given: SignSet) -> float:
    """Of `PENALTIES`, that of the best likelihood of genes in held-out stretches; the largest of equals."""
    odds = np.zeros((len(PENALTIES), len(given.raises)))
    for held_out, training in _stretches(given, given.contig, given.position):
        if len(training.raises):
            asked = given.motifs[held_out], given.free[held_out]
            for row, penalty in zip(odds, PENALTIES, strict=True):
                row[held_out] = fit_signs(training, penalty).odds(*asked)
    losses = [log_loss(row, given.raises) for row in odds]
    return min(reversed(PENALTIES), key=lambda one: losses[PENALTIES.index(one)])


def fit_by_stretch(
    given: SignSet, contig: Sequence[str], position: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[FittedSigns]]:
    """For each of `FOLDS` stretches of G genes, what eQTLs of genes elsewhere say.

    Genes within `REACH` of one of the stretch are not learned from. The penalty is chosen inside the training
    genes, by the same kind of folds.

    Parameters
    ----------
    contig, position
        (G,) of the genes that signs are wanted for; they need not be those of `given`.

    Returns
    -------
    (G,) stretch of each gene, and what was learned for each stretch: nothing (zeros) where no gene is left.
    """
    fold = stretches(contig, position, FOLDS)
    fits = []
    for _, training in _stretches(given, contig, position):
        if len(training.raises):
            fits.append(fit_signs(training, choose_penalty(training)))
        else:
            fits.append(FittedSigns(np.zeros(given.motifs.shape[1]), np.zeros(given.free.shape[1])))
    return fold, fits


def held_out_odds(given: SignSet) -> tuple[Floats, NDArray[np.int64]]:
    """Log odds that ALT raises expression, by `fit_by_stretch` for the same genes.

    Returns
    -------
    (n,) log odds, 0 where nothing is known, and (n,) the stretch in which each gene was held out.
    """
    fold, fits = fit_by_stretch(given, given.contig, given.position)
    odds = np.zeros(len(fold))
    for number, fitted in enumerate(fits):
        here = fold == number
        odds[here] = fitted.odds(given.motifs[here], given.free[here])
    return odds, fold


def right_signs(score: Floats, raises: Mask) -> Floats:
    """(n,) 1 where a score has the sign of the eQTL, 0 where the other, 1/2 where it is 0: a coin."""
    right: Floats = np.where(score == 0, 0.5, ((score > 0) == raises).astype(np.float64))
    return right


def _stretches(
    given: SignSet, contig: Sequence[str], position: NDArray[np.int64]
) -> list[tuple[Mask, SignSet]]:
    """For each stretch of G genes: which are in it, (G,), and what of `given` is out of its reach."""
    fold = stretches(contig, position, FOLDS)
    names, places = [*given.contig, *contig], np.concatenate([given.position, position])
    none = np.zeros(len(given.raises), np.bool_)
    found = []
    for number in range(FOLDS):
        held_out = fold == number
        near = within_reach(names, places, np.concatenate([none, held_out]), REACH)
        found.append((held_out, given.take(~near[: len(none)])))
    return found
