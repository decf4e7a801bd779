"""Phase sets (FORMAT PS, PSL): haplotypes of two sets are not known to be of one parent."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import pysam
from numpy.typing import NDArray

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Interval, Variants

__all__ = ["ACROSS_SETS", "PhaseSets", "people_across_sets", "phase_set_tag", "read_phase_sets"]

PhaseSets = NDArray[np.int64]
"""(N,) or (V, N) number of a call's phase set; only whether two are equal has a meaning."""

ACROSS_SETS: Final = (
    "haplotypes of models are by chance there, dosages are right; phase the file anew as one set "
    "(for example with SHAPEIT or Beagle)"
)
"""What a window of two phase sets means."""


def phase_set_tag(header: str) -> str | None:
    """Which tag of a VCF's header tells the phase set; ``None`` without one.

    Examples
    --------
    >>> phase_set_tag('##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">')
    'PS'
    """
    return next((tag for tag in ("PS", "PSL") if f"##FORMAT=<ID={tag}," in header), None)


def read_phase_sets(path: Path, tag: str, interval: Interval, variants: Variants) -> PhaseSets:
    """(V, N) phase sets of the heterozygous calls of variants that were read from `interval` of a VCF or BCF.

    Others, and those without a set, are 0; by the VCF specification the latter are in one set.
    """
    het = variants.alleles[:, :, 0] != variants.alleles[:, :, 1]
    rows = dict[tuple[int, str], list[int]]()
    for row, site in enumerate(zip(variants.position.tolist(), variants.ref, strict=True)):
        rows.setdefault(site, []).append(row)
    sets = np.zeros(het.shape, np.int64)
    with pysam.VariantFile(str(path)) as file:
        for record in file.fetch(interval.contig, interval.start, interval.end):
            for row in rows.pop((record.start, str(record.ref).upper()), ()):
                for person in np.flatnonzero(het[row]).tolist():
                    sets[row, person] = _number(record.samples[variants.samples[person]].get(tag))
    return sets


def _number(name: object) -> int:
    return 0 if name in (None, ".", (None,)) else 1 + zlib.crc32(repr(name).encode())


def people_across_sets(genotypes: Genotypes, windows: Iterable[Variants]) -> list[int]:
    """How many people have heterozygous calls of two phase sets, in each window's variants.

    Their haplotypes there are not known: which of a set's two goes with which of the next one's is chance.
    """
    return [_across(variants, genotypes.phase_sets(variants)) if len(variants) else 0 for variants in windows]


def _across(variants: Variants, sets: PhaseSets) -> int:
    het = variants.alleles[:, :, 0] != variants.alleles[:, :, 1]
    bounds = np.iinfo(np.int64)
    lowest = np.where(het, sets, bounds.max).min(axis=0)
    highest = np.where(het, sets, bounds.min).max(axis=0)
    return int((lowest < highest).sum())
