"""How much the bases around a main driver matter, where saturation mutagenesis was saved of them."""

from __future__ import annotations

from itertools import takewhile
from typing import Any, Final

from hapsight.cohort.nouns import Gene, Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import N_CODE
from hapsight.explain.driver_summary import RUNS
from hapsight.explain.neighbourhood import importance, neighbourhood
from hapsight.workflow.saturation import Saturation

__all__ = ["DRIVER_REACH", "TSS_REACH", "neighbourhood_columns"]

Row = dict[str, Any]

TSS_REACH: Final = 1_000
"""Bases on either side of the TSS whose largest importance is the measure (Sasse et al. 2023)."""
DRIVER_REACH: Final = 20
"""Bases on either side of the driver that are looked at."""


def neighbourhood_columns(
    row: Row, gene: Gene, saturation: Saturation, track: str, reference: Reference
) -> Row:
    """Columns ``share_of_tss_max`` and `RUNS` of a row of `hapsight.workflow.driver_rows`.

    Empty where the row has no driver, where `saturation` does not hold the bases around the TSS and around
    the driver, where one of these is N, and where no base near the TSS matters at all. Of an indel, the
    place is the first base of the reference that it does not share with its other allele.
    """
    from hapsight.explain.ism import saturation_stretch

    if row.get("position") is None:
        return {}
    place = row["position"] + _shared(row["ref"], row["alt"])
    near_driver = Interval(gene.contig, place - DRIVER_REACH, place + DRIVER_REACH + 1)
    near_tss = saturation_stretch(gene, -TSS_REACH, TSS_REACH)
    stretch = saturation.stretch
    if not (_holds(stretch, near_driver) and _holds(stretch, near_tss)):
        return {}
    codes, driver, tss = reference.fetch(stretch), _part(stretch, near_driver), _part(stretch, near_tss)
    values = importance(saturation.of(track), codes)
    if N_CODE in codes[driver] or N_CODE in codes[tss] or not values[tss].any():
        return {}
    found = neighbourhood(values, place - stretch.start, values[tss], DRIVER_REACH)
    return {"share_of_tss_max": found.share_of_max, **dict(zip(RUNS, found.runs, strict=True))}


def _shared(ref: str, alt: str) -> int:
    """Bases that both alleles begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ref, alt, strict=False)))


def _holds(outer: Interval, inner: Interval) -> bool:
    return outer.contig == inner.contig and outer.start <= inner.start and inner.end <= outer.end


def _part(outer: Interval, inner: Interval) -> slice:
    """Where `inner` lies among the bases of `outer`."""
    return slice(inner.start - outer.start, inner.end - outer.start)
