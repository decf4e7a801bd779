"""AlphaGenome's tracks by name, from the table that its users have, and the read-outs that they make."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from hapsight.errors import ConfigError, WeightsError
from hapsight.models.protocol import ReadOut, Track
from hapsight.models.tracks import find_tracks, text_lines

__all__ = [
    "AROUND",
    "EXAMPLE",
    "HEADS",
    "HOW_TO_HAVE",
    "RAW_METADATA",
    "HeadTrack",
    "TrackRow",
    "exon_bases",
    "listed_tracks",
    "read_json",
    "read_outs_of",
    "read_track_table",
    "window_bases",
]

HEADS: Final = ("atac", "dnase", "procap", "cage", "rna_seq")
"""Heads that predict single bases, as the package calls them."""

RAW_METADATA: Final = "alphagenome_metadata_raw.json"
"""Names of the tracks; the package's download puts it beside the weights."""

AROUND: Final = 250
"""Bases on either side of the TSS that are read: 501 in all, as in AlphaGenome's own scores of variants."""

STRANDS: Final = ("+", "-", ".")
ASSAYS: Final = MappingProxyType(
    {"atac": "ATAC", "dnase": "DNase", "procap": "PRO-cap", "cage": "CAGE", "rna_seq": "RNA-seq"}
)
COLUMNS: Final = ("output_type", "name", "strand", "biosample_name")
UNITS: Final = "signal per base, on the scale of the experiment"
LARGEST_JSON: Final = 2**28
"""Bytes of a file of metadata; the published ones have a few MB."""

HOW_TO_HAVE: Final = MappingProxyType(
    {
        **dict.fromkeys(
            HEADS, "give AlphaGenome's table of tracks as 'targets', and a 'cell' that has such tracks in it"
        ),
        "rna_seq": "give a GTF as 'gtf' (or one gene's 'exons'), and a 'cell' that has RNA-seq in the table",
        "tracks": "give the option 'tracks'",
    }
)
"""Read-out -> how it comes to be."""


@dataclass(frozen=True, slots=True)
class HeadTrack:
    """A track and where it is.

    Attributes
    ----------
    head, row
        The head that predicts it, and which of the head's outputs.
    pair
        Index, among all tracks, of the same on the other strand, its own without strand; None: unknown.
    cells
        Names of its biosample: in words (``GM12878``), and of the ontology (``EFO:0002784``) where known.
    """

    track: Track
    head: str
    row: int
    pair: int | None = None
    cells: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackRow:
    """A row of AlphaGenome's table of tracks.

    Attributes
    ----------
    cells
        As of `HeadTrack`.
    """

    head: str
    name: str
    strand: str
    cells: tuple[str, ...]

    @property
    def padding(self) -> bool:
        """Whether it stands for no track."""
        return self.name.strip().casefold() == "padding"


def read_track_table(path: Path) -> tuple[TrackRow, ...]:
    """Read AlphaGenome's table of tracks: rows of the heads of single bases, in the order of the file.

    Raises
    ------
    WeightsError
        Not such a table, or a strand that is none.
    """
    if path.suffix == ".json":
        return tuple(_rows_of_json(path))
    delimiter = "," if path.suffix == ".csv" else "\t"
    table = csv.DictReader(text_lines(path), delimiter=delimiter)
    lacking = [column for column in COLUMNS if column not in (table.fieldnames or ())]
    if lacking:
        raise WeightsError(
            "A table of AlphaGenome's tracks lacks columns.",
            where=path,
            expected=f"columns {', '.join(COLUMNS)}, tab-separated (or a .csv, or {RAW_METADATA})",
            got=", ".join(table.fieldnames or ()) or "an empty file",
        )
    found = (_row(row, f"{path}, line {number}") for number, row in enumerate(table, start=2))
    return tuple(row for row in found if row is not None)


def _rows_of_json(path: Path) -> Iterator[TrackRow]:
    """Rows of the package's raw metadata: organisms, heads, records."""
    organisms = read_json(path).get("organisms")
    heads = organisms.get("human") if isinstance(organisms, dict) else None
    if not isinstance(heads, dict):
        raise WeightsError(
            "A file of AlphaGenome's tracks has no human ones.",
            where=path,
            expected="organisms, human, heads",
        )
    for head in HEADS:
        try:
            for number, record in enumerate(heads.get(head, {}).get("records", ())):
                row = _row({**record, "output_type": head}, f"{path}, {head}, record {number}")
                if row is not None:
                    yield row
        except (AttributeError, TypeError) as error:
            raise WeightsError(
                "A file of AlphaGenome's tracks is broken.", where=f"{path}, {head}"
            ) from error


