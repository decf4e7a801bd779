"""Enformer: tracks along 196,608 bases in 896 bins of 128 (Avsec et al. 2021, Nat Methods 18, 1196).

Seven convolutions with poolings, which are local and can be shared between people; eleven transformer
layers over all 1,536 positions; one head. From the published checkpoint, or with random weights for checks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.errors import ConfigError, WeightsError
from hapsight.models import loading
from hapsight.models.catalogue import how_to_get
from hapsight.models.enformer_net import (
    BINS,
    CROP,
    LAYERS,
    LENGTH,
    POSITIONS,
    QUERY_BLOCK,
    STRIDE,
    TRACKS,
    WIDTH,
    EnformerNet,
    Geometry,
    distance_features,
)
from hapsight.models.forward import (
    REDUCE,
    evaluation,
    index_on,
    of_tracks,
    one_hot,
    reduce_bins,
    require_positions,
    require_read_out,
    require_stretch,
    require_window,
)
from hapsight.models.protocol import Grid, ModelWindow, OutputBins, ReadOut, SharedModel, Track
from hapsight.models.tracks import find_tracks, human_tracks
from hapsight.models.weights import cache_folder, verify_recorded

__all__ = ["READ_OUTS", "Enformer", "load", "random_weights", "read_weights", "save_safetensors"]

HALO: Final = 384
"""Whole positions that cover the tower's reach of 259 bases to either side."""

TSS_INDEX: Final = (CROP + 448) * STRIDE
"""98,304: the first base of output bin 448, which is embedding position 768 (Huang et al. 2023)."""

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of these files changes numbers."""

READ_OUTS: Final = MappingProxyType(
    {
        "huang2023": ReadOut(
            "huang2023", (5110,), tuple(range(443, 453)), description="CAGE GM12878, mean of bins 443-452"
        ),
        "sasse2023": ReadOut(
            "sasse2023", (4980,), (447, 448, 449), "sum", description="CAGE adult brain, sum of bins 447-449"
        ),
    }
)
"""Read-outs of the two studies, of one window on the genome's strand."""


