"""The published list of tracks that Basenji2 and Enformer predict, and how to find one in it.

The file is calico/basenji's ``manuscripts/cross2020/targets_human.txt``: tab-separated, one line a
track, in the order of the models' heads, with ``index``, ``identifier``, and a ``description`` such as
``CAGE:brain, adult,`` or ``CHIP:CTCF:MCF-7``.

Borzoi's published list of tracks: their names, strands, and how their training data were squashed.

The list is ``targets.txt`` of the PyTorch release: tab-separated, one line a track in the order of the
head, with ``identifier`` (``CNhs12332+``), ``clip_soft``, ``scale``, ``sum_stat``, ``strand_pair`` (the index
of the same track on the other strand, or the track's own) and ``description`` (``RNA:GM12878``).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hapsight.errors import ConfigError, Listed, WeightsError
from hapsight.models.catalogue import BORZOI_TARGETS, TARGETS
from hapsight.models.protocol import Track
from hapsight.models.weights import cache_folder, find, verify

if TYPE_CHECKING:
    import torch

__all__ = [
    "Squash",
    "Target",
    "find_tracks",
    "human_tracks",
    "published_targets",
    "read_borzoi_targets",
    "read_targets",
    "text_lines",
    "unnamed_tracks",
]

HUMAN: Final = "targets_human.txt"
"""Name of the human list in the weights folder."""

COLUMNS: Final = ("index", "identifier", "description")
UNITS: Final = "reads per 128 bases, as in training (scaled and clipped)"
_HOW: Final = f"run `hapsight models fetch enformer`, or download {TARGETS.url} into the weights folder"
LONGEST: Final = 100_000
"""Letters of a line."""

LISTED: Final = 8
"""Candidates that an error names."""


def read_targets(path: Path) -> tuple[Track, ...]:
    """Read the tracks in the file's order, which is the order of the head's outputs.

    A track's `name` is its identifier (``CNhs12333``); `assay` is the description's first word with, for
    ChIP, its second (``CAGE``, ``CHIP:CTCF``), and `cell_type` the rest.

    Raises
    ------
    WeightsError
        Not a table with these columns, or lines that are missing, doubled or out of order.
    """
    table = csv.DictReader(text_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    lacking = [column for column in COLUMNS if column not in (table.fieldnames or ())]
    if lacking:
        raise WeightsError(
            "A list of tracks lacks columns.",
            where=path,
            expected=f"tab-separated columns {', '.join(COLUMNS)}",
            got=", ".join(table.fieldnames or ()) or "an empty file",
        )
    return tuple(_track(row, number, path) for number, row in enumerate(table))


def text_lines(path: Path) -> list[str]:
    """Lines of a list of tracks.

    Raises
    ------
    WeightsError
        The file is no text, or has a line that no such list has.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise WeightsError("A list of tracks is no text.", where=path, got=error) from error
    long = next((number for number, line in enumerate(lines, start=1) if len(line) > LONGEST), None)
    if long is not None:
        raise WeightsError(
            "A list of tracks has a line that is too long.",
            where=f"{path}, line {long}",
            expected=f"up to {LONGEST:,} letters",
            got=f"{len(lines[long - 1]):,}",
        )
    return lines


def human_tracks(count: int) -> tuple[Track, ...]:
    """Tracks of a human head with `count` outputs: named where the list is in the weights folder.

    Raises
    ------
    WeightsError
        The list is broken, or has another number of tracks.
    """
    path = cache_folder() / HUMAN
    if not path.is_file():
        return unnamed_tracks(count)
    tracks = read_targets(path)
    if len(tracks) != count:
        raise WeightsError(
            "A list of tracks is of another model.",
            where=path,
            expected=f"{count:,} tracks",
            got=f"{len(tracks):,}",
            fix=_HOW,
        )
    return tracks


def unnamed_tracks(count: int) -> tuple[Track, ...]:
    """Tracks of a head whose list is not here: named by their index, ``track 5110``."""
    return tuple(Track(f"track {index}", "unknown", "unknown", ".", UNITS) for index in range(count))


def find_tracks(tracks: Sequence[Track], wanted: int | str | Iterable[int | str]) -> tuple[int, ...]:
    """Indices of the tracks that are asked for, in the order asked.

    Parameters
    ----------
    wanted
        An index, a text, or several of these. A text is a track's name or description, or a part of
        one that no other track has; upper and lower case are the same.

    Raises
    ------
    ConfigError
        An index out of range, a text that fits no track or several (lists these), nothing or one track twice.
    """
    asked = [wanted] if isinstance(wanted, int | str) else list(wanted)
    found = tuple(_index(tracks, one) if isinstance(one, int) else _search(tracks, one) for one in asked)
    if not found or len(set(found)) < len(found):
        raise ConfigError(
            "The 'tracks' must be at least one, and none twice.", got=f"{asked}, tracks {list(found)}"
        )
    return found


