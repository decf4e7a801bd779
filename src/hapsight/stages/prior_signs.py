"""Sign priors beside ISM: whether motif changes times regulators' signs know which way an eQTL goes.

What the variants of a cohort do to motifs, each variant scanned once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.effect_tables import read_effect_table
from hapsight.cohort.nouns import Dropped
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError
from hapsight.explain.motifs import Motif, flank, motif_differences
from hapsight.priors.across_genes import Ablation, over_genes
from hapsight.priors.regulons import Regulons
from hapsight.priors.signs import (
    SignSet,
    class_columns,
    held_out_odds,
    motif_signs,
    right_signs,
    signed_bits,
    signed_sizes,
)
from hapsight.priors.tables import PRIOR_SIGNS, SIGNS_LEARNED, SIGNS_OF_REGULONS
from hapsight.run.opened import Opened, Progress
from hapsight.run.sections import PriorEffectsConfig
from hapsight.stages.driver_context import Variant, allele_window
from hapsight.stages.eqtl_sets import own_eqtls

__all__ = ["CIS", "ScannedMotifs", "regulon_bits", "scan_motifs", "sign_ablation", "sign_set", "sign_sets"]

_VARIANT = ("contig", "position", "ref", "alt")
_TOGETHER = 1000
"""Variants in a scan; bounds memory, and says how far it is."""


@dataclass(frozen=True, slots=True, eq=False)
class ScannedMotifs:
    """Motif changes of n variants.

    Attributes
    ----------
    differences
        Of each variant, see `hapsight.explain.motifs.motif_differences`.
    classes
        C names.
    bits
        (n, C) see `hapsight.priors.signs.class_columns`.
    """

    motifs: tuple[Motif, ...]
    differences: tuple[dict[int, float], ...]
    classes: tuple[str, ...]
    bits: NDArray[np.float64]
    place: dict[Variant, int]

    def rows(self, table: pl.DataFrame) -> NDArray[np.intp]:
        """Where the variants of a table are among the n."""
        return np.array([self.place[v] for v in table.select(_VARIANT).iter_rows()], dtype=np.intp)


def scan_motifs(
    tables: Sequence[pl.DataFrame],
    reference: Reference,
    motifs: Sequence[Motif],
    threshold: float,
    progress: Progress,
) -> ScannedMotifs:
    """Scan all variants of tables with ``contig, position, ref, alt``, once each."""
    distinct = pl.concat([table.select(_VARIANT) for table in tables]).unique(maintain_order=True)
    variants = list(distinct.iter_rows())
    differences: list[dict[int, float]] = []
    for first in range(0, len(variants), _TOGETHER):
        progress("prior motifs", first, len(variants))
        windows = [allele_window(v, reference, flank(motifs)) for v in variants[first : first + _TOGETHER]]
        differences += motif_differences(windows, motifs, threshold)
    progress("prior motifs", len(variants), len(variants))
    classes, bits = class_columns(differences, [motif.tf_class for motif in motifs])
    place = {variant: index for index, variant in enumerate(variants)}
    return ScannedMotifs(tuple(motifs), tuple(differences), classes, bits, place)


Floats = NDArray[np.float64]
Row = dict[str, Any]

CIS = "cis"
"""Name of the set whose variants may lie anywhere in the cis window."""

_KEY = ["gene_id", "position", "ref", "alt"]


def sign_sets(opened: Opened, nominal: Iterable[pl.DataFrame], dropped: Dropped) -> dict[str, pl.DataFrame]:
    """Each gene's strongest variant in half of the people, with its slope in the other half.

    Returns
    -------
    `CIS` and the label of each model -> the columns of `hapsight.stages.eqtl_sets.EQTL_SET`, and ``effect``
    of the model. The sets of models hold the strongest of the variants that the model has an effect of.
    """
    config = opened.config.priors
    effects = {given.label: _effects(opened, given) for given in config.effects}
    sets = {}
    for label in (CIS, *effects):
        left_out = Dropped()
        chosen = own_eqtls(opened, _with_effect(nominal, effects.get(label)), config.max_p, left_out)
        for (kind, reason), names in left_out.names.items():
            for name in names:
                dropped.add(kind, f"{label}: {reason}", name)
        sets[label] = (
            chosen.join(effects[label], on=_KEY, how="left", maintain_order="left")
            if label in effects
            else chosen.with_columns(effect=pl.lit(None, pl.Float64))
        )
        if chosen.is_empty():
            raise InputError(
                "No gene has an eQTL to learn or judge signs by.",
                where=label,
                expected=f"a variant with p <= {config.max_p:g} in the first half of the people",
                got=f"{len(opened.cohort.genes)} genes without",
                fix="raise `max_p` under [priors]",
            )
    return sets


def _with_effect(nominal: Iterable[pl.DataFrame], effects: pl.DataFrame | None) -> Iterator[pl.DataFrame]:
    """The variants of each block that a model has an effect of; without a model, all."""
    for block in nominal:
        yield block if effects is None else block.join(effects, on=_KEY, how="semi", maintain_order="left")


def _effects(opened: Opened, given: PriorEffectsConfig) -> pl.DataFrame:
    """A model's effect of each gene's variants on the reference; of several tracks, their mean."""
    table = read_effect_table(given.path, "effects", ("effect", "beta", "weight"))
    own = table.for_genes(opened.cohort.genes, opened.cohort.reference.contigs).table
    return own.group_by(_KEY, maintain_order=True).agg(effect=pl.col("value").mean())


def sign_set(opened: Opened, table: pl.DataFrame, motifs: Floats, *, beside_effect: bool) -> SignSet:
    """A set of eQTLs with (n, C) motif columns, and with or without the model's effects."""
    tss = {gene.gene_id: gene.tss for gene in opened.cohort.genes}
    effect = signed_sizes(table["effect"].to_numpy())[:, None] if beside_effect else np.empty((len(table), 0))
    position = np.array([tss[name] for name in table["gene_id"]], dtype=np.int64)
    return SignSet(table["slope"].to_numpy() > 0, motifs, effect, tuple(table["contig"]), position)


