"""The network of `mini`: convolutions and poolings to bins of 32 bases, then dilated residual layers.

Weights of `mini`: the file that comes with hapsight, files of one's own, or random ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError, WeightsError
from hapsight.models import loading
from hapsight.models.forward import index_on
from hapsight.models.protocol import Track

__all__ = [
    "CONTEXT_BINS",
    "DILATIONS",
    "PACKAGED",
    "POOLS",
    "REACH",
    "STRIDE",
    "TRACKS",
    "Channels",
    "MiniNet",
    "MiniWeights",
    "read_mini",
    "save_mini",
    "weights_in",
    "weights_of",
]

KERNELS: Final = (15, 5, 5)
POOLS: Final = (4, 4, 2)
STRIDE: Final = 32
"""Bases of a bin: the product of the poolings."""

REACH: Final = 7 + 4 * 2 + 16 * 2
"""Bases that a bin of the embedding sees beyond its own 32: half of each kernel, at its stride."""

DILATIONS: Final = (1, 2, 4, 8, 16, 32)
"""Of the residual layers, in bins."""

CONTEXT_BINS: Final = sum(DILATIONS)
"""Bins on either side that a predicted bin depends on."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Channels after the first and the second convolution, and from the third on."""

    stem: int = 128
    middle: int = 128
    width: int = 160

    def __post_init__(self) -> None:
        if min(self.stem, self.middle, self.width) < 1:
            raise ConfigError("A layer of mini has no channels.", expected="at least 1 each", got=self)

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> Channels:
        """Channels of the network whose weights have these shapes."""
        return cls(*(shapes[f"convolutions.{layer}.weight"][0] for layer in range(3)))


