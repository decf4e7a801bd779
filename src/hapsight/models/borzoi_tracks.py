"""Borzoi's published list of tracks: their names, strands, and how their training data were squashed.

The list is ``targets.txt`` of the PyTorch release: tab-separated, one line a track in the order of the
head, with ``identifier`` (``CNhs12332+``), ``clip_soft``, ``scale``, ``sum_stat``, ``strand_pair`` (the index
of the same track on the other strand, or the track's own) and ``description`` (``RNA:GM12878``).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hapsight.errors import WeightsError
from hapsight.models.catalogue import BORZOI_TARGETS
from hapsight.models.protocol import Track
from hapsight.models.targets import text_lines
from hapsight.models.weights import find, verify

if TYPE_CHECKING:
    import torch

__all__ = ["Squash", "Target", "published_targets", "read_targets"]

TRACKS: Final = 7_611
COLUMNS: Final = ("", "identifier", "clip_soft", "scale", "sum_stat", "strand_pair", "description")
EXPONENTS: Final = {"mean": 1.0, "sum": 1.0, "sum_sqrt": 0.75}
"""Statistic of a bin -> the power it was raised to; the ``sqrt`` of the name is 3/4 in the published data."""


@dataclass(frozen=True, slots=True)
class Squash:
    """What was done to a track's coverage before training: a power, a soft clip, a scale.

    Attributes
    ----------
    clip_soft
        What lies above it was replaced by its square root above it.
    """

    exponent: float
    clip_soft: float
    scale: float

    def undo(self, x: torch.Tensor) -> torch.Tensor:
        """Coverage of bins (of any shape) from what the model predicts.

        The reverse of ``scale * soft(coverage ** exponent)``, where soft(y) is y up to `clip_soft` = c
        and ``c + sqrt(y - c)`` above (Linder et al. 2025, Methods).
        """
        y = x / self.scale
        above = (y - self.clip_soft).clamp(min=0)
        return (y + above**2 - above) ** (1 / self.exponent)


@dataclass(frozen=True, slots=True)
class Target:
    """A track and what belongs to it; without the published list, most of it is unknown.

    Attributes
    ----------
    pair
        Index of the same track on the other strand, its own for a track without strand; None: unknown.
    squash
        None: unknown.
    """

    track: Track
    pair: int | None = None
    squash: Squash | None = None


def published_targets() -> tuple[Target, ...]:
    """The published list if it is in the weights folder, else 7,611 tracks known by index.

    Without the list only the GM12878 tracks of the read-outs are known: CAGE 870/871, RNA 6112 to 6117.

    Raises
    ------
    WeightsError
        The file is there and is not the published one.
    """
    path = find(BORZOI_TARGETS)
    if path is None:
        return tuple(_GM12878.get(i) or _unnamed(i) for i in range(TRACKS))
    verify(path, str(BORZOI_TARGETS.sha256))
    return read_targets(path)


def read_targets(path: Path, count: int = TRACKS) -> tuple[Target, ...]:
    """Read a list of `count` tracks in the published format.

    Raises
    ------
    WeightsError
        Not such a table; another number of tracks; a line out of order, with a number that is none, an
        unknown statistic, or a strand pair that is not mutual.
    """
    table = csv.DictReader(text_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    lacking = [column for column in COLUMNS if column not in (table.fieldnames or ())]
    if lacking:
        raise WeightsError(
            "A list of Borzoi's tracks lacks columns.",
            where=path,
            expected="tab-separated: an index without a name, " + ", ".join(COLUMNS[1:]),
            got=", ".join(table.fieldnames or ()) or "an empty file",
        )
    targets = tuple(_target(row, number, path) for number, row in enumerate(table))
    if len(targets) != count:
        raise WeightsError(
            "A list of tracks is not of this model: the head has another number.",
            where=path,
            expected=f"{count} tracks",
            got=f"{len(targets)} tracks",
        )
    _check_pairs(targets, path)
    return targets


def _target(row: dict[str, str | None], number: int, path: Path) -> Target:
    index, name, clip_soft, scale, statistic, pair, description = (row[column] or "" for column in COLUMNS)
    try:
        if index != str(number) or not name or not description:
            raise ValueError(f"index {index or 'missing'}, {name!r}, {description!r}")
        squash = Squash(EXPONENTS[statistic], float(clip_soft), float(scale))
        strand = name[-1] if name[-1] in "+-" else "."
        return Target(_track(name, description, strand, statistic, scale), int(pair), squash)
    except (ValueError, KeyError) as error:
        raise WeightsError(
            "A line of a list of Borzoi's tracks is broken.",
            where=f"{path}, line {number + 2}",
            expected=f"index {number}, names, numbers, and a statistic of {', '.join(EXPONENTS)}",
            got=error,
        ) from error


def _track(name: str, description: str, strand: str, statistic: str, scale: str) -> Track:
    parts = description.split(":", 2 if description.startswith("CHIP:") else 1)
    units = f"coverage per 32 bases, squashed: {statistic}, times {scale}"
    return Track(name, ":".join(parts[:-1]) or "unknown", parts[-1], strand, units)


def _check_pairs(targets: Sequence[Target], path: Path) -> None:
    for index, target in enumerate(targets):
        pair = target.pair
        if pair is None or not 0 <= pair < len(targets) or targets[pair].pair != index:
            raise WeightsError(
                "The strand pairs of a list of Borzoi's tracks do not point at each other.",
                where=f"{path}, line {index + 2}",
                got=f"track {index} points at {pair}",
            )


def _unnamed(index: int) -> Target:
    return Target(Track(f"track {index}", "unknown", "unknown", ".", "coverage per 32 bases, squashed"))


def _known(index: int, experiment: str, description: str, statistic: str, scale: str) -> Target:
    """A track of a list in which even indices are the plus strand and the next one is its minus strand."""
    strand = "-" if index % 2 else "+"
    track = _track(experiment + strand, description, strand, statistic, scale)
    return Target(track, index ^ 1, Squash(EXPONENTS[statistic], 384.0, float(scale)))


_CAGE: Final = ("CNhs12332", "CAGE:B lymphoblastoid cell line: GM12878 ENCODE, biol_", "sum", "1.0")
_RNA: Final = ("ENCFF470BSF", "ENCFF617ZDV", "ENCFF993POP")
_GM12878: Final = {i: _known(i, *_CAGE) for i in (870, 871)} | {
    i: _known(i, _RNA[(i - 6112) // 2], "RNA:GM12878", "sum_sqrt", "0.3") for i in range(6112, 6118)
}
