"""Basenji2's network in plain torch, in the published width or a narrower one of the same geometry.

Basenji2's weights: the official Keras file, its torch port, safetensors of our own, or random ones.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError, WeightsError
from hapsight.models import loading
from hapsight.models.catalogue import how_to_get
from hapsight.models.forward import index_on
from hapsight.models.weights import cache_folder, verify_recorded

__all__ = [
    "ACTIVATIONS",
    "DILATIONS",
    "STEM_KERNEL",
    "TOWER_KERNEL",
    "TRACKS",
    "WIDTH",
    "Basenji2Net",
    "Channels",
    "random_state",
    "read_weights",
    "save_safetensors",
    "state_of",
]

WIDTH: Final = 768
"""Channels of the embedding as published."""

TRACKS: Final = 5_313
STEM_KERNEL: Final = 15
TOWER_KERNEL: Final = 5
DILATIONS: Final = (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72)
"""In positions of 128 bases."""

Activation = Callable[[torch.Tensor], torch.Tensor]


def _sigmoid_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Final[Mapping[str, Activation]] = MappingProxyType(
    {"sigmoid": _sigmoid_gelu, "erf": F.gelu, "tanh": partial(F.gelu, approximate="tanh")}
)
"""Forms of GELU: ``sigmoid`` is x sigmoid(1.702 x), with which the published weights were trained."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Channels after the first convolution, after the tower's six, inside dilated layers, before the head."""

    stem: int
    tower: tuple[int, ...]
    dilated: int
    last: int

    @classmethod
    def of_width(cls, width: int = WIDTH) -> Channels:
        """Channels of a network whose embedding has `width` of them, all in the published proportions.

        Raises
        ------
        ConfigError
            `width` not between 8 and the published 768.
        """
        if not 8 <= width <= WIDTH:
            raise ConfigError("Basenji2's 'width' is out of range.", expected=f"8 to {WIDTH}", got=width)
        share = width / WIDTH
        tower = tuple(round(339 * share * 1.1776**block) for block in range(6))
        stem, dilated, last = (round(count * share) for count in (288, 384, 1536))
        return cls(stem, tower, dilated, last)


class ConvBlock(nn.Module):
    """Activation, convolution without bias, batch normalisation with Keras' epsilon."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        activation: Activation,
        *,
        padding: int = 0,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(outputs, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, P) -> (B, outputs, P), P shorter by the kernel's reach that padding does not cover."""
        return self.norm(self.conv(self.activation(x)))  # type: ignore[no-any-return]


class DilatedResidual(nn.Module):
    """Two convolution blocks, the first one dilated with kernel 3, added to their input."""

    def __init__(self, outer: int, inner: int, dilation: int, activation: Activation) -> None:
        super().__init__()
        self.dilation = dilation
        self.wide = ConvBlock(outer, inner, 3, activation, dilation=dilation)
        self.back = ConvBlock(inner, outer, 1, activation)

    def forward(self, x: torch.Tensor, left: int, right: int) -> torch.Tensor:
        """Positions whose neighbours at `dilation` are known: in `x`, or zeros beyond the window's end.

        Parameters
        ----------
        x
            (B, C, P).
        left, right
            Zeros to put beside it, 0 to `dilation`; `dilation` on both sides gives all P positions.

        Returns
        -------
        (B, C, P + left + right - 2 dilation).
        """
        change: torch.Tensor = self.back(self.wide(F.pad(x, (left, right))))  # every activation of 0 is 0
        return x[..., self.dilation - left : x.shape[-1] - self.dilation + right] + change


