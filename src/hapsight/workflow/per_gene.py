"""Rows of the per-gene table: a correlation, and how every test judges it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.evaluate.correlation import correlate, effective_people
from hapsight.evaluate.folds import fold_p
from hapsight.evaluate.nulls import (
    TESTS,
    benjamini_hochberg,
    empirical_p,
    null_test,
    permutation_null,
    permutations,
    random_weights_null,
    weights_stream,
)
from hapsight.streams import stream
from hapsight.tables import PER_GENE
from hapsight.workflow.arms import Arm, Comparison
from hapsight.workflow.opened import Opened

__all__ = ["Chance", "gene_row", "with_qvalues"]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Chance:
    """What the nulls of all genes of a run have in common.

    Attributes
    ----------
    draws
        Of random weights, for each gene from its own seed.
    orders
        (D, N) permutations of people within populations, the same for every gene and model.
    drawn
        Random-weights nulls by what they depend on: several methods meet the same genotypes and expression.
    """

    draws: int
    seed: int
    orders: NDArray[np.intp]
    drawn: dict[str, Float] = field(default_factory=dict)

    @classmethod
    def of(cls, opened: Opened) -> Self:
        """Draw the permutations of a run, from its seed."""
        config = opened.config
        rng = stream(config.seed, "permutations of people")
        orders = permutations(opened.cohort.populations, config.evaluate.permutations, rng)
        return cls(config.evaluate.null_draws, config.seed, orders)

    def random_weights(self, one: Comparison) -> Float:
        """(draws,) abs(r) of random weights on a gene's variants, drawn once for each outcome."""
        digest = hashlib.sha256(one.gene.gene_id.encode() + one.observed.tobytes() + one.dosage.tobytes())
        key = digest.hexdigest()
        if key not in self.drawn:
            rng = weights_stream(self.seed, one.gene.gene_id)
            self.drawn[key] = random_weights_null(one.dosage, one.observed, self.draws, rng)
        return self.drawn[key]


def gene_row(arm: Arm, one: Comparison, chance: Chance) -> dict[str, Any]:
    """Make a row of ``per_gene``, its q-values still missing."""
    gene = one.gene
    row: dict[str, Any] = {
        **dict.fromkeys(PER_GENE),
        "gene_id": gene.gene_id,
        "gene_name": gene.gene_name,
        "contig": gene.contig,
        "tss": gene.tss,
        "strand": gene.strand.value if gene.strand else None,
        **arm.labels(),
        "observed": arm.observed,
        "n": len(one.observed),
        "n_variants": len(one.dosage),
        "n_distinct": one.n_distinct,
        "prediction_sd": float(np.std(one.predicted, ddof=1)),
        "share_used": one.share_used,
        "share_weight_used": one.share_weight_used,
    }
    if one.status is not None:
        return row | {"status": one.status}
    found = correlate(one.predicted, one.observed)
    row |= asdict(found)
    if found.pearson_r is None:
        bare = not len(one.dosage) and found.status == "constant_prediction"
        return row | {"status": "no_variants" if bare else found.status}
    if not np.any(one.dosage != one.dosage[:, :1]):  # only phase, or what an indel brings in, differs
        return row | dict.fromkeys(asdict(found)) | {"n": found.n, "status": "no_variable_variant"}
    row["effective_people"] = effective_people(one.predicted, one.observed)
    return row | _judged(found.pearson_r, one, chance)


def _judged(r: float, one: Comparison, chance: Chance) -> dict[str, Any]:
    """Columns of every test of `r` that needs a null."""
    exchanged = permutation_null(one.predicted, one.observed, chance.orders)
    row = asdict(null_test(r, chance.random_weights(one)))
    row["pval_permutation"] = empirical_p(abs(r), exchanged)
    if one.fold is not None:
        row["pval_folds"] = fold_p(one.predicted, one.observed, one.fold)
    return row


def with_qvalues(table: pl.DataFrame, test: str) -> pl.DataFrame:
    """Fill in ``qval_<test>`` of every test, over the ``ok`` rows, and ``qval``: that of `test`."""
    ok = (table["status"] == "ok").to_numpy()
    columns = {name: _qvalues(table[f"pval_{name}"].to_numpy(), ok) for name in TESTS}
    return table.with_columns(
        pl.Series("qval", columns[test]).fill_nan(None),
        *(pl.Series(f"qval_{name}", qval).fill_nan(None) for name, qval in columns.items()),
    )


def _qvalues(pvalues: Float, ok: NDArray[np.bool_]) -> Float:
    """(G,) q over the genes that are ok and have this p; NaN for the others."""
    judged = ok & np.isfinite(pvalues)
    qval = np.full(len(pvalues), np.nan)
    qval[judged] = benjamini_hochberg(pvalues[judged])
    return qval
