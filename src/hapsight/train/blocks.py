"""Parts of a chromosome to train on, to validate on, and to test on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.nouns import Interval
from hapsight.errors import ConfigError

__all__ = ["ALWAYS_TEST", "Blocks", "is_inside", "parse_interval", "split_blocks"]

ALWAYS_TEST: Final = Interval("chr22", 36_000_000, 40_500_000)
"""What nothing of hapsight is ever trained on; GRCh38."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of one contig that do not touch each other; sorted.

    Attributes
    ----------
    train
        What is left of the region, a guard away from every other block.
    """

    train: tuple[Interval, ...]
    validation: tuple[Interval, ...]
    test: tuple[Interval, ...]


def split_blocks(
    region: Interval, *, validation: Iterable[Interval], test: Iterable[Interval], guard: int
) -> Blocks:
    """Cut a region into blocks; `ALWAYS_TEST` is a test block without being asked for.

    Parameters
    ----------
    guard
        Bases between a block and what is trained on: the reach of the model.

    Raises
    ------
    ConfigError
        Blocks that overlap, lie outside of the region, or leave nothing to train on.
    """
    always = _common(ALWAYS_TEST, region)
    tested = _merged([*test, *always])
    validated = tuple(sorted(validation, key=_start))
    held_out = sorted([*tested, *validated], key=_start)
    for block in held_out:
        if not is_inside(block, region):
            raise ConfigError(
                "A block that is held out lies outside of the region.", expected=f"within {region}", got=block
            )
    for first, second in pairwise(held_out):
        if first.end > second.start:
            raise ConfigError(
                "Blocks that are held out overlap.",
                expected="test and validation blocks apart from each other",
                got=f"{first} and {second}",
            )
    train = _between(region, held_out, guard)
    if not train:
        raise ConfigError(
            "Nothing is left to train on.", where=region, got=f"{len(held_out)} blocks held out"
        )
    return Blocks(train, validated, tested)


def is_inside(inner: Interval, outer: Interval) -> bool:
    """Whether an interval lies wholly in another one."""
    return _same_contig(inner, outer) and outer.start <= inner.start and inner.end <= outer.end


def parse_interval(text: str) -> Interval:
    """Read ``chr22:36,000,001-40,500,000``, 1-based and closed as in a genome browser.

    Raises
    ------
    ConfigError
        Another form.
    """
    contig, _, span = text.partition(":")
    first, _, last = span.replace(",", "").partition("-")
    if not (contig and first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last)):
        raise ConfigError(
            "A stretch of a chromosome cannot be read.",
            expected="chr22:36,000,001-40,500,000",
            got=repr(text),
        )
    return Interval(contig, int(first) - 1, int(last))


def _merged(blocks: Sequence[Interval]) -> tuple[Interval, ...]:
    """Test blocks as they are, those that overlap or touch as one."""
    merged: list[Interval] = []
    for block in sorted(blocks, key=_start):
        last = merged[-1] if merged else None
        if last is not None and _same_contig(block, last) and block.start <= last.end:
            merged[-1] = Interval(last.contig, last.start, max(last.end, block.end))
        else:
            merged.append(block)
    return tuple(merged)


def _between(region: Interval, held_out: Sequence[Interval], guard: int) -> tuple[Interval, ...]:
    starts = [region.start, *(block.end + guard for block in held_out)]
    ends = [*(block.start - guard for block in held_out), region.end]
    spans = zip(starts, ends, strict=True)
    return tuple(Interval(region.contig, start, end) for start, end in spans if start < end)


def _common(a: Interval, b: Interval) -> list[Interval]:
    """What two intervals share, if anything."""
    start, end = max(a.start, b.start), min(a.end, b.end)
    return [Interval(b.contig, start, end)] if _same_contig(a, b) and start < end else []


def _same_contig(a: Interval, b: Interval) -> bool:
    return plain_contig(a.contig) == plain_contig(b.contig)


def _start(block: Interval) -> int:
    return block.start