def _track(row: dict[str, str | None], number: int, path: Path) -> Track:
    index, name, description = (row[column] for column in COLUMNS)
    if index != str(number) or not name or not description:
        raise WeightsError(
            "A list of tracks is broken: its indices must count up from 0, each with its names.",
            where=f"{path}, line {number + 2}",
            expected=f"index {number}, an identifier and a description",
            got=f"index {index}, {name!r}, {description!r}",
        )
    parts = description.split(":", 2 if description.startswith("CHIP:") else 1)
    return Track(name, ":".join(parts[:-1]) or "unknown", parts[-1], ".", UNITS)


def _index(tracks: Sequence[Track], index: int) -> int:
    if not 0 <= index < len(tracks):
        raise ConfigError(f"There is no track {index}.", expected=f"0 to {len(tracks) - 1}", got=index)
    return index


def _search(tracks: Sequence[Track], text: str) -> int:
    """Find the track called exactly so, else the only one that contains the text."""
    key = text.strip().casefold()
    labels = [(track.name.casefold(), _description(track).casefold()) for track in tracks]
    exact = [index for index, label in enumerate(labels) if key in label]
    found = exact or [
        index for index, label in enumerate(labels) if key and any(key in part for part in label)
    ]
    if len(found) != 1:
        raise _not_one(tracks, text, found)
    return found[0]


def _description(track: Track) -> str:
    return f"{track.assay}:{track.cell_type}"


def _not_one(tracks: Sequence[Track], text: str, found: list[int]) -> ConfigError:
    shown = [f"{index} ({tracks[index].name}, {_description(tracks[index])})" for index in found[:LISTED]]
    more = f"; and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return ConfigError(
        f"The text {text!r} fits {len(found) or 'no'} tracks; a track must be named by a text of its own.",
        expected=f"an index 0 to {len(tracks) - 1}, or a text that fits one track",
        got=Listed("; ".join(shown) + more) if found else None,
        fix="give the index, or more of the description" if found else _unlisted(tracks),
    )


def _unlisted(tracks: Sequence[Track]) -> str:
    if any(track.assay == "unknown" for track in tracks):
        return f"the tracks have no names here; {_HOW}"
    return "give part of a description as the list of tracks has it"


TRACKS: Final = 7_611
BORZOI_COLUMNS: Final = ("", "identifier", "clip_soft", "scale", "sum_stat", "strand_pair", "description")
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
    return read_borzoi_targets(path)


def read_borzoi_targets(path: Path, count: int = TRACKS) -> tuple[Target, ...]:
    """Read a list of `count` tracks in the published format.

    Raises
    ------
    WeightsError
        Not such a table; another number of tracks; a line out of order, with a number that is none, an
        unknown statistic, or a strand pair that is not mutual.
    """
    table = csv.DictReader(text_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    lacking = [column for column in BORZOI_COLUMNS if column not in (table.fieldnames or ())]
    if lacking:
        raise WeightsError(
            "A list of Borzoi's tracks lacks columns.",
            where=path,
            expected="tab-separated: an index without a name, " + ", ".join(BORZOI_COLUMNS[1:]),
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
    index, name, clip_soft, scale, statistic, pair, description = (
        row[column] or "" for column in BORZOI_COLUMNS
    )
    try:
        if index != str(number) or not name or not description:
            raise ValueError(f"index {index or 'missing'}, {name!r}, {description!r}")
        squash = Squash(EXPONENTS[statistic], float(clip_soft), float(scale))
        strand = name[-1] if name[-1] in "+-" else "."
        return Target(_borzoi_track(name, description, strand, statistic, scale), int(pair), squash)
    except (ValueError, KeyError) as error:
        raise WeightsError(
            "A line of a list of Borzoi's tracks is broken.",
            where=f"{path}, line {number + 2}",
            expected=f"index {number}, names, numbers, and a statistic of {', '.join(EXPONENTS)}",
            got=error,
        ) from error


def _borzoi_track(name: str, description: str, strand: str, statistic: str, scale: str) -> Track:
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
    track = _borzoi_track(experiment + strand, description, strand, statistic, scale)
    return Target(track, index ^ 1, Squash(EXPONENTS[statistic], 384.0, float(scale)))


_CAGE: Final = ("CNhs12332", "CAGE:B lymphoblastoid cell line: GM12878 ENCODE, biol_", "sum", "1.0")
_RNA: Final = ("ENCFF470BSF", "ENCFF617ZDV", "ENCFF993POP")
_GM12878: Final = {i: _known(i, *_CAGE) for i in (870, 871)} | {
    i: _known(i, _RNA[(i - 6112) // 2], "RNA:GM12878", "sum_sqrt", "0.3") for i in range(6112, 6118)
}
