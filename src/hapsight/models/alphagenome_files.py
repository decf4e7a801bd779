"""AlphaGenome's weights as its user fetched them, or random ones; names of its tracks; its read-outs.

The published weights are gated and not for commercial use: hapsight never downloads them. The package
`alphagenome-pt` reads the files; it would download what is missing, so what is missing is told before.
"""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.errors import ConfigError, MissingExtraError, WeightsError
from hapsight.models.alphagenome import AROUND, HEADS, LONGEST, AlphaGenome, HeadTrack
from hapsight.models.protocol import ReadOut, Track
from hapsight.models.tracks import find_tracks, text_lines
from hapsight.models.weights import cache_folder, verify_recorded

__all__ = ["HOW_TO_GET", "TrackRow", "load", "read_track_table"]

PUBLISHED: Final = ("all_folds", "fold_0", "fold_1", "fold_2", "fold_3")
METADATA: Final = "alphagenome_metadata.json"
"""Numbers of tracks and their means, beside the weights."""

RAW_METADATA: Final = "alphagenome_metadata_raw.json"
"""Names of the tracks; the package's download puts it beside the weights."""

HOW_TO_GET: Final = (
    "if deepmind.google.com/science/alphagenome/model-terms suit you (not for commercial use), run "
    "`alphagenome-pt download --local-dir {folder} --fold {fold}`, which comes with "
    "`pip install 'hapsight[alphagenome]'`"
)

WIDTH: Final = 768
LAYERS: Final = 9
NARROWEST: Final = 24
DTYPES: Final = ("float32", "float64")
STRANDS: Final = ("+", "-", ".")
ASSAYS: Final = MappingProxyType(
    {"atac": "ATAC", "dnase": "DNase", "procap": "PRO-cap", "cage": "CAGE", "rna_seq": "RNA-seq"}
)
COLUMNS: Final = ("output_type", "name", "strand", "biosample_name")
UNITS: Final = "signal per base, on the scale of the experiment"
LARGEST_JSON: Final = 2**28
"""Bytes of a file of metadata; the published ones have a few MB."""


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


def load(
    weights: str = "all_folds",
    *,
    window: int = 131_072,
    tracks: int | str | Iterable[int | str] | None = None,
    cell: str = "GM12878",
    exons: Sequence[Sequence[int]] | None = None,
    reduce: str = "sum_strands",
    targets: str | None = None,
    width: int = WIDTH,
    layers: int = LAYERS,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> AlphaGenome:
    """Load AlphaGenome.

    Parameters
    ----------
    weights
        ``all_folds``, or ``fold_0`` to ``fold_3``, in the folder ``alphagenome`` of the weights folder; the
        path of such a .safetensors file, with its metadata beside it; or ``random:<seed>``.
    window
        Bases: a power of two, 16,384 to 1,048,576. The published weights were trained at 1,048,576.
    tracks
        Those of a read-out ``tracks``, which becomes the default: indices over the heads in the order of
        `HEADS`, or texts that each fit one track's name or description.
    cell
        Biosample whose tracks the read-outs ``cage``, ``procap``, ``dnase``, ``atac`` and ``rna_seq`` have:
        its name or its ontology's, as the table of tracks has it.
    exons
        Exons of the gene's transcript, ``[start, end)`` in bases from the TSS along the genome's forward
        strand; read by ``rna_seq``, and by ``tracks`` in place of the 501 bases about the TSS.
    reduce
        How ``tracks`` combines bases, one of `REDUCE`.
    targets
        Path of the table of tracks, .tsv or .csv as AlphaGenome's client gives it (``output_metadata``,
        concatenated), or the package's ``alphagenome_metadata_raw.json``; None: that file, if it lies beside
        the weights.
    width, layers
        Channels and transformer blocks; fewer than 768 and 9 for a narrow model of the same strides.
    dtype
        ``float32`` or ``float64``; the package itself would compute in bfloat16.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    WeightsError
        A file is missing, damaged, or of another model.
    ConfigError
        An unknown name of weights, or an option out of range.
    """
    _check_sizes(width, layers, dtype)
    _require_package()
    label, network, human, rows = _network(weights, width, layers, dtype, targets)
    listed = _targets(network, human, rows)
    read_outs = _read_outs(listed, window, cell, exons, tracks, reduce)
    name = f"alphagenome/{label}" if width == WIDTH else f"alphagenome/{label}-width{width}"
    model = AlphaGenome(name, network, human, listed, read_outs, length=window)
    return model.to(torch.device(device))


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
    organisms = _read_json(path).get("organisms")
    heads = organisms.get("human") if isinstance(organisms, dict) else None
    if not isinstance(heads, dict):
        raise WeightsError(
            "A file of AlphaGenome's tracks has no human ones.", where=path, expected="organisms, human, heads"
        )
    for head in HEADS:
        try:
            for number, record in enumerate(heads.get(head, {}).get("records", ())):
                row = _row({**record, "output_type": head}, f"{path}, {head}, record {number}")
                if row is not None:
                    yield row
        except (AttributeError, TypeError) as error:
            raise WeightsError("A file of AlphaGenome's tracks is broken.", where=f"{path}, {head}") from error


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


def _check_sizes(width: int, layers: int, dtype: str) -> None:
    if not isinstance(width, int) or width % NARROWEST or not NARROWEST <= width <= WIDTH:
        expected = f"a multiple of {NARROWEST}, up to {WIDTH}"
        raise ConfigError("AlphaGenome's 'width' is out of range.", expected=expected, got=width)
    if not isinstance(layers, int) or not 1 <= layers <= LAYERS:
        raise ConfigError(
            "AlphaGenome's 'layers' is out of range.", expected=f"1 to {LAYERS}", got=layers
        )
    if dtype not in DTYPES:
        raise ConfigError("AlphaGenome's 'dtype' is unknown.", expected=", ".join(DTYPES), got=repr(dtype))


def _require_package() -> None:
    try:
        import alphagenome_pt  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed, and the model 'alphagenome' needs it.",
            fix="pip install 'hapsight[alphagenome]'",
        ) from error


