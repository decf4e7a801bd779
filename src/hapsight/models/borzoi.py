"""Borzoi: RNA and other coverage along 524,288 bases in bins of 32 (Linder et al. 2025, Nat Genet 57, 949).

The convolutions, half of the work, are local and shared between people; a transformer over all of the
window and the U-Net's way back follow, the latter only for the bins that are read. Flashzoi (Hingerl et al.
2025) is the same with rotary positions. From the published checkpoints, or with random weights for checks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.errors import ConfigError, WeightsError
from hapsight.models import loading
from hapsight.models.borzoi_net import (
    QUERY_BLOCK,
    STRIDE,
    WIDTH,
    BorzoiNet,
    BorzoiSizes,
    attend_flop,
    decode_flop,
    embed_flop,
    head_flop,
)
from hapsight.models.catalogue import BORZOI_TARGETS, how_to_get
from hapsight.models.forward import (
    evaluation,
    index_on,
    one_hot,
    require_positions,
    require_read_out,
    require_stretch,
    require_window,
)
from hapsight.models.protocol import Grid, ModelWindow, OutputBins, ReadOut, SharedModel
from hapsight.models.tracks import Squash, Target, find_tracks, published_targets, read_borzoi_targets
from hapsight.models.weights import cache_folder, verify_recorded

__all__ = [
    "BINS",
    "REDUCE",
    "Borzoi",
    "load",
    "load_flashzoi",
    "random_weights",
    "read_weights",
    "save_safetensors",
]

LENGTH: Final = 524_288
POSITIONS: Final = LENGTH // STRIDE
BINS: Final = 6_144
BINS_PER_POSITION: Final = 4
BIN: Final = STRIDE // BINS_PER_POSITION
"""Bases of a bin."""

FIRST_BIN: Final = (POSITIONS * BINS_PER_POSITION - BINS) // 2
"""Bins of 32 bases before the first that is predicted: 163,840 bases."""

HALO: Final = 384
"""Whole positions that cover the convolutions' reach of 259 bases to either side."""

EDGE: Final = 3
"""Bins at an end of a decoded stretch that lack a neighbour."""

