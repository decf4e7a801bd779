"""What the variants in the genes' windows are like: one result for each concern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.genotype_store import lenient_policy
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.phase_sets import ACROSS_SETS, people_across_sets
from hapsight.cohort.policies import HARD_CALLS, PLOIDY_CONFLICT, UNKNOWN_CALLS
from hapsight.cohort.reference import Reference

__all__ = ["CheckResult", "count_overlaps", "merge_intervals", "scan_sites"]

Status = Literal["pass", "warn", "fail"]

_STRETCH: Final = 2_000_000
_SHOWN: Final = 20
_OTHER_REF: Final = ("REF differs from the FASTA",)
_NO_DNA: Final = (
    "symbolic allele",
    "spanning deletion (*)",
    "breakend",
    "allele is not A, C, G, T or N",
    "ALT equals REF",
    "no alternative allele",
)


@dataclass(frozen=True)
class CheckResult:
    """How one concern fared: its name, the verdict, one sentence, and the first instances."""

    name: str
    status: Status
    message: str
    details: tuple[str, ...] = ()


def scan_sites(genotypes: Genotypes, reference: Reference, windows: Sequence[Interval]) -> list[CheckResult]:
    """Read every variant of the windows once, without stopping at bad ones, and say what was found.

    Raises
    ------
    InputError
        The file is damaged, or a call is not diploid.
    """
    lenient = genotypes.keeping(genotypes.samples, lenient_policy(genotypes.policy))
    dropped, overlaps, count = Dropped(), Counter[str](), 0
    for stretch in _stretches(merge_intervals(windows)):
        variants, left_out = lenient.read(stretch, reference)
        count += len(variants)
        dropped.merge(left_out)
        overlaps.update(count_overlaps(variants))
    policy = genotypes.policy
    return [
        CheckResult("variants", "pass" if count else "fail", f"{count:,} usable variants in the windows"),
        _verdict("REF", "every REF equals the FASTA", dropped, _OTHER_REF, policy.ref_mismatch),
        *(
            [_verdict("ploidy", "all calls fit", dropped, (PLOIDY_CONFLICT,), policy.ploidy_conflict)]
            if policy.ploidy.men
            else []
        ),
        _verdict("phase", "all phased", dropped, ("unphased heterozygote",), policy.unphased),
        _verdict("missing genotypes", "none", dropped, UNKNOWN_CALLS, policy.missing),
        _verdict("duplicates", "none", dropped, ("duplicate record",), policy.duplicates),
        _verdict("alleles", "all are DNA sequence", dropped, _NO_DNA, "drop"),
        _overlap_verdict(overlaps),
        *_phase_sets(lenient, reference, windows),
    ]


def _verdict(name: str, good: str, dropped: Dropped, reasons: tuple[str, ...], policy: str) -> CheckResult:
    rows = [row for row in dropped.rows() if row["reason"] in reasons]
    if not rows:
        return CheckResult(name, "pass", good)
    message = "; ".join(f"{row['count']:,} {row['kind']}s: {row['reason']}" for row in rows)
    names = [record for key, found in dropped.names.items() if key[1] in reasons for record in found]
    mend = [f"to mend: {HARD_CALLS}"] if any("dosage" in str(row["reason"]) for row in rows) else []
    status: Status = "fail" if policy == "error" else "warn"
    return CheckResult(name, status, message, tuple(names[:_SHOWN] + mend))


def _overlap_verdict(overlaps: Counter[str]) -> CheckResult:
    if not overlaps:
        return CheckResult("overlapping variants", "pass", "no haplotype carries two variants that overlap")
    message = f"{len(overlaps):,} pairs of variants overlap on {sum(overlaps.values()):,} haplotypes"
    return CheckResult("overlapping variants", "warn", message, tuple(overlaps)[:_SHOWN])


def _phase_sets(
    genotypes: Genotypes, reference: Reference, windows: Sequence[Interval]
) -> Iterator[CheckResult]:
    """Whether people's haplotypes are known throughout a window, where a file has phase sets."""
    if not genotypes.has_phase_sets:
        return
    found = people_across_sets(genotypes, (genotypes.read(window, reference)[0] for window in windows))
    split = [f"{window}: {people} people" for window, people in zip(windows, found, strict=True) if people]
    if not split:
        yield CheckResult("phase sets", "pass", "every window is in one phase set of each person")
        return
    message = f"{len(split):,} of {len(windows):,} windows span two phase sets of a person"
    yield CheckResult("phase sets", "warn", message, (*split[:_SHOWN], ACROSS_SETS))


def count_overlaps(variants: Variants) -> Counter[str]:
    """Haplotypes that carry both of two variants whose REFs share a base, for each such pair."""
    pairs = Counter[str]()
    stops = np.searchsorted(variants.position, variants.end)  # the first row that starts beyond this one
    for row in np.flatnonzero(stops > np.arange(1, len(variants) + 1)).tolist():
        for other in range(row + 1, int(stops[row])):
            both = int((variants.alleles[row] & variants.alleles[other]).sum())
            if both:
                pairs[f"{_name(variants, row)} and {_name(variants, other)}"] = both
    return pairs


def _name(variants: Variants, row: int) -> str:
    return f"{variants.contig}:{variants.position[row] + 1} {variants.ref[row]}>{variants.alt[row]}"


def merge_intervals(intervals: Iterable[Interval]) -> list[Interval]:
    """The union of intervals, sorted, without overlaps.

    Examples
    --------
    >>> [str(i) for i in merge_intervals([Interval("1", 5, 9), Interval("1", 0, 6), Interval("1", 20, 30)])]
    ['1:1-9', '1:21-30']
    """
    merged: list[Interval] = []
    for interval in sorted(intervals, key=lambda i: (i.contig, i.start, i.end)):
        last = merged[-1] if merged else None
        if last is not None and last.contig == interval.contig and interval.start <= last.end:
            merged[-1] = Interval(last.contig, last.start, max(last.end, interval.end))
        else:
            merged.append(interval)
    return merged


def _stretches(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """Intervals cut to a length whose genotypes fit in memory."""
    for interval in intervals:
        for start in range(interval.start, interval.end, _STRETCH):
            yield Interval(interval.contig, start, min(start + _STRETCH, interval.end))