def _network(
    weights: str, width: int, layers: int, dtype: str, targets: str | None
) -> tuple[str, Any, int, tuple[TrackRow, ...] | None]:
    """Short name of some weights, the package's network with them, the human's index, and named tracks."""
    rows = None if targets is None else read_track_table(Path(targets).expanduser())
    kind, _, seed = weights.partition(":")
    if kind == "random" and seed.isdecimal():
        rows = EXAMPLE if rows is None else rows
        network = _build(_metadata_of(rows, int(seed)), width, layers, dtype)
        network.load_state_dict(_random_state(network, int(seed)))
        return f"random-{seed}", network, 0, rows
    path, label = _file(weights)
    metadata = _metadata(path)
    network = _build(metadata, width, layers, dtype)
    _fill(network, path)
    beside = path.with_name(RAW_METADATA)
    if rows is None and beside.is_file():
        rows = read_track_table(beside)
    return label, network, metadata["organisms"].index("human"), rows


def _file(weights: str) -> tuple[Path, str]:
    """The file of some weights, and what to call them."""
    if weights in PUBLISHED:
        folder = cache_folder() / "alphagenome"
        path = folder / f"alphagenome_{weights}.safetensors"
        if not path.is_file():
            raise WeightsError(
                f"The weights {weights} of alphagenome are not on this machine; hapsight does not download them.",
                where=path,
                fix=HOW_TO_GET.format(folder=folder, fold=weights),
            )
        verify_recorded(path)
        return path, weights
    path = Path(weights).expanduser()
    if path.suffix != ".safetensors" or not path.is_file():
        raise ConfigError(
            f"There are no weights {weights!r} of alphagenome.",
            expected=f"{', '.join(PUBLISHED)}, random:<seed>, or the path of a .safetensors file",
        )
    return path, path.stem


def _metadata(weights: Path) -> dict[str, Any]:
    """Organisms, and the heads of single bases, of the file beside the weights."""
    path = weights.with_name(METADATA)
    if not path.is_file():
        raise WeightsError(
            "AlphaGenome's metadata are not beside its weights.",
            where=path,
            fix=HOW_TO_GET.format(folder=weights.parent, fold="all_folds"),
        )
    found = _read_json(path)
    organisms, heads = found.get("organisms"), found.get("heads")
    if not isinstance(organisms, list) or "human" not in organisms or not isinstance(heads, dict):
        raise WeightsError(
            "A file of AlphaGenome's metadata is not what the package writes.",
            where=path,
            expected="organisms, 'human' among them, and heads",
            got=", ".join(found),
        )
    own = {head: heads[head] for head in HEADS if head in heads}
    return {"organisms": organisms, "heads": own}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            "A file of AlphaGenome's metadata cannot be read.", where=path, expected="a JSON object", got=error
        ) from error
    return found


def _build(metadata: dict[str, Any], width: int, layers: int, dtype: str) -> Any:
    """The package's network, in the arithmetic of `dtype`; its numbers mean nothing yet."""
    from alphagenome_pt import AlphaGenome as Network
    from alphagenome_pt import AlphaGenomeConfig, Metadata

    config = AlphaGenomeConfig(
        max_seq_len=LONGEST,  # whatever the window: rotations and distances are made from it
        num_channels=width,
        transformer_layers=layers,
        init_scale=0.1,
        min_zero_multinomial_loss=False,
        dtype_policy=dtype,
        metadata=Metadata(metadata),
    )
    with torch.random.fork_rng(devices=[]):
        return Network(config)


