"""Which way a variant goes: the motifs it makes or breaks, times the signs of their regulators; its tables.

The signs come from a table of regulons, or are learned from the eQTLs of genes far away: a logistic
regression of the sign of an eQTL on the bits that each class of motifs gains with ALT. Which allele is
called ALT must not matter, so the regression has no intercept, and all its columns change sign with the
alleles.

What a variant does to motifs in a few numbers: by class of motifs, or by the signs of their regulators.

Tables of sign priors, whoever made them: of variants, which way ALT should take the expression of a gene.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.effect_tables import EffectTable, effect_table
from hapsight.cohort.nouns import Gene, Variants
from hapsight.cohort.tables import read_table
from hapsight.errors import InputError
from hapsight.explain.reliability import log_loss, ridge_logistic, stretches, within_reach
from hapsight.explain.support import GivenEffects
from hapsight.priors.regulons import Regulons
from hapsight.tables import GENE

__all__ = [
    "PENALTIES",
    "PRIOR_SCORES",
    "PRIOR_SIGNS",
    "SCORES",
    "SIGNS_LEARNED",
    "SIGNS_OF_REGULONS",
    "FittedSigns",
    "SignPriors",
    "SignSet",
    "choose_penalty",
    "class_columns",
    "fit_by_stretch",
    "fit_signs",
    "held_out_odds",
    "motif_signs",
    "read_sign_priors",
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


SIGNS_LEARNED: Final = "motifs, signs learned"
SIGNS_OF_REGULONS: Final = "motifs, signs of regulons"

PRIOR_SCORES: Final = {
    "prior": pl.String,
    "gene_id": pl.String,
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "score": pl.Float64,
}
"""``priors/scores.{learned,regulons}.parquet``: one row per gene and variant near its TSS."""

PRIOR_SIGNS: Final = {
    "variants": pl.String,
    **GENE,
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "distance": pl.Int64,
    "slope": pl.Float64,
    "effect": pl.Float64,
    "motif_name": pl.String,
    "motif_class": pl.String,
    "motif_bits": pl.Float64,
    "n_motifs": pl.Int64,
    "stretch": pl.Int64,
    "prior_odds": pl.Float64,
    "prior_and_effect_odds": pl.Float64,
    "regulon_bits": pl.Float64,
}
"""``priors/signs.parquet``: one row per set of variants and gene, the sign prior beside ISM."""


SCORES: Final = ("score", "sign", "prior_odds")
"""Columns that may hold the score; the first that is there counts."""


class SignPriors:
    """Scores of variants, above 0 where ALT should raise expression; their size is how sure that is.

    Attributes
    ----------
    names
        What the table calls its priors (column ``prior``); empty where it does not say.
    """

    def __init__(self, given: GivenEffects, names: tuple[str, ...]) -> None:
        self._given = given
        self.names = names

    @property
    def typical(self) -> float:
        """Median size of the scores other than 0; 1 where there are none."""
        size = np.abs(self._given.given.table["value"].to_numpy())
        return float(np.median(size[size > 0])) if (size > 0).any() else 1.0

    def shuffled(self, rng: np.random.Generator) -> SignPriors:
        """The control: the same variants with the same sizes, and the signs shuffled among all of them."""
        dealt = self._given.given.table["value"].to_numpy().copy()
        known = dealt != 0
        dealt[known] = np.abs(dealt[known]) * rng.permutation(np.sign(dealt[known]))
        table = self._given.given.table.with_columns(value=pl.Series(dealt))
        return SignPriors(GivenEffects(replace(self._given.given, table=table)), self.names)

    def for_genes(self, genes: Sequence[Gene], contigs: Mapping[str, int]) -> SignPriors:
        """Those of a cohort's genes; see `hapsight.cohort.effect_tables.EffectTable.for_genes`."""
        return SignPriors(self._given.for_genes(genes, contigs), self.names)

    def holding(self, genes: Sequence[Gene]) -> SignPriors:
        """Those that may be of variants near these genes."""
        return SignPriors(self._given.holding(genes), self.names)

    @property
    def table(self) -> EffectTable:
        """The scores as they were read."""
        return self._given.given

    @property
    def path(self) -> Path:
        """The table."""
        return self._given.path

    def on(self, gene_id: str, variants: Variants) -> NDArray[np.float64]:
        """(V,) scores of a gene's variants; 0 where nothing is known.

        Found and aligned as measured effects are (`hapsight.explain.support.GivenEffects.on`): exchanged
        alleles turn the sign.
        """
        return np.nan_to_num(self._given.on(gene_id, variants), nan=0.0)


def read_sign_priors(path: Path) -> SignPriors:
    """Read a table of sign priors.

    Parameters
    ----------
    path
        Text or Parquet with a score per variant in the first of the columns `SCORES` that is there, and
        where the variant is: ``contig, position`` (from 0), ``ref, alt``, as hapsight's own tables have it
        (``priors/scores.*.parquet``; of ``priors/signs.parquet`` the rows with ``variants = "cis"``), or
        ``chrom, pos`` (from 1), ``ref, alt``, or ``variant_id`` (``chr22_1000_A_G``). With ``gene_id``, a
        score counts for that gene only.

    Raises
    ------
    InputError
        Columns are missing, a score is no finite number, or a variant comes twice.
    """
    table = read_table(path, "sign priors")
    table = table.rename({name: name.lower().lstrip("#") for name in table.columns})
    score = next((name for name in SCORES if name in table.columns), None)
    if score is None:
        raise InputError(
            "The table of sign priors has no score.",
            where=path,
            expected=f"a column {' or '.join(SCORES)}: above 0 where ALT should raise expression",
            got=", ".join(table.columns),
        )
    if "variants" in table.columns:
        table = table.filter(pl.col("variants") == "cis")
    given = effect_table(path, table, "sign priors", (score,))
    return SignPriors(GivenEffects(given), _names(table, score))


def _names(table: pl.DataFrame, score: str) -> tuple[str, ...]:
    """What the priors of a table are called; log odds are of signs that were learned."""
    if score == "prior_odds":
        return (SIGNS_LEARNED,)
    return tuple(table["prior"].cast(pl.String).unique().sort()) if "prior" in table.columns else ()