CENTRE: Final = tuple(range(BINS // 2 - 20, BINS // 2 + 20))
"""The 40 bins (1,280 bases) around the TSS, which is the first base of bin 3,072."""

REDUCE: Final = ("mean", "sum", "sum_strands", "sum_unsquashed")
"""How bins are combined; `sum_strands` adds the other strand, `sum_unsquashed` undoes the squashing."""

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of these files changes numbers."""


class Borzoi(SharedModel):
    """Borzoi, or Flashzoi, with one set of weights.

    Read-outs are of one window; the engine averages over strands and shifts where a read-out says so.
    Always the genome's forward strand. A position of the embedding holds the U-Net's two vectors at 64
    bases and four at 32 bases, 8,192 numbers; the transformer's input is the greater of the first two.

    Parameters
    ----------
    name
        ``borzoi/<weights>`` or ``flashzoi/<weights>``.
    network
        The network with its weights, float32 or float64.
    targets
        What the head's outputs are.
    tracks
        Those of a read-out ``tracks``, which becomes the default; None: no such read-out.
    bins
        Output bins of the read-outs ``tracks`` (by default the 40 around the TSS) and ``rna_gm12878``.
    reduce
        How ``tracks`` combines them, one of `REDUCE`.

    Raises
    ------
    ConfigError
        Bins or tracks that there are not, or an unknown `reduce`.
    """

    window = ModelWindow(LENGTH // 2, LENGTH // 2, oriented=False)
    output_bins = OutputBins(FIRST_BIN * BIN, BIN, BINS)

    def __init__(
        self,
        name: str,
        network: BorzoiNet,
        targets: Sequence[Target],
        *,
        tracks: int | str | Iterable[int | str] | None = None,
        bins: Sequence[int] | None = None,
        reduce: str = "mean",
    ) -> None:
        self.name = name
        self.network = network.eval()
        self.targets = tuple(targets)
        self.tracks = tuple(target.track for target in targets)
        chosen = None if tracks is None else find_tracks(self.tracks, tracks)
        self.read_outs = {read_out.name: read_out for read_out in _read_outs(chosen, bins, reduce)}
        self.default_read_out = "cage_gm12878" if chosen is None else "tracks"
        self.grid = Grid(STRIDE, HALO, HALO, network.sizes.embedding)
        self.flop_per_pass = self.plain_flop()
        self.fingerprint = _fingerprint(network, self.targets)
        for read_out in self.read_outs.values():
            self._check(read_out)

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        return self

    @property
    def dtype(self) -> torch.dtype:
        """Number format of weights and results."""
        return self.network.human_head.weight.dtype

    def read_out(self, name: str | None = None) -> ReadOut:
        """Give the read-out of this name, or the default; ``rna_gm12878`` exists where `bins` are given."""
        if name == "rna_gm12878" and name not in self.read_outs:
            raise ConfigError(
                f"The read-out {name!r} of {self.name} needs the bins of the gene's exons.",
                expected=f"the option 'bins', each 0 to {BINS - 1}; the TSS begins bin {BINS // 2}",
                got="no 'bins'",
            )
        return super().read_out(name)

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        """Bins counted from the other end, and each track's other strand.

        Raises
        ------
        ConfigError
            The other strand of a track is unknown, because the list of tracks is not here.
        """
        tracks = tuple(self._pair(track, read_out) for track in read_out.tracks)
        return replace(read_out, tracks=tracks, bins=tuple(BINS - 1 - index for index in read_out.bins))

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """All 4,096 positions: the transformer relates each to every other."""
        return 0, POSITIONS

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out of (B, 524288) codes, as (B, T), every bin computed; see `SequenceModel.predict`.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        ConfigError
            A read-out that this model does not have the bins or tracks for.
        """
        require_window(self, "Borzoi", codes, LENGTH)
        self._check(read_out)
        net = self.network
        with evaluation():
            embedding = net.embed(one_hot(codes).to(self.dtype))  # (B, 4096, 8192)
            decoded = net.decode(net.attend(embedding, 0, POSITIONS), embedding)  # (B, 1536, 16384)
            predicted = decoded[..., FIRST_BIN : FIRST_BIN + BINS]  # (B, 1536, 6144)
            outputs = net.head(predicted, self._computed_tracks(read_out))  # (B, T, 6144)
            return self._combine(outputs[..., list(read_out.bins)], read_out)

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Embedding of (B, S) codes that start on the window's grid, (B, S / 128, 8192).

        Raises
        ------
        InputError
            S not a multiple of 128.
        """
        require_stretch(self, "Borzoi", codes, STRIDE)
        with evaluation():
            return self.network.embed(one_hot(codes).to(self.dtype))

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out (B, T) of a window's embedding (B, 4096, 8192); see `SharedModel.read`.

        The last layer of the transformer and all behind it are computed only for what the bins depend on.

        Raises
        ------
        InputError
            Another shape.
        """
        require_positions(self, "Borzoi", embedding, read_out, (POSITIONS, self.grid.channels))
        self._check(read_out)
        net, (first, last) = self.network, _decoded(read_out)
        asked = [FIRST_BIN + index - BINS_PER_POSITION * first for index in read_out.bins]
        with evaluation():
            decoded = net.decode(net.attend(embedding, first, last), embedding[:, first:last])
            chosen = decoded[..., index_on(asked, decoded.device)]  # (B, 1536, K)
            return self._combine(net.head(chosen, self._computed_tracks(read_out)), read_out)

    def embed_flop(self, bases: int) -> float:
        """Floating-point operations of `embed` for so many bases, the halo counted as the caller does."""
        return embed_flop(self.network.sizes, bases)

    def read_flop(self, read_out: ReadOut) -> float:
        """Floating-point operations of `read` for one sequence."""
        self._check(read_out)
        sizes, (first, last) = self.network.sizes, _decoded(read_out)
        attend = attend_flop(sizes, POSITIONS, last - first, QUERY_BLOCK)
        head = head_flop(sizes, len(read_out.bins), len(self._computed_tracks(read_out)))
        return attend + decode_flop(sizes, last - first) + head

    def plain_flop(self) -> float:
        """Floating-point operations of the published model's whole forward pass, every bin and track."""
        sizes = self.network.sizes
        transformer = attend_flop(sizes, POSITIONS, POSITIONS, POSITIONS)
        behind = decode_flop(sizes, POSITIONS) + head_flop(sizes, BINS, sizes.tracks)
        return embed_flop(sizes, LENGTH) + transformer + behind

    def _computed_tracks(self, read_out: ReadOut) -> tuple[int, ...]:
        """Rows of the head that a read-out needs: its tracks, then (`sum_strands`) their other strands."""
        if read_out.reduce != "sum_strands":
            return read_out.tracks
        return (*read_out.tracks, *(self._pair(track, read_out) for track in read_out.tracks))

    def _combine(self, x: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Bins of the computed tracks, (B, T or 2T, K), to (B, T)."""
        if read_out.reduce == "mean":
            return x.mean(dim=2)
        if read_out.reduce == "sum_strands":
            own, other = x.sum(dim=2).chunk(2, dim=1)
            stranded = [self._pair(track, read_out) != track for track in read_out.tracks]
            return own + other * index_on(stranded, x.device)
        if read_out.reduce == "sum_unsquashed":
            squashes = [self._squash(track, read_out) for track in read_out.tracks]
            bins = [squash.undo(bins) for squash, bins in zip(squashes, x.unbind(1), strict=True)]
            return torch.stack(bins, dim=1).sum(dim=2)
        return x.sum(dim=2)

    def _pair(self, track: int, read_out: ReadOut) -> int:
        pair = self.targets[track].pair
        if pair is None:
            raise self._unknown("other strand", track, read_out)
        return pair

    def _squash(self, track: int, read_out: ReadOut) -> Squash:
        squash = self.targets[track].squash
        if squash is None:
            raise self._unknown("squashing (scale, clip, square root)", track, read_out)
        return squash

    def _unknown(self, what: str, track: int, read_out: ReadOut) -> ConfigError:
        return ConfigError(
            f"The {what} of track {track} is unknown: Borzoi's list of tracks is not in the weights folder.",
            where=f"{self.name}, read-out {read_out.name}",
            expected=cache_folder() / BORZOI_TARGETS.filename,
            fix=f"run `hapsight models fetch borzoi`, or download {BORZOI_TARGETS.url} to there, or give the "
            "option 'targets'",
        )

    def _check(self, read_out: ReadOut) -> None:
        require_read_out(self, "Borzoi", read_out, BINS, REDUCE)


def _read_outs(tracks: tuple[int, ...] | None, bins: Sequence[int] | None, reduce: str) -> Iterator[ReadOut]:
    """The read-outs that a model with these options has."""
    around = f"bins {CENTRE[0]}-{CENTRE[-1]}, 1,280 bases around the TSS"
    yield ReadOut(
        "cage_gm12878",
        (870,),
        CENTRE,
        "sum_strands",
        description=f"CAGE GM12878, both strands, sum of {around}",
    )
    if bins is not None:
        yield ReadOut(
            "rna_gm12878",
            tuple(range(6112, 6118)),
            tuple(bins),
            "sum_unsquashed",
            description=f"RNA GM12878, three experiments by strand, coverage summed over {len(bins)} bins",
        )
    if tracks is not None:
        chosen = CENTRE if bins is None else tuple(bins)
        yield ReadOut("tracks", tracks, chosen, reduce, description=f"{reduce} of {len(chosen)} bins")


def _decoded(read_out: ReadOut) -> tuple[int, int]:
    """Positions of the transformer ``[first, last)`` that the way back to these bins starts from."""
    first = FIRST_BIN + min(read_out.bins) - EDGE
    last = FIRST_BIN + max(read_out.bins) + 1 + EDGE
    return first // BINS_PER_POSITION, -(-last // BINS_PER_POSITION)


def _fingerprint(network: BorzoiNet, targets: Sequence[Target]) -> str:
    """SHA-256 over sizes, squashing and every weight; the file format of the weights does not matter."""
    known = [[target.pair, target.squash and asdict(target.squash)] for target in targets]
    facts = ["borzoi", CODE_VERSION, asdict(network.sizes), known]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().numpy())
    return digest.hexdigest()


DTYPES: Final = MappingProxyType({"float32": torch.float32, "float64": torch.float64})
PUBLISHED: Final = tuple(f"replicate-{fold}" for fold in range(4))
"""Names of the published weights, of Borzoi and of Flashzoi; no checksums are published."""

UNUSED: Final = ("*.num_batches_tracked", "mouse_head.*")
"""Tensors of the published checkpoints that have no part in a human prediction."""

State = dict[str, torch.Tensor]


def load(
    weights: str = "replicate-0",
    *,
    tracks: int | str | Iterable[int | str] | None = None,
    bins: Sequence[int] | None = None,
    reduce: str = "mean",
    targets: str | None = None,
    width: int = WIDTH,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> Borzoi:
    """Load Borzoi.

    Parameters
    ----------
    weights
        ``replicate-0`` to ``replicate-3``; the path of a .safetensors or torch file of the published
        layers; or ``random:<seed>``, weights that nobody trained.
    tracks, bins, reduce
        See `Borzoi`; tracks are indices, or texts that each fit one track's name or description.
    targets
        Path of a list of tracks in the published format; None: the published one, if it is there.
    width
        Channels of the transformer; fewer than 1,536 for a narrow model of the same strides and layers.
    dtype
        ``float32`` or ``float64``.

    Raises
    ------
    WeightsError
        A file is missing, damaged, or of another model.
    ConfigError
        An unknown name of weights or an option out of range.
    """
    return _load("borzoi", weights, tracks, bins, reduce, targets, width, dtype, device)


def load_flashzoi(
    weights: str = "replicate-0",
    *,
    tracks: int | str | Iterable[int | str] | None = None,
    bins: Sequence[int] | None = None,
    reduce: str = "mean",
    targets: str | None = None,
    width: int = WIDTH,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> Borzoi:
    """Load Flashzoi, without flash-attn; options and errors as of `load`."""
    return _load("flashzoi", weights, tracks, bins, reduce, targets, width, dtype, device)


def _load(
    model: str,
    weights: str,
    tracks: int | str | Iterable[int | str] | None,
    bins: Sequence[int] | None,
    reduce: str,
    targets: str | None,
    width: int,
    dtype: str,
    device: torch.device | str,
) -> Borzoi:
    if dtype not in DTYPES:
        raise ConfigError("Borzoi's 'dtype' is unknown.", expected=", ".join(DTYPES), got=repr(dtype))
    sizes = BorzoiSizes.of_width(width, rotary=model == "flashzoi")
    label, network = _network(model, weights, sizes)
    listed = published_targets() if targets is None else read_borzoi_targets(Path(targets).expanduser())
    name = f"{model}/{label}" if width == WIDTH else f"{model}/{label}-width{width}"
    loaded = Borzoi(name, network.to(DTYPES[dtype]), listed, tracks=tracks, bins=bins, reduce=reduce)
    return loaded.to(torch.device(device))


def read_weights(path: Path, sizes: BorzoiSizes) -> State:
    """Weights from a published ``model.safetensors`` or ``pytorch_model.bin``, or a file of the same layers.

    Raises
    ------
    WeightsError
        Not such a file, or a layer that is missing, foreign or of another shape.
    """
    read = loading.read_safetensors if path.suffix == ".safetensors" else loading.read_torch
    return {name: torch.from_numpy(array) for name, array in read(path, _shapes(sizes), UNUSED).items()}


def random_weights(sizes: BorzoiSizes, seed: int) -> State:
    """Float32 numbers from a seed: matrices keep a signal's size, and no statistic is 0 or 1."""
    rng = np.random.default_rng(seed)
    return {name: torch.from_numpy(_draw(name, shape, rng)) for name, shape in _shapes(sizes).items()}


def save_safetensors(network: BorzoiNet, path: Path) -> None:
    """Write float32 weights, exactly, to a file that `read_weights` reads."""
    state = network.state_dict()
    loading.write_safetensors(path, {name: state[name].cpu().numpy() for name in _shapes(network.sizes)})


def _draw(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    fan_in = int(np.prod(shape[1:])) if len(shape) in (2, 3) else 16
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(1.2 / fan_in**0.5)


def _network(model: str, weights: str, sizes: BorzoiSizes) -> tuple[str, BorzoiNet]:
    """Short name of some weights, and the network with them."""
    kind, _, seed = weights.partition(":")
    if kind == "random" and seed.isdecimal():
        label, state = f"random-{seed}", random_weights(sizes, int(seed))
    elif weights in PUBLISHED:
        label, state = weights, read_weights(_published_file(model, weights), sizes)
    else:
        path = _own_file(model, weights)
        label, state = path.stem, read_weights(path, sizes)
    network = _blank(sizes)
    network.load_state_dict(_with_counters(state), assign=True)
    return label, network


def _published_file(model: str, weights: str) -> Path:
    path = cache_folder() / model / f"{weights}.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"The weights {weights} of {model} are not on this machine.", where=path, fix=how_to_get(model)
        )
    verify_recorded(path)
    return path


def _own_file(model: str, weights: str) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"There are no weights {weights!r} of {model}.",
            expected=f"{', '.join(PUBLISHED)}, random:<seed>, or the path of a .safetensors or torch file",
        )
    return path


def _blank(sizes: BorzoiSizes) -> BorzoiNet:
    """The network without numbers."""
    with torch.device("meta"):
        return BorzoiNet(sizes)


def _shapes(sizes: BorzoiSizes) -> dict[str, tuple[int, ...]]:
    state = _blank(sizes).state_dict()
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith("num_batches_tracked")}


def _with_counters(state: State) -> State:
    """Add the counters of batches that batch normalisation keeps and prediction does not use."""
    means = [name for name in state if name.endswith("running_mean")]
    return state | {name.replace("running_mean", "num_batches_tracked"): torch.tensor(0) for name in means}
