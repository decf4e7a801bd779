"""What a variant does to motifs in a few numbers: by class of motifs, or by the signs of their regulators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.regulons import Regulons

__all__ = ["class_columns", "motif_signs", "signed_bits"]

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