def _row(row: Mapping[str, Any], where: str) -> TrackRow | None:
    """A row of the table; None of a head that predicts something else than single bases."""
    head = str(row["output_type"]).rpartition(".")[2].strip().casefold()
    if head not in HEADS:
        return None
    name, strand = str(row.get("name") or ""), str(row.get("strand") or "")
    found = TrackRow(head, name, strand, _cells(row))
    if not name or (strand not in STRANDS and not found.padding):
        raise WeightsError(
            "A row of AlphaGenome's table of tracks is broken.",
            where=where,
            expected=f"a name, and a strand of {' '.join(STRANDS)}",
            got=f"{name!r}, {strand!r}",
        )
    return found


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[column]) for column in ("biosample_name", "ontology_curie") if row.get(column))


def listed_tracks(masks: Mapping[str, Sequence[bool]], rows: Sequence[TrackRow] | None) -> list[HeadTrack]:
    """The tracks of the heads, without those that only fill up.

    Parameters
    ----------
    masks
        Head -> which of its outputs are tracks of the organism.
    rows
        The table; None: it is not here, and tracks are known by head and number.

    Raises
    ------
    WeightsError
        The table has another number of tracks.
    """
    found: list[HeadTrack] = []
    for head, mask in masks.items():
        real = [row for row, true in enumerate(mask) if true]
        if rows is None:
            found += [
                HeadTrack(Track(f"{head} {row}", "unknown", "unknown", ".", UNITS), head, row) for row in real
            ]
            continue
        named = [row for row in rows if row.head == head and not row.padding]
        if len(named) != len(real):
            raise WeightsError(
                "A table of tracks is not of these weights.",
                expected=f"{len(real)} tracks of {head}",
                got=f"{len(named)}",
                fix="give the table of the same release, all its tracks, in its order",
            )
        found += [_target(row, at) for row, at in zip(named, real, strict=True)]
    return _paired(_told_apart(found))


def _target(row: TrackRow, at: int) -> HeadTrack:
    name = row.name if row.strand == "." else f"{row.name} {row.strand}"
    cell = row.cells[0] if row.cells else "unknown"
    return HeadTrack(Track(name, ASSAYS[row.head], cell, row.strand, UNITS), row.head, at, None, row.cells)


def _told_apart(found: Sequence[HeadTrack]) -> list[HeadTrack]:
    """The same with a number behind names that came before."""
    seen: dict[str, int] = {}
    apart = []
    for one in found:
        name = one.track.name
        seen[name] = seen.get(name, 0) + 1
        track = one.track if seen[name] == 1 else replace(one.track, name=f"{name} ({seen[name]})")
        apart.append(replace(one, track=track))
    return apart


def _paired(found: Sequence[HeadTrack]) -> list[HeadTrack]:
    """The same with the index of each one's other strand, where it is known."""
    known = any(one.track.assay != "unknown" for one in found)
    place = {(one.head, one.track.name): index for index, one in enumerate(found)}

    def pair(index: int, one: HeadTrack) -> int | None:
        if one.track.strand == ".":
            return index if known else None
        return place.get((one.head, _other_strand(one.track.name)))

    return [replace(one, pair=pair(index, one)) for index, one in enumerate(found)]


def _other_strand(name: str) -> str:
    """``hCAGE GM12878 +`` to ``hCAGE GM12878 -`` and back, a number behind it kept."""
    head, sign, number = name.rpartition(" +") if " +" in name else name.rpartition(" -")
    return head + (" -" if sign == " +" else " +") + number


