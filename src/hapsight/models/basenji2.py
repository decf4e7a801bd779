"""Basenji2: tracks along 131,072 bases in 896 bins of 128 (Kelley 2020, PLoS Comput Biol 16, e1008050).

Seven convolutions with poolings, which are local and can be shared between people; eleven dilated
residual layers; one head. Each bin depends on some 55,000 bases only, and `Basenji2.read` computes
nothing else. Architecture of calico/basenji's ``manuscripts/cross2020/params_human.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final, Self

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError, InputError
from hapsight.models.onehot import one_hot
from hapsight.models.protocol import Grid, ModelWindow, ReadOut, SharedModel, Track

__all__ = ["ACTIVATIONS", "BINS", "READ_OUTS", "TRACKS", "Basenji2", "Basenji2Net", "Channels"]

LENGTH: Final = 131_072
STRIDE: Final = 128
POSITIONS: Final = LENGTH // STRIDE
CROP: Final = 64
BINS: Final = POSITIONS - 2 * CROP
TRACKS: Final = 5_313
TSS_INDEX: Final = 65_536
"""The first base of output bin 448, where Huang et al. 2023 place the TSS."""

STEM_KERNEL: Final = 15
TOWER_KERNEL: Final = 5
DILATIONS: Final = (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72)
HALO: Final = 384
"""Whole positions that cover the tower's reach of 259 bases to either side."""

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of this file changes numbers."""

Activation = Callable[[torch.Tensor], torch.Tensor]


def _sigmoid_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Final = MappingProxyType(
    {"sigmoid": _sigmoid_gelu, "erf": F.gelu, "tanh": partial(F.gelu, approximate="tanh")}
)
"""Forms of GELU: ``sigmoid`` is x sigmoid(1.702 x), with which the published weights were trained."""

_CENTRE: Final = ReadOut(
    "huang2023", (5110,), tuple(range(443, 453)), description="CAGE GM12878, mean of bins 443-452"
)
READ_OUTS: Final = MappingProxyType(
    {
        "huang2023": replace(
            _CENTRE,
            reverse_complement=True,
            shifts=(1, 0, -1),
            description=f"{_CENTRE.description}, over both strands and shifts of 1, 0, -1 bases",
        ),
        "huang2023_single": replace(_CENTRE, name="huang2023_single"),
        "sasse2023": ReadOut(
            "sasse2023", (4980,), (447, 448, 449), "sum", description="CAGE adult brain, sum of bins 447-449"
        ),
        "default": replace(_CENTRE, name="huang2023_single"),
    }
)
"""Read-outs of the two studies; models.md, 'Read-outs used in the papers'."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Channels after the first convolution, after the tower's six, inside dilated layers, before the head."""

    stem: int
    tower: tuple[int, ...]
    dilated: int
    last: int

    @classmethod
    def of_width(cls, width: float = 1.0) -> Channels:
        """Channels of the published model, all multiplied by `width`.

        Raises
        ------
        ConfigError
            `width` not above 0 and up to 1.
        """
        if not 0 < width <= 1:
            raise ConfigError("Basenji2's 'width' must be above 0 and at most 1.", got=width)
        tower = tuple(max(1, round(339 * width * 1.1776**block)) for block in range(6))
        stem, dilated, last = (max(1, round(count * width)) for count in (288, 384, 1536))
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
        rows = torch.as_tensor(tracks, device=x.device)
        return F.softplus(F.linear(x, self.head.weight[rows], self.head.bias[rows]))