def regulon_bits(opened: Opened, table: pl.DataFrame, scanned: ScannedMotifs, regulons: Regulons) -> Floats:
    """(n,) what the signs of a table of regulons make of each variant's motif changes, for its gene."""
    place = {gene.gene_id: index for index, gene in enumerate(opened.cohort.genes)}
    names = [motif.name for motif in scanned.motifs]
    signs = {name: motif_signs(names, regulons, place[name]) for name in table["gene_id"].unique()}
    pairs = zip(table["gene_id"], scanned.rows(table), strict=True)
    return np.array([signed_bits(scanned.differences[row], signs[gene_id]) for gene_id, row in pairs])


def sign_ablation(
    opened: Opened,
    label: str,
    table: pl.DataFrame,
    scanned: ScannedMotifs,
    regulons: Regulons | None,
    rng: np.random.Generator,
) -> tuple[list[Row], pl.DataFrame]:
    """Judge sign priors on one set of eQTLs: rows of the ablation, and of ``signs``."""
    rows = scanned.rows(table)
    columns = {SIGNS_LEARNED: scanned.bits[rows]}
    if regulons is not None:
        columns[SIGNS_OF_REGULONS] = regulon_bits(opened, table, scanned, regulons)[:, None]
    shuffles, beside = opened.config.priors.shuffles, label != CIS
    ablation = []
    for prior, motifs in columns.items():
        deals = [rng.permutation(len(motifs)) for _ in range(shuffles)]
        found = _judge(opened, table, motifs, deals, beside_effect=beside)
        labels = {"prior": prior, "level": "variant", "enters": "sign of an eQTL"}
        labels |= {"beside": f"ISM of {label}" if beside else "a coin", "quantity": "signs_right"}
        ablation.append(labels | found.columns())
    return ablation, _sign_rows(opened, label, table, scanned, columns)


def _judge(
    opened: Opened,
    table: pl.DataFrame,
    motifs: Floats,
    deals: list[NDArray[np.int64]],
    *,
    beside_effect: bool,
) -> Ablation:
    """Share of right signs; without the prior: the sign of the model's effect, or a coin."""
    raises = table["slope"].to_numpy() > 0

    def right(columns: Floats, beside: bool) -> Floats:
        return right_signs(held_out_odds(sign_set(opened, table, columns, beside_effect=beside))[0], raises)

    without = right_signs(table["effect"].fill_null(0.0).to_numpy(), raises)
    shuffled = np.mean([right(motifs[deal], beside_effect) for deal in deals], axis=0)
    return over_genes(without, right(motifs, beside_effect), right(motifs, False), shuffled)


def _sign_rows(
    opened: Opened, label: str, table: pl.DataFrame, scanned: ScannedMotifs, columns: dict[str, Floats]
) -> pl.DataFrame:
    """The explanation: one row per variant, what the prior says beside what the model says."""
    names = {gene.gene_id: gene.gene_name for gene in opened.cohort.genes}
    bits = columns[SIGNS_LEARNED]
    odds, stretch = held_out_odds(sign_set(opened, table, bits, beside_effect=False))
    both = None
    if label != CIS:
        both = held_out_odds(sign_set(opened, table, bits, beside_effect=True))[0]
    of_regulons = columns.get(SIGNS_OF_REGULONS)
    strongest = pl.DataFrame(list(_strongest(table, scanned)), infer_schema_length=None)
    shown = table.with_columns(
        strongest.get_columns(),
        variants=pl.lit(label),
        gene_name=pl.col("gene_id").replace_strict(names),
        stretch=pl.Series(stretch),
        prior_odds=pl.Series(odds),
        prior_and_effect_odds=pl.lit(None) if both is None else pl.Series(both),
        regulon_bits=pl.lit(None) if of_regulons is None else pl.Series(of_regulons[:, 0]),
    )
    return shown.select(pl.col(name).cast(kind) for name, kind in PRIOR_SIGNS.items())


def _strongest(table: pl.DataFrame, scanned: ScannedMotifs) -> Iterator[Row]:
    """Of each variant, the motif that changes most."""
    for row in scanned.rows(table):
        found = scanned.differences[row]
        index = max(found, key=lambda one: abs(found[one])) if found else None
        motif = None if index is None else scanned.motifs[index]
        yield {
            "motif_name": None if motif is None else motif.name,
            "motif_class": None if motif is None else motif.tf_class,
            "motif_bits": None if index is None else found[index],
            "n_motifs": len(found),
        }
