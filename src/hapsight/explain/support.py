"""Support of a driver: does the effect that a model gives it point where a measured effect points.

Three measured effects, which say different things:

(a) *The same cohort's eQTL.* Nearly circular. A driver carries its gene's prediction over people, so where
    the prediction correlates with expression, its slope on expression has, almost by construction, the sign
    that the correlation has. It tells which way a gene goes, not why.
(b) *The other half of the people.* Genes are chosen, and their direction is told, in half 1; slopes are
    estimated in half 2. The noise of expression no longer favours agreement, but what travels with the
    driver (LD) does so in both halves: a sign that is wrong because of a neighbour stays wrong.
(c) *Any table of effects*: fine-mapped variants, MPRA, allelic imbalance. Of these only a measurement of the
    variant itself is free of LD.

How often the sign of a driver is right by the model, by a prior, and by the prior where there is one.

The control of a prior is the same scores shuffled among the same drivers. Of all ways to shuffle
them, the number of agreeing signs has a hypergeometric distribution: mean, range and p are exact, and nothing
is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from hapsight.cohort.alleles import Aligned, WeightRow, align_weights
from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.effect_tables import EffectTable, read_effect_table, weight_rows
from hapsight.cohort.nouns import Gene, Variants
from hapsight.errors import InputError
from hapsight.stats.direction import Share, same_sign, share_true

__all__ = ["GivenEffects", "prior_shares", "read_effects", "shuffled_share", "supported"]

Float = NDArray[np.float64]


def supported(effect: float | None, slope: float | None) -> bool | None:
    """Whether two effects of one allele have the same sign; None where one is not known or 0.

    Examples
    --------
    >>> supported(-0.2, -3.0), supported(-0.2, 3.0), supported(0.1, None)
    (True, False, None)
    """
    if effect is None or slope is None or not np.isfinite([effect, slope]).all() or effect == 0 or slope == 0:
        return None
    return bool((effect > 0) == (slope > 0))


@dataclass(frozen=True, slots=True, eq=False)
class GivenEffects:
    """Effects that the user gives, to be laid on the variants of a gene.

    Attributes
    ----------
    given
        ``value`` is per copy of ALT.
    """

    given: EffectTable

    @property
    def path(self) -> Path:
        """The table's file."""
        return self.given.path

    def for_genes(self, genes: Sequence[Gene], contigs: Mapping[str, int]) -> GivenEffects:
        """Those of a cohort's genes; see `EffectTable.for_genes`."""
        return GivenEffects(self.given.for_genes(genes, contigs))

    def holding(self, genes: Sequence[Gene]) -> GivenEffects:
        """Those that may be of variants near these genes."""
        return GivenEffects(self.given.holding(genes))

    def on(self, gene_id: str, variants: Variants) -> Float:
        """(V,) effect per copy of ALT of the cohort's variants; NaN where the table has none.

        Variants are found by place, and alleles aligned, as for PredictDB weights
        (`hapsight.cohort.alleles`): exchanged alleles turn the sign, other strands are recognised, and what
        could be either is not used.

        Raises
        ------
        InputError
            Two effects fall on one variant, such as one for either allele.
        """
        aligned = self.laid(gene_id, variants)
        return np.where(aligned.used, aligned.weights, np.nan)

    def laid(self, gene_id: str, variants: Variants) -> Aligned:
        """What becomes of the rows near a gene's variants; errors as of `on`."""
        aligned = align_weights(self.near(gene_id, variants), variants)
        aligned.require_one_each(self.given.what, f"{self.path}, gene {gene_id}")
        return aligned

    def near(self, gene_id: str, variants: Variants) -> tuple[WeightRow, ...]:
        """Rows of a gene, or of any, that lie among the variants or have the rsID of one."""
        if not len(variants):
            return ()
        own = pl.col("gene_id").is_null() | (pl.col("gene_id") == gene_id)
        first, last = int(variants.position[0]), int(variants.end.max())
        here = (pl.col("contig") == plain_contig(variants.contig)) & pl.col("position").is_between(
            first, last
        )
        named = (pl.col("rsid") != "") & pl.col("rsid").is_in(set(variants.variant_id))
        return weight_rows(self.given.table.filter(own & (here | named)))


