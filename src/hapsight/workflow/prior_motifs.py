"""What the variants of a cohort do to motifs, each variant scanned once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.reference import Reference
from hapsight.explain.motifs import Motif, flank, motif_differences
from hapsight.priors.motif_columns import class_columns
from hapsight.workflow.driver_motifs import Variant, allele_window
from hapsight.workflow.opened import Progress

__all__ = ["ScannedMotifs", "scan_motifs"]

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
        (n, C) see `hapsight.priors.motif_columns.class_columns`.
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