class Enformer(SharedModel):
    """Enformer with one set of weights.

    Parameters
    ----------
    name
        ``enformer/<weights>``.
    network
        The network with its weights.
    geometry
        That of the network.
    tracks
        What the head's outputs are.
    wanted
        Tracks that replace those of the published read-outs, which are then named after them.
    gamma
        Form of the gamma features, see `hapsight.models.enformer_net.distance_features`.
    """

    window = ModelWindow(TSS_INDEX, LENGTH - TSS_INDEX, oriented=False)
    output_bins = OutputBins(CROP * STRIDE, STRIDE, BINS)
    default_read_out = "default"

    def __init__(
        self,
        name: str,
        network: EnformerNet,
        *,
        geometry: Geometry,
        tracks: tuple[Track, ...],
        wanted: tuple[int, ...] | None = None,
        gamma: str = "official",
    ) -> None:
        self.name = name
        self.network = network.eval()
        self.geometry = geometry
        self.tracks = tracks
        self.read_outs = {key: of_tracks(read_out, wanted) for key, read_out in READ_OUTS.items()}
        self.read_outs["default"] = self.read_outs["huang2023"]
        self.grid = Grid(STRIDE, HALO, HALO, geometry.width)
        self.flop_per_pass = self.plain_flop()
        self.distances = torch.from_numpy(distance_features(POSITIONS, geometry.value_width, gamma)).to(
            self.dtype
        )
        self.fingerprint = _fingerprint(network, [geometry.width, gamma, str(self.dtype)])

    @property
    def dtype(self) -> torch.dtype:
        """Number format of weights and results."""
        return self.network.stem[0].weight.dtype  # type: ignore[return-value]

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        self.distances = self.distances.to(device)
        return self

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        """Bins counted from the other end; no track has a strand."""
        return replace(read_out, bins=tuple(sorted(BINS - 1 - index for index in read_out.bins)))

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """Embedding positions ``[first, last)`` that a read-out depends on: all, through the attention."""
        self._check(read_out)
        return 0, POSITIONS

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out of (B, 196608) codes, as (B, T), by the plain forward pass; see `SequenceModel.predict`.

        Sequences go through one after the other: each takes some 3 GB at full width.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        ConfigError
            A read-out that this model does not have the bins or tracks for.
        """
        require_window(self, "Enformer", codes, LENGTH)
        self._check(read_out)
        values = [torch.empty((0, len(read_out.tracks)), dtype=self.dtype, device=codes.device)]
        with evaluation():
            for sequence in codes:
                y = self.network(one_hot(sequence[None]).to(self.dtype), self.distances)  # (1, 896, 5313)
                values.append(reduce_bins(y[:, list(read_out.bins)][..., list(read_out.tracks)], read_out))
        return torch.cat(values)

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Embedding (B, S / 128, C) of (B, S) codes that start on the window's grid; see `SharedModel.embed`.

        Raises
        ------
        InputError
            S not a multiple of 128.
        """
        require_stretch(self, "Enformer", codes, STRIDE)
        with evaluation():
            return self.network.embed(one_hot(codes).to(self.dtype))

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out (B, T) of embeddings (B, 1536, C); see `SharedModel.read`.

        The last layer is computed for the asked bins (and those between them), the head for the asked
        tracks.

        Raises
        ------
        InputError
            Another shape.
        """
        require_positions(self, "Enformer", embedding, read_out, (POSITIONS, self.geometry.width))
        first, last = self._queries(read_out)
        with evaluation():
            x = self.network.transform(embedding, self.distances, first, last)  # (B, last - first, C)
            asked = index_on([CROP + index - first for index in read_out.bins], x.device)
            return reduce_bins(self.network.outputs(x[:, asked], read_out.tracks), read_out)

    def embed_flop(self, bases: int) -> float:
        """Floating-point operations of `embed` for so many bases, the halo counted as the caller does."""
        return self.geometry.stem_flop(bases) + sum(self.geometry.tower_flop(bases))

    def read_flop(self, read_out: ReadOut) -> float:
        """Floating-point operations of `read` for one window."""
        first, last = self._queries(read_out)
        every = (LAYERS - 1) * self.geometry.layer_flop(POSITIONS, QUERY_BLOCK)
        layers = every + self.geometry.layer_flop(last - first, QUERY_BLOCK)
        return layers + self.geometry.head_flop(len(read_out.bins), len(read_out.tracks))

    def plain_flop(self) -> float:
        """Floating-point operations of one whole forward pass, every bin and track of the human head."""
        layers = LAYERS * self.geometry.layer_flop(POSITIONS)
        return self.embed_flop(LENGTH) + layers + self.geometry.head_flop(BINS, len(self.tracks))

    def _queries(self, read_out: ReadOut) -> tuple[int, int]:
        """Positions ``[first, last)`` of the last layer that the read-out's bins are."""
        self._check(read_out)
        return CROP + min(read_out.bins), CROP + max(read_out.bins) + 1

    def _check(self, read_out: ReadOut) -> None:
        require_read_out(self, "Enformer", read_out, BINS, REDUCE)


def _fingerprint(network: EnformerNet, options: list[object]) -> str:
    """SHA-256 over every weight and option; the file format of the weights does not matter."""
    digest = hashlib.sha256(json.dumps(["enformer", CODE_VERSION, *options]).encode())
    for name, tensor in sorted(network.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode() + tensor.to("cpu", torch.float64).numpy().tobytes())
    return digest.hexdigest()


