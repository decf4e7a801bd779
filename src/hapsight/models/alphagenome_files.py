"""AlphaGenome's weights as its user fetched them, or random ones.

The published weights are gated and not for commercial use: hapsight never downloads them. The package
`alphagenome-pt` reads the files; it would download what is missing, so what is missing is told before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.errors import ConfigError, MissingExtraError, WeightsError
from hapsight.models.alphagenome import LENGTHS, AlphaGenome
from hapsight.models.alphagenome_tracks import (
    EXAMPLE,
    HEADS,
    RAW_METADATA,
    TrackRow,
    exon_bases,
    listed_tracks,
    read_json,
    read_outs_of,
    read_track_table,
)
from hapsight.models.catalogue import ALPHAGENOME, alphagenome_command, alphagenome_file
from hapsight.models.weights import verify_recorded

__all__ = ["load"]

METADATA: Final = "alphagenome_metadata.json"
"""Numbers of tracks and their means, beside the weights."""

WIDTH: Final = 768
LAYERS: Final = 9
NARROWEST: Final = 24
DTYPES: Final = ("float32", "float64")


def load(
    weights: str = "all_folds",
    *,
    window: int = 131_072,
    tracks: int | str | Iterable[int | str] | None = None,
    cell: str = "GM12878",
    gtf: str | None = None,
    transcripts: Sequence[str] = (),
    exons: Sequence[Sequence[int]] | None = None,
    reduce: str = "sum",
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
    gtf
        A GTF: ``rna_seq`` is read over the exons of each gene's transcript (the MANE or Ensembl's canonical
        one, else the longest), and so is ``tracks``, in place of the 501 bases about the TSS.
    transcripts
        Ids of transcripts that are taken before these.
    exons
        In place of `gtf`, the exons of one gene's transcript: ``[start, end)`` in bases from the TSS along
        the genome's forward strand.
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
    annotation = _annotation(gtf, transcripts, exons)
    _require_package()
    label, network, human, rows = _network(weights, width, layers, dtype, targets)
    listed = listed_tracks(_masks(network, human), rows)
    bins = () if annotation is not None else None if exons is None else exon_bases(exons, window)
    read_outs = read_outs_of(listed, window, cell, bins, tracks, reduce)
    name = f"alphagenome/{label}" if width == WIDTH else f"alphagenome/{label}-width{width}"
    model = AlphaGenome(
        name, network, human, listed, read_outs, length=window, gtf=annotation, transcripts=transcripts
    )
    return model.to(torch.device(device))


def _check_sizes(width: int, layers: int, dtype: str) -> None:
    if not isinstance(width, int) or width % NARROWEST or not NARROWEST <= width <= WIDTH:
        expected = f"a multiple of {NARROWEST}, up to {WIDTH}"
        raise ConfigError("AlphaGenome's 'width' is out of range.", expected=expected, got=width)
    if not isinstance(layers, int) or not 1 <= layers <= LAYERS:
        raise ConfigError("AlphaGenome's 'layers' is out of range.", expected=f"1 to {LAYERS}", got=layers)
    if dtype not in DTYPES:
        raise ConfigError("AlphaGenome's 'dtype' is unknown.", expected=", ".join(DTYPES), got=repr(dtype))


def _annotation(
    gtf: str | None, transcripts: Sequence[str], exons: Sequence[Sequence[int]] | None
) -> Path | None:
    if gtf is None:
        if transcripts:
            raise ConfigError("AlphaGenome's 'transcripts' are names in a GTF.", fix="give it as 'gtf'")
        return None
    if exons is not None:
        raise ConfigError("AlphaGenome's exons are given twice.", expected="'gtf' or 'exons'", got="both")
    path = Path(gtf).expanduser()
    if not path.is_file():
        raise ConfigError("There is no such GTF.", where="AlphaGenome's option 'gtf'", got=path)
    return path


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


def _masks(network: Any, organism: int) -> dict[str, list[bool]]:
    metadata = network.metadata
    return {
        head: [bool(one) for one in metadata.get_track_mask(head)[organism]] for head in metadata.get_heads()
    }


def _file(weights: str) -> tuple[Path, str]:
    """The file of some weights, and what to call them."""
    if weights in ALPHAGENOME:
        path = alphagenome_file(weights)
        if not path.is_file():
            raise WeightsError(
                f"AlphaGenome's weights {weights} are not on this machine; hapsight does not download them.",
                where=path,
                fix=alphagenome_command(path.parent, weights),
            )
        verify_recorded(path)
        return path, weights
    path = Path(weights).expanduser()
    if path.suffix != ".safetensors" or not path.is_file():
        raise ConfigError(
            f"There are no weights {weights!r} of alphagenome.",
            expected=f"{', '.join(ALPHAGENOME)}, random:<seed>, or the path of a .safetensors file",
        )
    return path, path.stem


def _metadata(weights: Path) -> dict[str, Any]:
    """Organisms, and the heads of single bases, of the file beside the weights."""
    path = weights.with_name(METADATA)
    if not path.is_file():
        raise WeightsError(
            "AlphaGenome's metadata are not beside its weights.",
            where=path,
            fix=alphagenome_command(weights.parent),
        )
    found = read_json(path)
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


def _build(metadata: dict[str, Any], width: int, layers: int, dtype: str) -> Any:
    """The package's network, in the arithmetic of `dtype`; its numbers mean nothing yet."""
    from alphagenome_pt import AlphaGenome as Network
    from alphagenome_pt import AlphaGenomeConfig, Metadata

    config = AlphaGenomeConfig(
        max_seq_len=LENGTHS[-1],  # as in training, whatever the window: rotations are made from it
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
        raise WeightsError(
            "A file of AlphaGenome's weights cannot be loaded.", where=path, got=error
        ) from error
    broken = [name for name, t in network.state_dict().items() if not torch.isfinite(t).all()]
    if broken:
        raise WeightsError(
            "A layer's weights are not all finite numbers.",
            where=f"{path}, {broken[0]}",
            got=f"{len(broken)} such",
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