class Basenji2Net(nn.Module):
    """The network, in evaluation: no dropout."""

    def __init__(
        self, channels: Channels, tracks: int = TRACKS, activation: Activation = _sigmoid_gelu
    ) -> None:
        super().__init__()
        pairs = zip((channels.stem, *channels.tower), channels.tower, strict=False)
        outer = channels.tower[-1]
        self.activation = activation
        self.stem = ConvBlock(4, channels.stem, STEM_KERNEL, activation, padding=STEM_KERNEL // 2)
        self.tower = nn.ModuleList(
            ConvBlock(a, b, TOWER_KERNEL, activation, padding=TOWER_KERNEL // 2) for a, b in pairs
        )
        self.dilated = nn.ModuleList(
            DilatedResidual(outer, channels.dilated, dilation, activation) for dilation in DILATIONS
        )
        self.last = ConvBlock(outer, channels.last, 1, activation)
        self.head = nn.Linear(channels.last, tracks)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Run convolutions and poolings, one-hot (B, 4, S) -> (B, C, S / 128)."""
        for block in (self.stem, *self.tower):
            x = F.max_pool1d(block(x), 2)
        return x

    def outputs(self, x: torch.Tensor, tracks: Sequence[int]) -> torch.Tensor:
        """Run the last block and these rows of the head, (B, C, P) -> (B, P, T)."""
        x = self.activation(self.last(x)).transpose(1, 2)  # (B, P, 1536)
        rows = index_on(tracks, x.device)
        return F.softplus(F.linear(x, self.head.weight[rows], self.head.bias[rows]))


PUBLISHED: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {"human": ("model_human.h5", ""), "zenodo": ("basenji2.pth", "1f46acc933e05515faf4d7eec0e27d42")}
)
"""Name of the weights -> file and its published md5; of the official file no checksum is published."""

SUFFIXES: Final = (".h5", ".hdf5", ".pth", ".pt", ".safetensors")
NORM: Final = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
"""Our name of a normalisation's numbers -> Keras'."""

State = dict[str, torch.Tensor]


def state_of(weights: str, channels: Channels) -> tuple[str, State]:
    """Short name and state dict of `Basenji2Net` for the `weights` that a user asks `load` for.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model.
    ConfigError
        An unknown name, or a seed that is not a number.
    """
    if weights.startswith("random:"):
        return weights, random_state(channels, np.random.default_rng(_seed(weights)))
    if weights in PUBLISHED:
        filename, md5 = PUBLISHED[weights]
        path = _present(cache_folder() / "basenji2" / filename)
        _verify_md5(path, md5)
        verify_recorded(path)
        return weights, read_weights(path, channels)
    path = Path(weights).expanduser()
    if path.suffix in SUFFIXES:
        return path.stem, read_weights(_present(path), channels)
    close = difflib.get_close_matches(weights, PUBLISHED, n=1)
    raise ConfigError(
        f"Basenji2 has no weights {weights!r}.",
        expected=f"{', '.join(PUBLISHED)}, random:<seed>, or the path of a file ({', '.join(SUFFIXES)})",
        fix=f"did you mean {close[0]!r}?" if close else None,
    )


def read_weights(path: Path, channels: Channels) -> State:
    """State dict of `Basenji2Net` from a Keras .h5, a torch .pth of basenji2-pytorch, or our .safetensors.

    Raises
    ------
    WeightsError
        Another format, a missing or foreign layer, another shape, or numbers that are not finite.
    """
    shapes = _shapes(channels)
    if path.suffix == ".safetensors":
        arrays = loading.read_safetensors(path, shapes)
    elif path.suffix in {".pth", ".pt"}:
        theirs = {_torch_name(name): shape for name, shape in shapes.items()}
        read = loading.read_torch(path, theirs, unused=("*.num_batches_tracked",))
        arrays = {name: read[_torch_name(name)] for name in shapes}
    else:
        names = _keras_names(list(shapes))
        found = loading.read_keras_in_order(
            path, {names[name]: shape[::-1] for name, shape in shapes.items()}
        )
        arrays = {name: np.ascontiguousarray(found[names[name]].T) for name in shapes}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def random_state(channels: Channels, rng: np.random.Generator) -> State:
    """State dict that nobody trained; signals stay alive, and no normalisation is trivial."""
    return {name: torch.from_numpy(_random(name, shape, rng)) for name, shape in _shapes(channels).items()}


def save_safetensors(network: Basenji2Net, path: Path) -> None:
    """Write the weights of a float32 network, exactly, to a file that `read_weights` reads."""
    state = network.state_dict()
    names = _without_counters(state)
    loading.write_safetensors(path, {name: state[name].cpu().numpy() for name in names})


def _shapes(channels: Channels) -> dict[str, tuple[int, ...]]:
    """Our name -> shape of every tensor, layer after layer from the sequence to the head."""
    with torch.device("meta"):
        state = Basenji2Net(channels).state_dict()
    return {name: tuple(state[name].shape) for name in _without_counters(state)}


def _without_counters(state: Mapping[str, torch.Tensor]) -> list[str]:
    return [name for name in state if not name.endswith("num_batches_tracked")]


def _torch_name(name: str) -> str:
    """Name in basenji2-pytorch's state dict."""
    name = re.sub(r"\b(conv|norm)\.", lambda match: {"conv": "block.1.", "norm": "block.2."}[match[1]], name)
    name = re.sub(r"^dilated\.(\d+)\.(wide|back)", _torch_residual, name)
    for ours, theirs in (("stem", "0"), ("tower", "1.tower"), ("dilated", "2.block"), ("last", "4")):
        if name.startswith(f"{ours}."):
            return f"model.trunk.{theirs}{name.removeprefix(ours)}"
    return name.replace("head.", "model.head.final.block.1.")


def _torch_residual(match: re.Match[str]) -> str:
    return f"dilated.{match[1]}.module.{('wide', 'back').index(match[2])}"


def _keras_names(names: list[str]) -> dict[str, str]:
    """Our name -> Keras' ``<layer>/<weight>``, layers numbered by kind from the sequence to the head."""
    blocks = list(dict.fromkeys(name.rpartition(".conv.")[0] for name in names if ".conv." in name))
    result = {"head.weight": "dense/kernel", "head.bias": "dense/bias"}
    for number, block in enumerate(blocks):
        suffix = f"_{number}" if number else ""
        result[f"{block}.conv.weight"] = f"conv1d{suffix}/kernel"
        for ours, theirs in NORM.items():
            result[f"{block}.norm.{ours}"] = f"batch_normalization{suffix}/{theirs}"
    return result


def _random(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith(("norm.weight", "running_var")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    spread = np.sqrt(1.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.3
    return (rng.standard_normal(shape) * spread).astype(np.float32)


def _seed(weights: str) -> int:
    seed = weights.removeprefix("random:")
    if not seed.isdecimal():
        raise ConfigError(
            "Random weights need a seed.", expected="random:<a whole number>", got=repr(weights)
        )
    return int(seed)


def _present(path: Path) -> Path:
    if not path.is_file():
        published = path.name in {filename for filename, _ in PUBLISHED.values()}
        raise WeightsError(
            "There is no file of weights at this path.",
            where=path,
            fix=how_to_get("basenji2") if published else None,
        )
    return path


def _verify_md5(path: Path, md5: str) -> None:
    if not md5:
        return
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "md5").hexdigest()
    if found != md5:
        raise WeightsError(
            "A file of weights is not the published one: its checksum differs.",
            where=path,
            expected=f"md5 {md5}",
            got=f"md5 {found} ({path.stat().st_size:,} bytes)",
            fix="delete the file and download it again; weights of your own are given by path, not by name",
        )