def read_outs_of(
    targets: Sequence[HeadTrack],
    window: int,
    cell: str,
    spliced: tuple[int, ...] | None,
    tracks: int | str | Iterable[int | str] | None,
    reduce: str,
) -> list[ReadOut]:
    """The read-outs that a model with these options has, the default first.

    Parameters
    ----------
    spliced
        Bases of exons; empty where each gene has its own; None where none are read.

    Raises
    ------
    ConfigError
        No track is of this `cell`, or one of the `tracks` is not there.
    """
    middle = window // 2
    promoter = tuple(range(middle - AROUND, middle + AROUND + 1))
    found = []
    if tracks is not None:
        chosen = find_tracks([target.track for target in targets], tracks)
        where = "the 501 bases about the TSS" if spliced is None else "the exons"
        bins = promoter if spliced is None else spliced
        found.append(ReadOut("tracks", chosen, bins, reduce, description=f"{reduce} over {where}"))
    for head in ("cage", "procap", "dnase", "atac"):
        found += _of_cell(targets, head, cell, promoter, "sum_strands", "sum of the 501 bases about the TSS")
    if spliced is not None:
        what = f"mean of {len(spliced):,} bases of exons" if spliced else "mean of the exons' bases"
        found += _of_cell(targets, "rna_seq", cell, spliced, "mean_strands", what)
    if not found:
        raise _no_read_out(targets, cell)
    return found


def _of_cell(
    targets: Sequence[HeadTrack], head: str, cell: str, bins: tuple[int, ...], reduce: str, what: str
) -> Iterator[ReadOut]:
    """The read-out of a head's tracks of a biosample, each pair of strands once; none where it has none."""
    key = cell.strip().casefold()
    own = [
        index
        for index, one in enumerate(targets)
        if one.head == head and key in (name.casefold() for name in one.cells)
    ]
    once = tuple(
        index for index in own if targets[index].pair is not None and targets[index].track.strand != "-"
    )
    if once:
        said = f"{ASSAYS[head]} {cell}, both strands, {what}"
        yield ReadOut(head, once, bins, reduce, description=said)


def _no_read_out(targets: Sequence[HeadTrack], cell: str) -> ConfigError:
    cells = sorted({one.cells[0] for one in targets if one.cells})
    if not cells:
        return ConfigError(
            "AlphaGenome's tracks have no names here, so none can be chosen by cell.",
            expected=f"{RAW_METADATA} beside the weights, or AlphaGenome's table of tracks as 'targets'",
            fix="give the table, or 'tracks' by index",
        )
    return ConfigError(
        f"No track at the TSS is of the 'cell' {cell!r}.",
        expected=", ".join(cells),
        fix="choose another 'cell', or 'tracks'",
    )


def exon_bases(exons: Sequence[Sequence[int]], window: int) -> tuple[int, ...]:
    """Bases of a window that are in the exons which a user gives.

    Raises
    ------
    ConfigError
        An exon is none, or not all in the window.
    """
    for exon in exons:
        whole = len(exon) == 2 and all(type(place) is int for place in exon)
        if not whole or not -window // 2 <= exon[0] < exon[1] <= window // 2:
            raise ConfigError(
                "One of AlphaGenome's 'exons' is not in the window.",
                expected=f"[start, end) in bases from the TSS, between {-window // 2} and {window // 2}",
                got=list(exon),
                fix="choose a longer 'window', or leave out what lies beyond it",
            )
    if not exons:
        raise ConfigError("AlphaGenome's 'exons' are empty.", expected="[[start, end], ...]")
    return window_bases([(start, end) for start, end in exons], window)


def window_bases(exons: Iterable[tuple[int, int]], window: int) -> tuple[int, ...]:
    """Ascending bases of a window that are in exons, ``[start, end)`` from its middle, each once."""
    tss = window // 2
    bases = {base for start, end in exons for base in range(max(0, tss + start), min(window, tss + end))}
    return tuple(sorted(bases))


def _example() -> Iterator[TrackRow]:
    """Tracks of random weights: of two cells, with the strands that the published ones have."""
    for head in HEADS:
        for cell in ("GM12878", "K562"):
            for strand in "+-" if head in ("procap", "cage", "rna_seq") else ".":
                yield TrackRow(head, f"{ASSAYS[head]} {cell}", strand, (cell,))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of the package's.

    Raises
    ------
    WeightsError
        It is none.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            "A file of AlphaGenome's metadata cannot be read.",
            where=path,
            expected="a JSON object",
            got=error,
        ) from error
    return found


EXAMPLE: Final = tuple(_example())