DTYPES: Final = MappingProxyType(
    {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
)
SUFFIXES: Final = (".bin", ".pth", ".pt", ".safetensors")
PUBLISHED: Final = "pytorch_model.bin"
"""The weights ``official``, in the folder ``enformer`` of the weights folder; no checksum is published."""

UNUSED: Final = ("*.num_batches_tracked", "_trunk.*", "_heads.mouse.*")
"""Of the published checkpoint: counters, the trunk under its second name, the head of the mouse."""

State = dict[str, torch.Tensor]


def load(
    weights: str = "official",
    *,
    tracks: int | str | Sequence[int | str] | None = None,
    gamma: str = "official",
    width: int = WIDTH,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> Enformer:
    """Load Enformer.

    Parameters
    ----------
    weights
        ``official``, the path of a torch or .safetensors file of the same layers, or ``random:<seed>``
        for random weights, with which everything can be tried but the biology.
    tracks
        Tracks that the read-outs give instead of the studies' own: indices, or texts that each fit one
        track's name or description in the published list.
    gamma
        Form of the gamma features: ``official``, or ``port`` for the PyPI port's.
    width
        Channels; fewer than 1,536 for a narrow model of the same strides and layers, see `Geometry`.
    dtype
        ``float32``, ``float64`` or ``bfloat16``.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model or width.
    ConfigError
        An unknown name of weights, track or option.
    """
    if dtype not in DTYPES:
        raise ConfigError("Enformer's 'dtype' is unknown.", expected=", ".join(DTYPES), got=repr(dtype))
    geometry = Geometry(width)
    label, state = _weights(weights, geometry)
    network = _blank(geometry)
    network.load_state_dict(state, assign=True)
    known = human_tracks(TRACKS)
    model = Enformer(
        f"enformer/{label}" if width == WIDTH else f"enformer/{label}-width{width}",
        network.to(DTYPES[dtype]),
        geometry=geometry,
        tracks=known,
        wanted=None if tracks is None else find_tracks(known, tracks),
        gamma=gamma,
    )
    return model.to(torch.device(device))


def read_weights(path: Path, geometry: Geometry | None = None) -> State:
    """State dict of `EnformerNet` from the published ``pytorch_model.bin``, or safetensors of its layers.

    Raises
    ------
    WeightsError
        Not such a file, or a layer that is missing, foreign or of another shape.
    """
    read = loading.read_safetensors if path.suffix == ".safetensors" else loading.read_torch
    arrays = read(path, _shapes(geometry or Geometry()), UNUSED)
    return _with_counters({name: torch.from_numpy(array) for name, array in arrays.items()})


def random_weights(geometry: Geometry, seed: int) -> State:
    """State dict of float32 numbers from a seed: signals stay alive, no statistic is 0 or 1."""
    rng = np.random.default_rng(seed)
    return _with_counters(
        {name: torch.from_numpy(_draw(name, shape, rng)) for name, shape in _shapes(geometry).items()}
    )


def save_safetensors(network: EnformerNet, path: Path) -> None:
    """Write float32 weights, exactly, to a file that `read_weights` reads."""
    state = network.state_dict()
    kept = [name for name in state if not name.endswith("num_batches_tracked")]
    loading.write_safetensors(path, {name: state[name].cpu().numpy() for name in kept})


def _draw(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 100
    variance = (2.0 if len(shape) == 3 else 1 / 16 if name.startswith("_heads") else 1.0) / fan_in
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(variance**0.5)


def _weights(weights: str, geometry: Geometry) -> tuple[str, State]:
    """Short name of some weights, and their state dict."""
    kind, _, seed = weights.partition(":")
    if kind == "random" and seed.isdecimal():
        return f"random-{seed}", random_weights(geometry, int(seed))
    if weights == "official":
        path = _present(cache_folder() / "enformer" / PUBLISHED, how_to_get("enformer"))
        verify_recorded(path)
        return weights, read_weights(path, geometry)
    path = Path(weights).expanduser()
    if path.suffix in SUFFIXES:
        return path.stem, read_weights(_present(path), geometry)
    raise ConfigError(
        f"Enformer has no weights {weights!r}.",
        expected=f"official, random:<seed>, or the path of a file ({', '.join(SUFFIXES)})",
    )


def _present(path: Path, fix: str | None = None) -> Path:
    if not path.is_file():
        raise WeightsError("There is no file of weights at this path.", where=path, fix=fix)
    return path


def _blank(geometry: Geometry) -> EnformerNet:
    """The network without numbers."""
    with torch.device("meta"):
        return EnformerNet(geometry)


def _shapes(geometry: Geometry) -> dict[str, tuple[int, ...]]:
    state = _blank(geometry).state_dict()
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith("num_batches_tracked")}


def _with_counters(state: State) -> State:
    """Add the counters of batches that batch normalisation keeps and prediction does not use."""
    means = [name for name in state if name.endswith("running_mean")]
    return state | {name.replace("running_mean", "num_batches_tracked"): torch.tensor(0) for name in means}