def read_effects(path: Path) -> GivenEffects:
    """Read a table of measured effects of variants.

    Parameters
    ----------
    path
        Text or Parquet, with ``beta`` (or ``effect``, ``weight``) per copy of the alternative allele; see
        `hapsight.cohort.effect_tables`. ``gene_id`` is optional: with it, an effect counts for that gene
        only.

    Raises
    ------
    InputError
        Columns are missing, an allele is no DNA, an effect is no finite number, or a variant comes twice.
    """
    return GivenEffects(read_effect_table(path, "effects", ("beta", "effect", "weight")))


def prior_shares(effect: Float, score: Float, slope: Float) -> Iterator[tuple[str, Share]]:
    """Shares of n drivers whose sign is that of a measured slope.

    Parameters
    ----------
    effect, slope
        (n,) of the model and as measured, per ALT allele; not 0.
    score
        (n,) of the prior; 0 where it says nothing.

    Yields
    ------
    ``prior_known``
        Drivers that have a prior; without p.
    ``prior_agrees``
        Of these, where model and prior have one sign.
    ``sign_by_model``, ``sign_by_prior``
        Of these, where the model, and the prior, has the sign of the slope. The p of the prior is against its
        control (Fisher, two-sided).
    ``sign_by_prior_shuffled``
        The control: mean over all ways to shuffle the scores, and the range of 95 % of them; without p.
    ``sign_by_either``, ``sign_by_either_shuffled``
        Of all drivers, by the prior where there is one and else by the model; p against the model alone
        (McNemar, exact).

    Raises
    ------
    InputError
        An effect or a slope is 0 or not finite.
    """
    for name, values in (("effect", effect), ("slope", slope)):
        if not (np.isfinite(values) & (values != 0)).all():
            raise InputError(
                f"A driver's {name} has no sign.", expected="numbers other than 0", got=values.min()
            )
    known = score != 0
    by_model, by_prior = same_sign(effect, slope), same_sign(score, slope)
    yield "prior_known", share_true(known)._replace(pval=None)
    yield "prior_agrees", share_true(same_sign(effect, score)[known])
    yield "sign_by_model", share_true(by_model[known])
    p = _fisher(score[known], slope[known])
    yield "sign_by_prior", share_true(by_prior[known])._replace(pval=p)
    yield "sign_by_prior_shuffled", shuffled_share(score[known], slope[known])
    either = np.where(known, by_prior, by_model)
    yield "sign_by_either", share_true(either)._replace(pval=_mcnemar(either, by_model))
    rest = int(by_model[~known].sum())
    yield "sign_by_either_shuffled", shuffled_share(score[known], slope[known], rest, int((~known).sum()))


def shuffled_share(score: Float, slope: Float, more_right: int = 0, more: int = 0) -> Share:
    """Share of right signs where n scores are shuffled: the mean, and the range of 95 % of all shuffles.

    Parameters
    ----------
    more_right, more
        Drivers beside these n whose sign is not shuffled: how many are right, of how many.
    """
    n, total = len(score), len(score) + more
    if not total:
        return Share(None, 0, None, None, None)
    up, raises = int((score > 0).sum()), int((slope > 0).sum())
    both = scipy.stats.hypergeom(n, raises, up)  # deals that give so many scores above 0 to slopes above 0

    def share(count: float) -> float:
        return float((n - up - raises + 2.0 * count + more_right) / total)

    mean = raises * up / n if n else 0.0
    low, high = (float(both.ppf(q)) for q in (0.025, 0.975)) if n else (0.0, 0.0)
    return Share(share(mean), total, share(low), share(high), None)


def _fisher(score: Float, slope: Float) -> float | None:
    if not len(score):
        return None
    up, raises = score > 0, slope > 0
    table = [[int((a & b).sum()) for a in (up, ~up)] for b in (raises, ~raises)]
    return float(scipy.stats.fisher_exact(table).pvalue)


def _mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float | None:
    """Exact p of two judgements of the same drivers; None where they never differ."""
    differ = int((one != other).sum())
    return float(scipy.stats.binomtest(int((one & ~other).sum()), differ).pvalue) if differ else None