class Basenji2(SharedModel):
    """Basenji2 with one set of weights.

    Read-outs are of one window; the engine averages over strands and shifts where a read-out says so.

    Parameters
    ----------
    name
        ``basenji2/<weights>``.
    network
        The network with its weights, float32 or float64.
    channels
        Those of the network.
    tracks
        What the head's outputs are.
    wanted
        Tracks that replace those of the published read-outs, which are then named after them.
    """

    window = ModelWindow(TSS_INDEX, LENGTH - TSS_INDEX, oriented=False)
    default_read_out = "default"

    def __init__(
        self,
        name: str,
        network: Basenji2Net,
        *,
        channels: Channels,
        tracks: tuple[Track, ...],
        wanted: tuple[int, ...] | None = None,
        activation: str = "sigmoid",
    ) -> None:
        self.name = name
        self.network = network.eval()
        self.channels = channels
        self.tracks = tracks
        self.read_outs = {key: _of_tracks(read_out, wanted) for key, read_out in READ_OUTS.items()}
        self.grid = Grid(STRIDE, HALO, HALO, channels.tower[-1])
        self.flop_per_pass = self.plain_flop()
        self.fingerprint = _fingerprint(network, channels, activation)

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        return self

    @property
    def dtype(self) -> torch.dtype:
        """Number format of weights and results."""
        return self.network.head.weight.dtype

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        """Bins counted from the other end; no track has a strand."""
        return replace(read_out, bins=tuple(sorted(BINS - 1 - index for index in read_out.bins)))

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """Embedding positions ``[first, last)`` that the bins depend on; 295 to 729 for the centre ten."""
        return self._ranges(read_out)[0]

    def bases(self, read_out: ReadOut) -> tuple[int, int]:
        """Bases ``[first, last)`` of the window on which a read-out depends, its shifts and strands included.

        A variant elsewhere has exactly zero effect. For one window and the ten centre bins these are
        the bases within 28,035 of the window's centre: 37,501 to 93,571.
        """
        first, last = self.span(read_out)
        reach = STEM_KERNEL // 2 + TOWER_KERNEL // 2 * (STRIDE - 2)
        start, end = first * STRIDE - reach, last * STRIDE + reach
        if read_out.reverse_complement:
            start, end = min(start, LENGTH - end), max(end, LENGTH - start)
        return max(0, start + min(read_out.shifts)), min(LENGTH, end + max(read_out.shifts))

    def has_effect(self, index: int, read_out: ReadOut) -> bool:
        """Tell whether a change of the base at this index of the window can change the read-out at all."""
        first, last = self.bases(read_out)
        return first <= index < last

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out of (B, 131072) codes, as (B, T), by the plain forward pass; see `SequenceModel.predict`.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        ConfigError
            A read-out that this model does not have the bins or tracks for.
        """
        if codes.ndim != 2 or codes.shape[1] != LENGTH:
            raise InputError(
                "Basenji2 reads sequences of one length only.",
                where=self.name,
                expected=f"(sequences, {LENGTH})",
                got=tuple(codes.shape),
            )
        self._check(read_out)
        with _evaluation():
            x = self.network.embed(one_hot(codes).to(self.dtype))  # (B, 768, 1024)
            for layer, dilation in zip(self.network.dilated, DILATIONS, strict=True):
                x = layer(x, dilation, dilation)
            y = self.network.outputs(x[..., CROP:-CROP], read_out.tracks)  # (B, 896, T)
            return _reduce(y[:, list(read_out.bins)], read_out)

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Embedding (B, S / 128, 768) of (B, S) codes on the window's grid; see `SharedModel.embed`.

        Raises
        ------
        InputError
            S not a multiple of 128.
        """
        if codes.ndim != 2 or codes.shape[1] % STRIDE or not codes.shape[1]:
            raise InputError(
                "Basenji2 embeds stretches of whole bins only.",
                where=self.name,
                expected=f"(sequences, a multiple of {STRIDE})",
                got=tuple(codes.shape),
            )
        with _evaluation():
            return self.network.embed(one_hot(codes).to(self.dtype)).transpose(1, 2)

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out (B, T) of the positions of `span`, (B, last - first, 768); see `SharedModel.read`.

        Each dilated layer is computed on the positions that later layers need, and no others.

        Raises
        ------
        InputError
            Another shape.
        """
        ranges = self._ranges(read_out)
        expected = (ranges[0][1] - ranges[0][0], self.grid.channels)
        if embedding.ndim != 3 or embedding.shape[1:] != expected:
            raise InputError(
                "An embedding does not have the positions that a read-out of Basenji2 depends on.",
                where=f"{self.name}, read-out {read_out.name}",
                expected=("sequences", *expected),
                got=tuple(embedding.shape),
            )
        with _evaluation():
            x = embedding.transpose(1, 2)  # (B, 768, P)
            for layer, d, before, after in zip(
                self.network.dilated, DILATIONS, ranges[:-1], ranges[1:], strict=True
            ):
                x = layer(x, d - (after[0] - before[0]), d - (before[1] - after[1]))
            first = ranges[-1][0] - CROP
            asked = [index - first for index in read_out.bins]
            return _reduce(self.network.outputs(x[..., asked], read_out.tracks), read_out)

    def embed_flop(self, bases: int) -> float:
        """Floating-point operations of `embed` for so many bases, the halo counted as the caller does."""
        c = self.channels
        pairs = zip((c.stem, *c.tower), c.tower, strict=False)
        tower: float = sum(TOWER_KERNEL * a * b / 2.0**block for block, (a, b) in enumerate(pairs, start=1))
        return 2.0 * bases * (STEM_KERNEL * 4 * c.stem + tower)

    def read_flop(self, read_out: ReadOut) -> float:
        """Floating-point operations of `read` for one sequence."""
        positions = sum(last - first for first, last in self._ranges(read_out)[1:])
        return self._read_flop(positions, len(read_out.bins), len(read_out.tracks))

    def plain_flop(self) -> float:
        """Floating-point operations of one whole forward pass, every bin and track."""
        return self.embed_flop(LENGTH) + self._read_flop(len(DILATIONS) * POSITIONS, BINS, len(self.tracks))

    def _read_flop(self, positions: int, bins: int, tracks: int) -> float:
        c = self.channels
        return 2.0 * (positions * 4 * c.tower[-1] * c.dilated + bins * c.last * (c.tower[-1] + tracks))

    def _ranges(self, read_out: ReadOut) -> list[tuple[int, int]]:
        """Positions ``[first, last)`` needed before each dilated layer, and behind the last one."""
        self._check(read_out)
        ranges = [(min(read_out.bins) + CROP, max(read_out.bins) + CROP + 1)]
        for dilation in reversed(DILATIONS):
            first, last = ranges[0]
            ranges.insert(0, (max(0, first - dilation), min(POSITIONS, last + dilation)))
        return ranges

    def _check(self, read_out: ReadOut) -> None:
        for what, indices, count in (
            ("bins", read_out.bins, BINS),
            ("tracks", read_out.tracks, len(self.tracks)),
        ):
            if not indices or min(indices) < 0 or max(indices) >= count:
                raise ConfigError(
                    f"A read-out asks for {what} that Basenji2 does not have.",
                    where=f"{self.name}, read-out {read_out.name}",
                    expected=f"at least one, each 0 to {count - 1}",
                    got=indices,
                )
        if read_out.reduce not in _REDUCE:
            raise ConfigError(
                "A read-out combines bins in an unknown way.",
                where=f"{self.name}, read-out {read_out.name}",
                expected=", ".join(_REDUCE),
                got=repr(read_out.reduce),
            )


_REDUCE: Final = {"mean": torch.mean, "sum": torch.sum}


def _reduce(y: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
    """Combine the asked bins, (B, P, T) -> (B, T)."""
    return _REDUCE[read_out.reduce](y, dim=1)


@contextmanager
def _evaluation() -> Iterator[None]:
    """No gradients, and full float32 on a GPU (no TF32)."""
    with torch.no_grad(), torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
        yield


def _of_tracks(read_out: ReadOut, wanted: tuple[int, ...] | None) -> ReadOut:
    """Give the read-out with other tracks, under a name that says so."""
    if wanted is None or wanted == read_out.tracks:
        return read_out
    listed = " ".join(map(str, wanted))
    bins = read_out.description.partition(", ")[2]
    return replace(
        read_out,
        name=f"{read_out.name}, tracks {listed}",
        tracks=wanted,
        description=f"tracks {listed}, {bins}",
    )


def _fingerprint(network: Basenji2Net, channels: Channels, activation: str) -> str:
    """SHA-256 over every weight and option; the file format of the weights does not matter."""
    number = str(network.head.weight.dtype)
    options = ["basenji2", CODE_VERSION, astuple(channels), activation, number]
    digest = hashlib.sha256(json.dumps(options).encode())
    for name, tensor in sorted(network.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode() + tensor.cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()