class Residual(nn.Module):
    """A dilated and a pointwise convolution, added to their input."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.BatchNorm1d(width)
        self.wide = nn.Conv1d(width, width, 3, dilation=dilation, bias=False)
        self.inner_norm = nn.BatchNorm1d(width)
        self.back = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.back.weight)  # at first the layer is the identity

    def forward(self, x: torch.Tensor, left: int, right: int) -> torch.Tensor:
        """Positions whose neighbours at `dilation` are known: in `x`, or zeros beyond the window's end.

        Parameters
        ----------
        x
            (B, C, P).
        left, right
            Zeros to put beside the normalised input, 0 to `dilation`; `dilation` on both sides gives all P.

        Returns
        -------
        (B, C, P + left + right - 2 dilation).
        """
        change = self.wide(F.pad(F.gelu(self.norm(x), approximate="tanh"), (left, right)))
        change = self.dropout(self.back(F.gelu(self.inner_norm(change), approximate="tanh")))
        kept = x[..., self.dilation - left : x.shape[-1] - self.dilation + right]
        return kept + change  # type: ignore[no-any-return]


class MiniNet(nn.Module):
    """The network.

    Parameters
    ----------
    tracks
        Outputs of a bin.
    dropout
        Share of each residual layer's numbers that is left out while training.
    """

    def __init__(self, channels: Channels, tracks: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.channels, self.tracks = channels, tracks
        widths = (4, channels.stem, channels.middle, channels.width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel, padding=kernel // 2, bias=False)
            for a, b, kernel in zip(widths, widths[1:], KERNELS, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])
        self.residuals = nn.ModuleList(Residual(channels.width, d, dropout) for d in DILATIONS)
        self.last = nn.Conv1d(channels.width, channels.width, 1)
        self.head = nn.Linear(channels.width, tracks)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Run convolutions and poolings, one-hot (B, 4, S) -> (B, C, S / 32)."""
        for number, (convolution, norm, pool) in enumerate(
            zip(self.convolutions, self.norms, POOLS, strict=True)
        ):
            x = norm(F.max_pool1d(convolution(x), pool))
            x = F.relu(x) if number < len(POOLS) - 1 else x  # residual layers activate it themselves
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict all bins, one-hot (B, 4, S) -> (B, S / 32, tracks); beyond the ends are zeros."""
        return self.outputs(self.positions(x))

    def positions(self, x: torch.Tensor) -> torch.Tensor:
        """Run everything before `outputs`, one-hot (B, 4, S) -> (B, C, S / 32)."""
        x = self.embed(x)
        for layer in self.residuals:
            x = layer(x, layer.dilation, layer.dilation)
        return x

    def outputs(self, x: torch.Tensor, tracks: Sequence[int] | None = None) -> torch.Tensor:
        """Run the last layer and the head, or these rows of it, (B, C, P) -> (B, P, T), each above 0."""
        return F.softplus(self.linear(x, tracks))

    def linear(self, x: torch.Tensor, tracks: Sequence[int] | None = None) -> torch.Tensor:
        """`outputs` before their softplus: any number."""
        x = F.gelu(self.last(F.gelu(x, approximate="tanh")), approximate="tanh").transpose(1, 2)
        if tracks is None:
            return self.head(x)  # type: ignore[no-any-return]
        rows = index_on(tracks, x.device)
        return F.linear(x, self.head.weight[rows], self.head.bias[rows])

    def embed_flop(self, bases: int) -> float:
        """Floating-point operations of `embed` on so many bases."""
        c = self.channels
        per_base: float = KERNELS[0] * 4 * c.stem
        per_base += KERNELS[1] * c.stem * c.middle / POOLS[0]
        per_base += KERNELS[2] * c.middle * c.width / (POOLS[0] * POOLS[1])
        return 2.0 * bases * per_base

    def residual_flop(self, bins: int) -> float:
        """Floating-point operations of one residual layer on so many bins."""
        return 2.0 * bins * 4 * self.channels.width**2

    def output_flop(self, bins: int, tracks: int) -> float:
        """Floating-point operations of `outputs` on so many bins and tracks."""
        return 2.0 * bins * self.channels.width * (self.channels.width + tracks)


PACKAGED: Final = "chr22"
"""Name of the weights that come with hapsight."""

_COUNTERS: Final = "num_batches_tracked"


def _both_strands(cell_type: str, assay: str) -> tuple[Track, Track]:
    short = "bulk" if cell_type == "bulk" else cell_type
    return (
        Track(f"{short}_transcription", assay, cell_type, "+", "reads"),
        Track(f"{short}_antisense", assay, cell_type, "-", "reads"),
    )


TRACKS: Final = (
    *_both_strands("GM12878", "nascent transcription"),
    *_both_strands("K562", "nascent transcription"),
    *_both_strands("MCF7", "nascent transcription"),
    *_both_strands("bulk", "nascent transcription"),
    *(
        Track(f"{cell}_accessibility", "accessibility", cell, ".", "mean coverage")
        for cell in ("GM12878", "K562", "MCF7")
    ),
)
"""Tracks of the weights that come with hapsight, and of random ones."""


@dataclass(frozen=True, slots=True, eq=False)
class MiniWeights:
    """A set of weights with what it says of itself."""

    name: str
    channels: Channels
    tracks: tuple[Track, ...]
    state: dict[str, torch.Tensor]


def weights_of(weights: str) -> MiniWeights:
    """The `weights` that a user asks `load` for.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model.
    ConfigError
        An unknown name, or a seed that is not a number.
    """
    if weights.startswith("random:"):
        return _random(weights)
    if weights == PACKAGED:
        with as_file(files("hapsight") / "data" / "mini-chr22.safetensors") as path:
            return read_mini(path, weights)
    path = Path(weights).expanduser()
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"mini has no weights {weights!r}.",
            expected=f"{PACKAGED}, random:<seed>, or the path of a .safetensors file",
        )
    return read_mini(path, path.stem)


def read_mini(path: Path, name: str) -> MiniWeights:
    """Read a file that `save_mini` wrote.

    Raises
    ------
    WeightsError
        It is missing, damaged, says nothing of its tracks, or has other layers or shapes.
    """
    if not path.is_file():
        raise WeightsError("There is no file of weights at this path.", where=path)
    try:
        with safetensors.safe_open(path, framework="np") as file:
            note = file.metadata() or {}
            found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError("A file cannot be read as safetensors.", where=path, got=error) from error
    if "tracks" not in note or "convolutions.0.weight" not in found:
        raise WeightsError(
            "A file of weights is not one of mini's.",
            where=path,
            expected="layers of mini and a list of tracks, as `hapsight train export` writes them",
            got=f"{', '.join(sorted(found)[:3])} ...; notes: {', '.join(sorted(note)) or 'none'}",
        )
    try:
        tracks = tuple(Track(**track) for track in json.loads(note["tracks"]))
        channels = Channels.of_shapes(found)
        if not tracks:
            raise ValueError("no tracks")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise WeightsError(
            "A file of weights does not say what mini needs to know: its tracks and layers.",
            where=path,
            got=f"{type(error).__name__}: {error}",
        ) from error
    arrays = loading.read_safetensors(path, _shapes(channels, len(tracks)))
    return MiniWeights(name, channels, tracks, {key: torch.from_numpy(a) for key, a in arrays.items()})


def save_mini(
    network: MiniNet, tracks: Sequence[Track], path: Path, training: Mapping[str, object] | None = None
) -> None:
    """Write weights exactly, with their tracks and what is told of their training, to a file `load` reads."""
    note = {
        "tracks": json.dumps([asdict(track) for track in tracks]),
        "training": json.dumps(training or {}),
    }
    loading.write_safetensors(path, weights_in(network), note)


def weights_in(network: MiniNet) -> dict[str, NDArray[np.float32]]:
    """Name -> array of every weight, without counters of batches."""
    state = network.state_dict()
    return {
        name: tensor.detach().cpu().numpy() for name, tensor in state.items() if not name.endswith(_COUNTERS)
    }


def _shapes(channels: Channels, tracks: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = MiniNet(channels, tracks).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith(_COUNTERS)}


def _random(weights: str) -> MiniWeights:
    seed = weights.removeprefix("random:")
    if not seed.isdecimal():
        raise ConfigError(
            "Random weights need a seed.", expected="random:<a whole number>", got=repr(weights)
        )
    rng, channels = np.random.default_rng(int(seed)), Channels()
    state = {
        name: torch.from_numpy(_random_array(name, shape, rng))
        for name, shape in _shapes(channels, len(TRACKS)).items()
    }
    return MiniWeights(weights, channels, TRACKS, state)


def _random_array(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith("running_var") or ("norm" in name and name.endswith("weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    spread = np.sqrt(1.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.3
    return (rng.standard_normal(shape) * spread).astype(np.float32)