def _fill(network: Any, path: Path) -> None:
    """Let the package load a file of exactly this network's tensors, and maybe other heads'.

    Of other shapes the package would load a part, and leave the rest at random.
    """
    from alphagenome_pt import load_deepmind_state
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        _check_layers(found, {name: tuple(t.shape) for name, t in network.state_dict().items()}, path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping source head")
            load_deepmind_state(network, local_dir=path.parent, local_filename=path.name)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError("A file of AlphaGenome's weights cannot be loaded.", where=path, got=error) from error
    broken = [name for name, t in network.state_dict().items() if not torch.isfinite(t).all()]
    if broken:
        raise WeightsError(
            "A layer's weights are not all finite numbers.", where=f"{path}, {broken[0]}", got=f"{len(broken)} such"
        )


def _check_layers(
    found: Mapping[str, tuple[int, ...]], own: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    other = [name for name in found if name not in own and not name.startswith("_heads.")]
    wrong = [name for name, shape in own.items() if found.get(name) != shape]
    for name in (*wrong, *other):
        raise WeightsError(
            "A file of weights does not have the layers of this AlphaGenome.",
            where=f"{path}, {name}",
            expected=own.get(name, "no such layer"),
            got=found.get(name, "no such layer"),
            fix="check 'width' and 'layers', and that the metadata beside it came with it",
        )


def _metadata_of(rows: Sequence[TrackRow], seed: int) -> dict[str, Any]:
    """Metadata of these tracks with means from a seed, for human and mouse alike."""
    rng, heads = np.random.default_rng([seed, 1]), {}
    for head in HEADS:
        count = sum(row.head == head for row in rows)
        if count:
            means = [rng.uniform(0.5, 2.0, count).tolist() for _ in range(2)]
            heads[head] = {"num_tracks": [count] * 2, "means": means, "track_mask": [[True] * count] * 2}
    return {"organisms": ["human", "mouse"], "heads": heads}


def _random_state(network: Any, seed: int) -> dict[str, torch.Tensor]:
    """Numbers from a seed for every tensor: matrices keep a signal's size, no statistic is 0 or 1."""
    rng = np.random.default_rng(seed)
    state = network.state_dict()
    return {name: torch.from_numpy(_draw(name, tuple(t.shape), rng)).to(t) for name, t in state.items()}


def _draw(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith("var_EMA"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith((".scale", "residual_scale")):  # small, since every block adds to what it was given
        return rng.uniform(0.3, 0.7, shape).astype(np.float32)
    matrix = name.endswith("weight") and len(shape) in (2, 3) and "org" not in name.split(".")[-2]
    fan_in = 16
    if ".multiorg_linear." in name and name.endswith("weight"):
        fan_in = shape[1]  # (organisms, in, out)
    elif matrix:
        fan_in = int(np.prod(shape[1:]))
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(fan_in**-0.5)


def _targets(network: Any, human: int, rows: Sequence[TrackRow] | None) -> list[HeadTrack]:
    """The tracks of the heads, without those that only fill up."""
    found: list[HeadTrack] = []
    for head in network.metadata.get_heads():
        mask = [bool(one) for one in network.metadata.get_track_mask(head)[human]]
        real = [row for row, true in enumerate(mask) if true]
        if rows is None:
            found += [HeadTrack(Track(f"{head} {row}", "unknown", "unknown", ".", UNITS), head, row) for row in real]
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


def _read_outs(
    targets: Sequence[HeadTrack],
    window: int,
    cell: str,
    exons: Sequence[Sequence[int]] | None,
    tracks: int | str | Iterable[int | str] | None,
    reduce: str,
) -> list[ReadOut]:
    """The read-outs that a model with these options has, the default first."""
    middle = window // 2
    promoter = tuple(range(middle - AROUND, middle + AROUND + 1))
    spliced = None if exons is None else _exon_bases(exons, window)
    found = []
    if tracks is not None:
        chosen = find_tracks([target.track for target in targets], tracks)
        where = "the 501 bases about the TSS" if spliced is None else "the exons"
        found.append(
            ReadOut("tracks", chosen, spliced or promoter, reduce, description=f"{reduce} over {where}")
        )
    for head in ("cage", "procap", "dnase", "atac"):
        found += _of_cell(targets, head, cell, promoter, "sum_strands", "sum of the 501 bases about the TSS")
    if spliced is not None:
        what = f"mean of {len(spliced):,} bases of exons"
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
    once = tuple(index for index in own if targets[index].pair is not None and targets[index].track.strand != "-")
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


def _exon_bases(exons: Sequence[Sequence[int]], window: int) -> tuple[int, ...]:
    """Ascending bases of the window that are in exons, each once."""
    bases: set[int] = set()
    for exon in exons:
        start, end = (*exon, None, None)[:2]
        whole = len(exon) == 2 and all(type(place) is int for place in exon)
        if not whole or start >= end or start < -window // 2 or end > window // 2:
            raise ConfigError(
                "One of AlphaGenome's 'exons' is not in the window.",
                expected=f"[start, end) in bases from the TSS, between {-window // 2} and {window // 2}",
                got=list(exon),
                fix="choose a longer 'window', or leave out what lies beyond it",
            )
        bases.update(range(window // 2 + start, window // 2 + end))
    if not bases:
        raise ConfigError("AlphaGenome's 'exons' are empty.", expected="[[start, end], ...]")
    return tuple(sorted(bases))


def _example() -> Iterator[TrackRow]:
    """Tracks of random weights: of two cells, with the strands that the published ones have."""
    for head in HEADS:
        for cell in ("GM12878", "K562"):
            for strand in "+-" if head in ("procap", "cage", "rna_seq") else ".":
                yield TrackRow(head, f"{ASSAYS[head]} {cell}", strand, (cell,))


EXAMPLE: Final = tuple(_example())
