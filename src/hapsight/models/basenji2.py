"""Basenji2: tracks along 131,072 bases in 896 bins of 128 (Kelley 2020, PLoS Comput Biol 16, e1008050).

Seven convolutions with poolings, which are local and can be shared between people; eleven dilated
residual layers; one head. Each bin depends on some 55,000 bases only, and `Basenji2.read` computes
nothing else. Architecture of calico/basenji's ``manuscripts/cross2020/params_human.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, replace
from types import MappingProxyType
from typing import Final, Self

import torch

from hapsight.errors import ConfigError
from hapsight.models import basenji2_net
from hapsight.models.basenji2_net import (
    ACTIVATIONS,
    DILATIONS,
    STEM_KERNEL,
    TOWER_KERNEL,
    TRACKS,
    WIDTH,
    Basenji2Net,
    Channels,
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

__all__ = ["BINS", "READ_OUTS", "Basenji2", "load"]

LENGTH: Final = 131_072
STRIDE: Final = 128
POSITIONS: Final = LENGTH // STRIDE
CROP: Final = 64
BINS: Final = POSITIONS - 2 * CROP
TSS_INDEX: Final = 65_536
"""The first base of output bin 448, where Huang et al. 2023 place the TSS: (64 + 448) positions of 128."""

REACH: Final = STEM_KERNEL // 2 + TOWER_KERNEL // 2 * (STRIDE - 2)
"""Bases that a position of the embedding sees beyond its own 128: 7 + 2 (2 + 4 + ... + 64) = 259."""

HALO: Final = 384
"""Whole positions that cover this reach."""

DTYPES: Final = MappingProxyType({"float32": torch.float32, "float64": torch.float64})

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of this or the network's file changes numbers."""

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
"""Read-outs of Huang et al. 2023 and Sasse et al. 2023."""


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
    output_bins = OutputBins(CROP * STRIDE, STRIDE, BINS)
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
        self.read_outs = {key: of_tracks(read_out, wanted) for key, read_out in READ_OUTS.items()}
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

    def sees(self, read_out: ReadOut) -> tuple[int, int]:
        """Bases ``[first, last)`` of the window that one pass depends on, to the base."""
        first, last = self.span(read_out)
        return max(0, first * STRIDE - REACH), min(LENGTH, last * STRIDE + REACH)

    def bases(self, read_out: ReadOut) -> tuple[int, int]:
        """Bases ``[first, last)`` of the window on which a read-out depends, its shifts and strands included.

        A variant elsewhere has exactly zero effect. For one window and the ten centre bins these are
        the bases within 28,035 of the window's centre: 37,501 to 93,571.
        """
        start, end = self.sees(read_out)
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
        require_window(self, "Basenji2", codes, LENGTH)
        self._check(read_out)
        with evaluation():
            x = self.network.embed(one_hot(codes).to(self.dtype))  # (B, 768, 1024)
            for layer, dilation in zip(self.network.dilated, DILATIONS, strict=True):
                x = layer(x, dilation, dilation)
            y = self.network.outputs(x[..., CROP:-CROP], read_out.tracks)  # (B, 896, T)
            return reduce_bins(y[:, list(read_out.bins)], read_out)

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Embedding (B, S / 128, 768) of (B, S) codes on the window's grid; see `SharedModel.embed`.

        Raises
        ------
        InputError
            S not a multiple of 128.
        """
        require_stretch(self, "Basenji2", codes, STRIDE)
        with evaluation():
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
        shape = (ranges[0][1] - ranges[0][0], self.grid.channels)
        require_positions(self, "Basenji2", embedding, read_out, shape)
        with evaluation():
            x = embedding.transpose(1, 2)  # (B, 768, P)
            for layer, d, before, after in zip(
                self.network.dilated, DILATIONS, ranges[:-1], ranges[1:], strict=True
            ):
                x = layer(x, d - (after[0] - before[0]), d - (before[1] - after[1]))
            first = ranges[-1][0] - CROP
            asked = index_on([index - first for index in read_out.bins], x.device)
            return reduce_bins(self.network.outputs(x[..., asked], read_out.tracks), read_out)

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
        require_read_out(self, "Basenji2", read_out, BINS, REDUCE)


def load(
    weights: str = "human",
    *,
    tracks: int | str | Iterable[int | str] | None = None,
    activation: str = "sigmoid",
    width: int = WIDTH,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> Basenji2:
    """Load Basenji2.

    Parameters
    ----------
    weights
        ``human`` (the official Keras h5), ``zenodo`` (the same as a torch file), the path of a file of
        either layout or of `basenji2_files.save_safetensors`, or ``random:<seed>`` for tests.
    tracks
        Tracks, by index or by text (see `find_tracks`), that replace those of the published read-outs.
    activation
        ``sigmoid``, with which the official weights were trained; ``erf`` or ``tanh``, as some ports have it.
    width
        Channels of the embedding; less than 768 is a narrow network of the same geometry.
    dtype
        ``float32`` or ``float64``.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model.
    ConfigError
        An unknown name of weights, track, activation or dtype, or a width out of range.
    """
    _check_choice("activation", activation, ACTIVATIONS)
    _check_choice("dtype", dtype, DTYPES)
    channels = Channels.of_width(width)
    name, state = basenji2_net.state_of(weights, channels)
    listed = human_tracks(TRACKS)
    wanted = None if tracks is None else find_tracks(listed, tracks)
    with torch.device("meta"):
        network = Basenji2Net(channels, activation=ACTIVATIONS[activation])
    network.load_state_dict(state, assign=True)
    network = network.to(dtype=DTYPES[dtype]).requires_grad_(False)
    name = f"basenji2/{name}" + ("" if width == WIDTH else f"-width{width}")
    model = Basenji2(name, network, channels=channels, tracks=listed, wanted=wanted, activation=activation)
    return model.to(torch.device(device))


def _check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ConfigError(f"Basenji2's '{option}' is unknown.", expected=", ".join(choices), got=repr(value))


def _fingerprint(network: Basenji2Net, channels: Channels, activation: str) -> str:
    """SHA-256 over every weight and option; the file format of the weights does not matter."""
    number = str(network.head.weight.dtype)
    options = ["basenji2", CODE_VERSION, astuple(channels), activation, number]
    digest = hashlib.sha256(json.dumps(options).encode())
    for name, tensor in sorted(network.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode() + tensor.cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()
