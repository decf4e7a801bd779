"""The truth as tables; their columns are in ``hapsight.tables``."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Strand, Variants
from hapsight.simulate.expression import SimulatedExpression
from hapsight.simulate.grammar import Grammar
from hapsight.simulate.truth import PeopleScores, VariantEffects
from hapsight.tables import SIMULATED_GENES, SIMULATED_VARIANTS

__all__ = ["TruthTables"]


class TruthTables:
    """Rows of the truth, gene by gene."""

    def __init__(self, grammar: Grammar, samples: Sequence[str]) -> None:
        self._grammar, self._samples = grammar, samples
        self._variants: list[dict[str, object]] = []
        self._genes: list[dict[str, object]] = []
        self._people: list[NDArray[np.float64]] = []

    def __len__(self) -> int:
        return len(self._genes)

    def add(
        self,
        gene: Gene,
        scores: PeopleScores,
        effects: VariantEffects,
        expression: SimulatedExpression,
        planted: Collection[int],
    ) -> None:
        """Add a gene; `planted` are the positions of variants that a motif was planted at."""
        heritable = expression.h2_asked > 0
        rows = self._variant_rows(gene, effects, planted) if heritable else []
        self._variants += rows
        self._people.append(expression.genetic)
        self._genes.append(
            {
                "gene_id": gene.gene_id,
                "gene_name": gene.gene_name,
                "contig": gene.contig,
                "tss": gene.tss,
                "strand": gene.strand.value if gene.strand else None,
                "n_variants": len(effects.variants),
                "n_causal": sum(bool(row["gained"] or row["lost"]) for row in rows),
                "n_planted": sum(bool(row["planted"]) for row in rows),
                "reference": scores.reference,
                "h2_asked": expression.h2_asked,
                "h2": expression.h2,
                "genetic_sd": float(np.std(expression.genetic)) if expression.h2 > 0 else 0.0,
                "noise_sd": expression.noise_sd,
                "additive_r2": _additive_r2(effects, expression) if expression.h2 > 0 else None,
            }
        )

    def variants(self) -> pl.DataFrame:
        """One row per gene and variant with an effect."""
        return pl.DataFrame(self._variants, schema=SIMULATED_VARIANTS)

    def genes(self) -> pl.DataFrame:
        """One row per gene."""
        return pl.DataFrame(self._genes, schema=SIMULATED_GENES)

    def people(self) -> pl.DataFrame:
        """One row per gene, a column of genetic values for each person."""
        values = pl.DataFrame(np.vstack(self._people), schema=list(self._samples))
        return self.genes().select("gene_id").hstack(values)

    def _variant_rows(
        self, gene: Gene, effects: VariantEffects, planted: Collection[int]
    ) -> list[dict[str, object]]:
        variants, af = effects.variants, effects.variants.af.tolist()
        acting = np.flatnonzero((effects.effect != 0) | effects.change.any(axis=1))
        return [
            {
                "gene_id": gene.gene_id,
                **_site(variants, v),
                "af": af[v],
                "tss_distance": _tss_distance(gene, int(variants.position[v])),
                "planted": int(variants.position[v]) in planted,
                "gained": self._named(effects.change[v]),
                "lost": self._named(-effects.change[v]),
                "effect": float(effects.effect[v]),
                "slope": float(effects.effect[v]) / 2,
            }
            for v in acting.tolist()
        ]

    def _named(self, change: NDArray[np.int64]) -> list[str]:
        """Motifs whose count rises, as often as it does."""
        pairs = zip(self._grammar.motifs, change.tolist(), strict=True)
        return [motif.name for motif, count in pairs for _ in range(count)]


def _site(variants: Variants, v: int) -> dict[str, object]:
    return {
        "variant_id": variants.variant_id[v],
        "contig": variants.contig,
        "position": int(variants.position[v]),
        "ref": variants.ref[v],
        "alt": variants.alt[v],
    }


def _tss_distance(gene: Gene, position: int) -> int | None:
    if gene.strand is None:
        return None
    return position - gene.tss if gene.strand is Strand.PLUS else gene.tss - position


def _additive_r2(effects: VariantEffects, expression: SimulatedExpression) -> float | None:
    """Squared correlation of genetic values with the sum of the variants' effects times dosage."""
    additive = effects.effect @ effects.variants.dosage
    if np.ptp(additive) == 0:
        return None
    return float(np.corrcoef(additive, expression.genetic)[0, 1] ** 2)
